package inbox

import (
	"bytes"
	"cmp"
	"crypto/md5"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"io"
	"mime"
	"mime/multipart"
	"mime/quotedprintable"
	"net/mail"
	"strings"
	"time"

	"golang.org/x/text/encoding/htmlindex"
)

// Mail is one mail that was taken, with the names that MailDev's JSON has.
type Mail struct {
	ID          string            `json:"id"`   // in this inbox
	Time        time.Time         `json:"time"` // when it was taken
	From        []Address         `json:"from"`
	To          []Address         `json:"to"`
	CC          []Address         `json:"cc,omitempty"`
	Subject     string            `json:"subject"`
	Date        *time.Time        `json:"date,omitempty"` // when it was written, as it says
	MessageID   string            `json:"messageId,omitempty"`
	Text        string            `json:"text,omitempty"`
	HTML        string            `json:"html,omitempty"`
	Headers     map[string]string `json:"headers"` // by lower-case name, decoded; the last of a repeated one
	Envelope    Envelope          `json:"envelope"`
	Attachments []Attachment      `json:"attachments"`
	Size        int               `json:"size"` // bytes
	SizeHuman   string            `json:"sizeHuman"`
	Priority    string            `json:"priority"`
	Read        bool              `json:"read"`

	source []byte
}

// Address is a mail address with the name beside it.
type Address struct {
	Address string `json:"address"`
	Name    string `json:"name"`
}

// Envelope is what was said at delivery, whatever the mail's headers say.
type Envelope struct {
	From Address   `json:"from"`
	To   []Address `json:"to"`
}

// Attachment is a part of a mail that is not its text.
type Attachment struct {
	ContentType        string `json:"contentType"`
	FileName           string `json:"fileName"`
	GeneratedFileName  string `json:"generatedFileName"`
	ContentID          string `json:"contentId,omitempty"`
	ContentDisposition string `json:"contentDisposition"`
	TransferEncoding   string `json:"transferEncoding,omitempty"`
	Checksum           string `json:"checksum"` // MD5, as MailDev has it
	Length             int    `json:"length"`   // bytes

	content []byte
}

// Content is the part as it was before it was encoded for the way.
func (a *Attachment) Content() []byte { return a.content }

// maxDepth is how deep parts may lie in parts.
const maxDepth = 10

// words decodes headers such as =?utf-8?q?Gr=C3=BC=C3=9Fe?=.
var words = &mime.WordDecoder{CharsetReader: func(charset string, r io.Reader) (io.Reader, error) {
	return decoded(charset, r)
}}

// parse reads a mail. It never fails: what cannot be understood is shown as it
// came, since an inbox for looking at mails must show the broken ones too.
func parse(source []byte) *Mail {
	m := &Mail{
		Headers: map[string]string{}, From: []Address{}, To: []Address{}, Attachments: []Attachment{},
		Size: len(source), SizeHuman: fmt.Sprintf("%d bytes", len(source)), Priority: "normal", source: source,
	}
	msg, err := mail.ReadMessage(bytes.NewReader(source))
	if err != nil {
		m.Text = text("", source)
		return m
	}
	for name, values := range msg.Header {
		m.Headers[strings.ToLower(name)] = word(values[len(values)-1])
	}
	m.Subject = m.Headers["subject"]
	m.MessageID = strings.Trim(m.Headers["message-id"], "<> ")
	m.From = addresses(msg.Header, "From")
	m.To = addresses(msg.Header, "To")
	m.CC = addresses(msg.Header, "Cc")
	if date, err := msg.Header.Date(); err == nil {
		date = date.UTC()
		m.Date = &date
	}
	m.part(partHeader(msg.Header), msg.Body, 0)
	return m
}

// header is what mails and their parts have in common.
type header interface{ Get(string) string }

type partHeader mail.Header

func (h partHeader) Get(name string) string { return mail.Header(h).Get(name) }

// part reads a part, and those within it.
func (m *Mail) part(h header, body io.Reader, depth int) {
	kind, params, err := mime.ParseMediaType(cmp.Or(h.Get("Content-Type"), "text/plain"))
	if err != nil {
		kind, params = "text/plain", nil
	}
	if strings.HasPrefix(kind, "multipart/") && params["boundary"] != "" && depth < maxDepth {
		parts := multipart.NewReader(body, params["boundary"])
		for {
			p, err := parts.NextRawPart() // not NextPart, which decodes some encodings and hides them
			if err != nil {
				return // the end, or a mail that was cut off: what came before is shown
			}
			m.part(p.Header, p, depth+1)
		}
	}
	encoding := strings.ToLower(strings.TrimSpace(h.Get("Content-Transfer-Encoding")))
	content := transferred(encoding, body)
	disposition, named, _ := mime.ParseMediaType(h.Get("Content-Disposition"))
	switch attached := disposition == "attachment"; {
	case kind == "text/plain" && !attached && m.Text == "":
		m.Text = text(params["charset"], content)
	case kind == "text/html" && !attached && m.HTML == "":
		m.HTML = text(params["charset"], content)
	default:
		sum := md5.Sum(content)
		name := word(cmp.Or(named["filename"], params["name"], fmt.Sprintf("attachment-%d", len(m.Attachments)+1)))
		m.Attachments = append(m.Attachments, Attachment{
			ContentType: kind, FileName: name, GeneratedFileName: name,
			ContentID: strings.Trim(h.Get("Content-Id"), "<> "), ContentDisposition: cmp.Or(disposition, "inline"),
			TransferEncoding: encoding, Checksum: hex.EncodeToString(sum[:]), Length: len(content), content: content,
		})
	}
}

// transferred undoes the transfer encoding, as far as it can be undone.
func transferred(encoding string, body io.Reader) []byte {
	switch encoding {
	case "base64":
		body = base64.NewDecoder(base64.StdEncoding, body)
	case "quoted-printable":
		body = quotedprintable.NewReader(body)
	}
	content, _ := io.ReadAll(body)
	return content
}

// text is content in UTF-8 with the line ends of this world.
func text(charset string, content []byte) string {
	if r, err := decoded(charset, bytes.NewReader(content)); err == nil {
		if converted, err := io.ReadAll(r); err == nil {
			content = converted
		}
	}
	return strings.ToValidUTF8(strings.ReplaceAll(string(content), "\r\n", "\n"), "\uFFFD")
}

func decoded(charset string, r io.Reader) (io.Reader, error) {
	switch strings.ToLower(charset) {
	case "", "utf-8", "us-ascii":
		return r, nil
	}
	encoding, err := htmlindex.Get(charset)
	if err != nil {
		return nil, err
	}
	return encoding.NewDecoder().Reader(r), nil
}

func word(s string) string {
	if plain, err := words.DecodeHeader(s); err == nil {
		s = plain
	}
	return strings.ToValidUTF8(s, "\uFFFD")
}

func addresses(h mail.Header, name string) []Address {
	parser := mail.AddressParser{WordDecoder: words}
	list, err := parser.ParseList(h.Get(name))
	if err != nil {
		if raw := h.Get(name); raw != "" {
			return []Address{{Address: word(raw)}}
		}
		return []Address{}
	}
	out := make([]Address, len(list))
	for i, a := range list {
		out[i] = Address{Address: a.Address, Name: a.Name}
	}
	return out
}
