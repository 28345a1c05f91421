package notifications

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/textproto"
	"net/url"
	"strconv"
	"time"

	"github.com/wneessen/go-mail"
	gosmtp "github.com/wneessen/go-mail/smtp"

	"github.com/troupedev/troupe/platform/choreo"
)

type settings struct {
	SMTP string `env:"TROUPE_SMTP" doc:"mail server: smtp://host:port, smtps://… for TLS, with user:password@ where it asks for them"`
	From string `env:"NOTIFICATIONS_FROM" default:"Troupe <shop@troupe.example>" doc:"sender of all mail"`
}

// server is how to reach the mail server. Each mail has a connection of its own.
type server struct {
	from    string
	host    string
	options []mail.Option
}

func newServer(s settings) (*server, error) {
	u, err := url.Parse(s.SMTP)
	if err != nil || u.Hostname() == "" || (u.Scheme != "smtp" && u.Scheme != "smtps") {
		return nil, fmt.Errorf("TROUPE_SMTP: %q is not of the form smtp://host:port", s.SMTP)
	}
	out := &server{from: s.From, host: u.Hostname(), options: []mail.Option{
		mail.WithTLSPolicy(mail.TLSOpportunistic), mail.WithTimeout(serverTimeout),
	}}
	if u.Scheme == "smtps" {
		out.options[0] = mail.WithSSLPort(false)
	}
	if u.Port() != "" {
		port, err := strconv.Atoi(u.Port())
		if err != nil {
			return nil, fmt.Errorf("TROUPE_SMTP: port %q: %w", u.Port(), err)
		}
		out.options = append(out.options, mail.WithPort(port))
	}
	if password, ok := u.User.Password(); ok {
		out.options = append(out.options, mail.WithSMTPAuth(mail.SMTPAuthAutoDiscover),
			mail.WithUsername(u.User.Username()), mail.WithPassword(password))
	}
	if _, err := mail.NewClient(out.host, out.options...); err != nil {
		return nil, fmt.Errorf("TROUPE_SMTP: %w", err)
	}
	if err := mail.NewMsg().From(s.From); err != nil {
		return nil, fmt.Errorf("NOTIFICATIONS_FROM: %w", err)
	}
	return out, nil
}

// letter is a mail of which the server has everything but the last line: until
// that comes, it takes nothing.
type letter struct {
	client *gosmtp.Client
	body   io.WriteCloser
}

// prepare takes a mail to the server, and waits for its last line to be sent by
// [letter.post]. An address that is none, or one that the server refuses for
// good, is permanent.
func (s *server) prepare(ctx context.Context, id string, m Mail) (*letter, error) {
	msg, err := s.compose(id, m)
	if err != nil {
		return nil, choreo.Permanent(err)
	}
	dialer, err := mail.NewClient(s.host, s.options...)
	if err != nil {
		return nil, err
	}
	client, err := dialer.DialToSMTPClientWithContext(ctx)
	if err != nil {
		return nil, fmt.Errorf("the mail server cannot be talked to: %w", err)
	}
	l := &letter{client: client}
	if err := l.write(msg); err != nil {
		l.drop()
		return nil, refused(err)
	}
	return l, nil
}

func (s *server) compose(id string, m Mail) (*mail.Msg, error) {
	msg := mail.NewMsg()
	if err := errors.Join(msg.From(s.from), msg.To(m.To)); err != nil {
		return nil, err
	}
	msg.SetMessageIDWithValue(id + "@troupe.example")
	msg.Subject(m.Subject)
	msg.SetBodyString(mail.TypeTextPlain, m.Text)
	for _, a := range m.Attachments {
		if err := msg.AttachReader(a.Name, bytes.NewReader(a.Content), mail.WithFileContentType(mail.ContentType(a.Type))); err != nil {
			return nil, err
		}
	}
	return msg, nil
}

func (l *letter) write(msg *mail.Msg) error {
	from, err := msg.GetSender(false)
	if err != nil {
		return err
	}
	to, err := msg.GetRecipients()
	if err != nil {
		return err
	}
	if err := l.client.UpdateDeadline(serverTimeout); err != nil {
		return err
	}
	if err := l.client.Mail(from); err != nil {
		return err
	}
	for _, recipient := range to {
		if err := l.client.Rcpt(recipient); err != nil {
			return err
		}
	}
	if l.body, err = l.client.Data(); err != nil {
		return err
	}
	_, err = msg.WriteTo(l.body)
	return err
}

// post sends the last line, and waits for the server to have taken the mail: for
// as long as ctx lasts, since a server that is not waited for may take it all the same.
func (l *letter) post(ctx context.Context) error {
	if deadline, ok := ctx.Deadline(); ok {
		if err := l.client.UpdateDeadline(time.Until(deadline)); err != nil {
			return err
		}
	}
	if err := l.body.Close(); err != nil {
		return refused(err)
	}
	// Nobody waits for the answer: every moment from here to the commit counts.
	_, _ = l.client.Text.Cmd("QUIT")
	return nil
}

// drop closes the connection. A letter that was not posted is nothing to the server.
func (l *letter) drop() { _ = l.client.Close() }

// refused is err, permanent where the server will not change its mind.
func refused(err error) error {
	if answer, ok := errors.AsType[*textproto.Error](err); ok && answer.Code >= 500 {
		return choreo.Permanent(err)
	}
	return err
}
