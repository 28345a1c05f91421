package choreotest

import (
	"strings"

	"github.com/troupedev/troupe/platform/console/inbox"
)

// Mail is a mail that a service sent.
type Mail struct {
	ID          string   // its Message-ID, without the brackets
	To          []string // addresses
	Subject     string
	Text        string // its plain text
	HTML        string
	Attachments []Attachment
}

// Attachment is a part of a mail that is not its text.
type Attachment struct {
	Name    string
	Type    string // "application/pdf"
	Content []byte
}

// Mails are the mails that services sent to TROUPE_SMTP in this run, in order.
// Mails with the same Message-ID are one, since a mail may be sent twice.
func (s *Stage) Mails() []Mail {
	s.t.Helper()
	if s.company.mails == nil {
		s.t.Fatalf("mails: no service on the stage has the setting %s, or Setup.Settings gives it", inbox.Setting)
	}
	var out []Mail
	known := map[string]bool{}
	for _, m := range s.company.mails.Mails() {
		if m.MessageID != "" && known[m.MessageID] {
			continue
		}
		known[m.MessageID] = true
		one := Mail{ID: strings.Trim(m.MessageID, "<>"), Subject: m.Subject, Text: m.Text, HTML: m.HTML}
		for _, to := range m.To {
			one.To = append(one.To, to.Address)
		}
		for i := range m.Attachments {
			a := &m.Attachments[i]
			one.Attachments = append(one.Attachments, Attachment{a.FileName, a.ContentType, a.Content()})
		}
		out = append(out, one)
	}
	return out
}
