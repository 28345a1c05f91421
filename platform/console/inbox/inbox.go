// Package inbox is a mail server that delivers nothing: it keeps the last
// mails in memory, for a person or a test to look at, and answers them over
// HTTP as MailDev does (https://github.com/maildev/maildev/blob/master/docs/rest.md).
//
// It is for one machine: no TLS, no authentication, nothing kept on disk. An
// address at the domain bounce.example is refused twice for each mail, as by a
// server that is busy (451), and then taken, so that retries can be watched; one
// at refused.example is refused for good (550).
//
// Start with [Listen]; [Inbox.Handler] has the HTTP side.
package inbox

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/emersion/go-smtp"

	"github.com/troupedev/troupe/platform/event"
)

// Limits of what is taken and kept.
const (
	maxMails      = 1000
	maxKept       = 64 << 20 // bytes of all mails
	maxMail       = 4 << 20  // bytes of one
	maxRecipients = 100
	maxBounces    = 10_000 // mails to bounce.example of which the refusals are counted
)

// BounceDomain is the domain whose addresses are refused before they are taken.
const BounceDomain = "bounce.example"

// RefusedDomain is the domain whose addresses are never taken.
const RefusedDomain = "refused.example"

// bounces is how often a mail to [BounceDomain] is refused.
const bounces = 2

// Options are what can be said of an inbox.
type Options struct {
	Addr   string           // default 127.0.0.1:0, a free port
	Logger *slog.Logger     // default slog.Default()
	Now    func() time.Time // default time.Now
}

// Inbox is a running mail server and what it was sent.
type Inbox struct {
	now      func() time.Time
	listener net.Listener
	server   *smtp.Server
	done     chan struct{}

	mu      sync.Mutex
	mails   []*Mail // oldest first
	kept    int     // bytes of their sources
	refused map[string]int
}

// Listen starts an inbox; [Inbox.Close] ends it.
func Listen(o Options) (*Inbox, error) {
	addr := cmp.Or(o.Addr, "127.0.0.1:0")
	listener, err := net.Listen("tcp", addr)
	if errors.Is(err, syscall.EADDRINUSE) {
		return nil, fmt.Errorf("mail inbox: %s is in use by another process", addr)
	}
	if err != nil {
		return nil, fmt.Errorf("mail inbox: cannot listen on %s: %w", addr, err)
	}
	in := &Inbox{now: o.Now, listener: listener, done: make(chan struct{}), refused: map[string]int{}}
	if in.now == nil {
		in.now = time.Now
	}
	logger := cmp.Or(o.Logger, slog.Default())
	in.server = smtp.NewServer(smtp.BackendFunc(func(*smtp.Conn) (smtp.Session, error) { return &session{inbox: in}, nil }))
	in.server.Domain = "localhost"
	in.server.MaxMessageBytes = maxMail
	in.server.MaxRecipients = maxRecipients
	in.server.ReadTimeout = 30 * time.Second
	in.server.WriteTimeout = 30 * time.Second
	in.server.EnableSMTPUTF8 = true
	in.server.ErrorLog = slog.NewLogLogger(logger.Handler(), slog.LevelDebug)
	go func() {
		defer close(in.done)
		if err := in.server.Serve(listener); err != nil {
			logger.Error("mail inbox ended", "error", err)
		}
	}()
	return in, nil
}

// Addr is where mail is taken, as host:port.
func (in *Inbox) Addr() string { return in.listener.Addr().String() }

// Setting is the variable by which a service says that it sends mail, and is told
// where to.
const Setting = "TROUPE_SMTP"

// URL is where mail is taken, as [Setting] wants it.
func (in *Inbox) URL() string { return "smtp://" + in.Addr() }

// Close ends the inbox and its connections, also those with a mail half sent.
func (in *Inbox) Close() error {
	err := in.server.Close()
	// The server knows the listener only once its goroutine has run.
	if closing := in.listener.Close(); !errors.Is(closing, net.ErrClosed) {
		err = errors.Join(err, closing)
	}
	<-in.done
	return err
}

// Mails are the mails that are kept, oldest first.
func (in *Inbox) Mails() []*Mail {
	in.mu.Lock()
	defer in.mu.Unlock()
	return append([]*Mail{}, in.mails...)
}

// Delete forgets the mail with the id given; false where there is none.
func (in *Inbox) Delete(id string) bool {
	in.mu.Lock()
	defer in.mu.Unlock()
	for i, m := range in.mails {
		if m.ID == id {
			in.kept -= len(m.source)
			in.mails = append(in.mails[:i:i], in.mails[i+1:]...)
			return true
		}
	}
	return false
}

// Clear forgets all mails, and which were refused.
func (in *Inbox) Clear() {
	in.mu.Lock()
	defer in.mu.Unlock()
	in.mails, in.kept = nil, 0
	clear(in.refused)
}

func (in *Inbox) keep(m *Mail) {
	in.mu.Lock()
	defer in.mu.Unlock()
	in.mails = append(in.mails, m)
	in.kept += len(m.source)
	for len(in.mails) > maxMails || in.kept > maxKept {
		in.kept -= len(in.mails[0].source)
		in.mails = in.mails[1:]
	}
}

// bounce reports whether the mail is to be refused once more. A mail sent
// again is known by its Message-ID.
func (in *Inbox) bounce(m *Mail, to []string) bool {
	if !slices.ContainsFunc(to, func(address string) bool { return at(address, BounceDomain) }) {
		return false
	}
	in.mu.Lock()
	defer in.mu.Unlock()
	id := cmp.Or(m.MessageID, strings.Join(to, ","))
	if in.refused[id] >= bounces {
		delete(in.refused, id)
		return false
	}
	if len(in.refused) >= maxBounces {
		clear(in.refused)
	}
	in.refused[id]++
	return true
}

func at(address, domain string) bool {
	_, is, _ := strings.Cut(address, "@")
	return strings.EqualFold(is, domain)
}

// session is one connection's conversation.
type session struct {
	inbox *Inbox
	from  string
	to    []string
}

// Mail implements smtp.Session.
func (s *session) Mail(from string, _ *smtp.MailOptions) error {
	s.from = from
	return nil
}

// Rcpt implements smtp.Session.
func (s *session) Rcpt(to string, _ *smtp.RcptOptions) error {
	if at(to, RefusedDomain) {
		return &smtp.SMTPError{Code: 550, EnhancedCode: smtp.EnhancedCode{5, 1, 1}, Message: "nobody at " + RefusedDomain + " takes mail"}
	}
	s.to = append(s.to, to)
	return nil
}

// Data implements smtp.Session.
func (s *session) Data(r io.Reader) error {
	source, err := io.ReadAll(r)
	if err != nil {
		return err
	}
	m := parse(source)
	m.Time = s.inbox.now().UTC()
	m.ID = event.NewID(m.Time)
	m.Envelope.From = Address{Address: s.from}
	for _, to := range s.to {
		m.Envelope.To = append(m.Envelope.To, Address{Address: to})
	}
	if s.inbox.bounce(m, s.to) {
		return &smtp.SMTPError{Code: 451, EnhancedCode: smtp.EnhancedCode{4, 3, 0}, Message: "try again; mail to " + BounceDomain + " is taken at the third time"}
	}
	s.inbox.keep(m)
	return nil
}

// Reset implements smtp.Session.
func (s *session) Reset() { s.from, s.to = "", nil }

// Logout implements smtp.Session.
func (s *session) Logout() error { return nil }
