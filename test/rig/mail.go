package rig

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log"
	"mime"
	"mime/multipart"
	"mime/quotedprintable"
	"net"
	"net/mail"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/emersion/go-smtp"
)

// Mail is what the tests need to know of one mail that arrived.
type Mail struct {
	To      string
	Subject string
	Text    string
	Cause   string // id of the event that it was sent for: its Message-ID up to the @
}

// MailServer receives mail by SMTP and keeps it. It can go away and come back.
type MailServer struct {
	Slow time.Duration // how long it takes to accept a mail; set before there is any

	addr string

	mu     sync.Mutex
	mails  []Mail
	server *smtp.Server
	ended  chan struct{}
}

// NewMailServer returns a server that is up, on a loopback address.
func NewMailServer() (*MailServer, error) { return newMailServer("127.0.0.1") }

// NewOpenMailServer returns a server that is up, on every address of this
// machine, so that containers reach it.
func NewOpenMailServer() (*MailServer, error) { return newMailServer("0.0.0.0") }

func newMailServer(host string) (*MailServer, error) {
	addr, err := FreeAddr()
	if err != nil {
		return nil, err
	}
	m := &MailServer{addr: net.JoinHostPort(host, port(addr))}
	return m, m.Up()
}

// Port is the one that the server listens on.
func (m *MailServer) Port() string { return port(m.addr) }

// URL is the server as TROUPE_SMTP names it.
func (m *MailServer) URL() string { return "smtp://" + m.addr }

// Up makes the server listen again.
func (m *MailServer) Up() error {
	l, err := net.Listen("tcp", m.addr)
	if err != nil {
		return err
	}
	m.server = smtp.NewServer(smtp.BackendFunc(func(*smtp.Conn) (smtp.Session, error) { return &session{server: m}, nil }))
	m.server.Domain = "localhost"
	m.server.ErrorLog = log.New(io.Discard, "", 0) // clients that are killed are what it is for
	m.ended = make(chan struct{})
	go func(server *smtp.Server, ended chan struct{}) {
		defer close(ended)
		_ = server.Serve(l) // ends by Close alone
	}(m.server, m.ended)
	return nil
}

// Down ends the server and its connections; what has arrived is kept.
func (m *MailServer) Down() error {
	err := m.server.Close()
	<-m.ended
	return err
}

// Mails returns what has arrived.
func (m *MailServer) Mails(context.Context) ([]Mail, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.Clone(m.mails), nil
}

type session struct {
	server *MailServer
	to     string
}

func (s *session) Mail(string, *smtp.MailOptions) error      { return nil }
func (s *session) Rcpt(to string, _ *smtp.RcptOptions) error { s.to = to; return nil }
func (s *session) Reset()                                    {}
func (s *session) Logout() error                             { return nil }

func (s *session) Data(r io.Reader) error {
	msg, err := mail.ReadMessage(r)
	if err != nil {
		return err
	}
	text, err := textOf(msg)
	if err != nil {
		return err
	}
	if s.server.Slow > 0 {
		<-time.After(s.server.Slow)
	}
	s.server.mu.Lock()
	defer s.server.mu.Unlock()
	s.server.mails = append(s.server.mails, Mail{
		To: s.to, Subject: msg.Header.Get("Subject"), Text: text, Cause: cause(msg.Header.Get("Message-Id")),
	})
	return nil
}

// textOf is what somebody reads: the body, or its first part where it has
// several, decoded.
func textOf(msg *mail.Message) (string, error) {
	kind, params, err := mime.ParseMediaType(msg.Header.Get("Content-Type"))
	if err == nil && strings.HasPrefix(kind, "multipart/") {
		part, err := multipart.NewReader(msg.Body, params["boundary"]).NextPart() // decodes
		if err != nil {
			return "", err
		}
		text, err := io.ReadAll(part)
		return string(text), err
	}
	body := msg.Body
	if strings.EqualFold(msg.Header.Get("Content-Transfer-Encoding"), "quoted-printable") {
		body = quotedprintable.NewReader(body)
	}
	text, err := io.ReadAll(body)
	return string(text), err
}

// cause takes the event's id out of a Message-ID.
func cause(messageID string) string {
	id, _, _ := strings.Cut(strings.Trim(messageID, "<>"), "@")
	return id
}

// Inbox is mail as MailDev, and the inbox of `troupe run`, tell of it over HTTP.
type Inbox struct {
	Addr string // host:port
}

// Mails returns what has arrived.
func (i Inbox) Mails(ctx context.Context) ([]Mail, error) {
	var buf bytes.Buffer
	if err := get(ctx, "http://"+i.Addr+"/email", &buf); err != nil {
		return nil, err
	}
	var found []struct {
		Subject   string `json:"subject"`
		Text      string `json:"text"`
		MessageID string `json:"messageId"`
		To        []struct {
			Address string `json:"address"`
		} `json:"to"`
		Headers map[string]any `json:"headers"`
	}
	if err := json.Unmarshal(buf.Bytes(), &found); err != nil {
		return nil, fmt.Errorf("http://%s/email: %w", i.Addr, err)
	}
	mails := make([]Mail, len(found))
	for n, f := range found {
		id := f.MessageID
		if id == "" {
			id, _ = f.Headers["message-id"].(string)
		}
		mails[n] = Mail{Subject: f.Subject, Text: f.Text, Cause: cause(id)}
		if len(f.To) > 0 {
			mails[n].To = f.To[0].Address
		}
	}
	return mails, nil
}
