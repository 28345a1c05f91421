package notifications

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"strconv"

	"github.com/wneessen/go-mail"

	"github.com/troupedev/troupe/platform/choreo"
)

type settings struct {
	SMTP string `env:"TROUPE_SMTP" doc:"mail server: smtp://host:port, smtps://… for TLS, with user:password@ where it asks for them"`
	From string `env:"NOTIFICATIONS_FROM" default:"Troupe <shop@troupe.example>" doc:"sender of all mail"`
}

// smtp sends each mail over a connection of its own.
type smtp struct {
	from    string
	host    string
	options []mail.Option
}

func newSMTP(s settings) (*smtp, error) {
	u, err := url.Parse(s.SMTP)
	if err != nil || u.Hostname() == "" || (u.Scheme != "smtp" && u.Scheme != "smtps") {
		return nil, fmt.Errorf("TROUPE_SMTP: %q is not of the form smtp://host:port", s.SMTP)
	}
	out := &smtp{from: s.From, host: u.Hostname(), options: []mail.Option{mail.WithTLSPolicy(mail.TLSOpportunistic)}}
	if u.Scheme == "smtps" {
		out.options = []mail.Option{mail.WithSSLPort(false)}
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

// Send implements [Mailer]. An address that is none, or one that the server
// refuses for good, is permanent.
func (s *smtp) Send(ctx context.Context, m Mail) error {
	msg := mail.NewMsg()
	if err := errors.Join(msg.From(s.from), msg.To(m.To)); err != nil {
		return choreo.Permanent(err)
	}
	msg.SetMessageIDWithValue(m.ID + "@troupe.example")
	msg.Subject(m.Subject)
	msg.SetBodyString(mail.TypeTextPlain, m.Text)
	client, err := mail.NewClient(s.host, s.options...)
	if err != nil {
		return err
	}
	err = client.DialAndSendWithContext(ctx, msg)
	if msg.IsDelivered() {
		return nil // the server has it, whatever became of the connection afterwards
	}
	// Not IsTemp: it also calls a connection that broke permanent.
	if refused, ok := errors.AsType[*mail.SendError](err); ok && refused.ErrorCode() >= 500 {
		return choreo.Permanent(err)
	}
	return err
}
