package notifications

import (
	"context"
	"fmt"
	"regexp"
	"sync"
	"time"

	"github.com/troupedev/troupe/events/notifications"
	"github.com/troupedev/troupe/platform/choreo"
	"github.com/troupedev/troupe/platform/event"
	"github.com/troupedev/troupe/platform/store"
	"github.com/troupedev/troupe/services/internal/account"
)

// How long the steps of one attempt may take. Together they are shorter than
// the attempt, so that what is left of it is for the mail server to say yes.
const (
	askTimeout     = 5 * time.Second
	serverTimeout  = 5 * time.Second  // for the connection, and again for all that comes before the mail's last line
	gateTimeout    = 10 * time.Second // until a place is free
	attemptTimeout = 60 * time.Second
)

// Mail is one mail to one recipient.
type Mail struct {
	Kind        string // which mail, as in NotificationSent
	Reference   string // what it is about, as in NotificationSent
	To          string
	Subject     string
	Text        string
	Attachments []Attachment
	// Forget says that it is not to be known any more to whom the mail went.
	Forget bool
}

// Attachment is a file that comes with a [Mail].
type Attachment struct {
	Name, Type string
	Content    []byte
}

// send sends the mail of the event in hand, and says so: also to whom, but for
// somebody whose account was closed. An empty recipient is somebody whose data
// was erased; nothing is sent.
//
// SMTP cannot take a mail exactly once: between the server's yes and our commit
// there is a window in which a crash makes it be sent again, with the same
// Message-ID. All that can be done before is: the server has everything but the
// mail's last line before the transaction begins, the transaction has its inbox
// row (a duplicate ends here) and its mark before the last line goes, and the
// commit is all that follows. Also, no transaction is open while a server that
// is away or slow is being talked to, but for that one last answer.
func (s *service) send(ctx context.Context, m Mail) (choreo.Events, error) {
	if m.To == "" {
		return nil, nil
	}
	id := event.From(ctx).ID
	person, err := s.post(ctx, id, m)
	if err != nil {
		return nil, fmt.Errorf("mail %q: %w", m.Subject, nameless{err, m.To})
	}
	sent := notifications.NotificationSent{Reference: m.Reference, Kind: m.Kind, Subject: m.Subject}
	if person != "" {
		sent.Recipient = m.To
	}
	return choreo.Emit(sent), nil
}

// nameless is an error without the address that the mail was for, which servers
// like to repeat: errors are logged, and kept with dead letters.
type nameless struct {
	error
	address string
}

func (n nameless) Error() string {
	return regexp.MustCompile("(?i)"+regexp.QuoteMeta(n.address)).ReplaceAllLiteralString(n.error.Error(), "the recipient")
}

func (n nameless) Unwrap() error { return n.error }

// post sends the mail, and returns the person that it is marked as sent to.
func (s *service) post(ctx context.Context, id string, m Mail) (person string, err error) {
	if s.taken.has(id) {
		return mark(ctx, id, m)
	}
	letter, err := s.server.prepare(ctx, id, m)
	if err != nil {
		return "", err
	}
	defer letter.drop()
	if err := s.gate.enter(ctx); err != nil {
		return "", err
	}
	defer s.gate.leave()
	if person, err = mark(ctx, id, m); err != nil {
		return "", err
	}
	if err := letter.post(ctx); err != nil {
		return "", err
	}
	s.taken.add(id)
	return person, nil
}

// mark notes that the mail was sent, for as long as the transaction may be
// committed; that begins it.
func mark(ctx context.Context, id string, m Mail) (person string, err error) {
	if !m.Forget {
		if person, err = account.Person(ctx, m.To); err != nil {
			return "", err
		}
	}
	_, err = store.Exec(ctx, `insert into mails (event_id, person, kind, sent_at) values ($1, $2, $3, $4)`,
		id, person, m.Kind, time.Now().UnixMilli())
	return person, err
}

// gate lets a few mails at once hold a transaction while the server makes up
// its mind: fewer than the service has connections that write (four, unless
// set), so that a server that hangs holds up mail and nothing else.
type gate chan struct{}

const places = 3

func newGate() gate { return make(gate, places) }

func (g gate) enter(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, gateTimeout)
	defer cancel()
	select {
	case g <- struct{}{}:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("%d mails are waiting for the server to take them: %w", places, ctx.Err())
	}
}

func (g gate) leave() { <-g }

// taken remembers mails that the server took. One whose transaction then could
// not be committed, since the database went away, comes again, and is only
// marked: for it not to be sent twice takes no more than that this process lives.
type taken struct {
	mu     sync.Mutex
	ids    map[string]bool
	recent [keep]string // a ring, so that the oldest is forgotten
	next   int
}

const keep = 4096

func (t *taken) has(id string) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.ids[id]
}

func (t *taken) add(id string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.ids == nil {
		t.ids = make(map[string]bool, keep)
	}
	delete(t.ids, t.recent[t.next])
	t.ids[id], t.recent[t.next] = true, id
	t.next = (t.next + 1) % keep
}
