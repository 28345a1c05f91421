package notifications

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/wneessen/go-mail"

	"github.com/troupedev/troupe/platform/choreo"
)

// host is a mail server that answers as its fields say.
type host struct {
	recipient string        // answer to RCPT TO; default 250
	hangs     time.Duration // before it says yes to the mail

	mu    sync.Mutex
	taken []string // the mails it said yes to
}

func (h *host) take(mail string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.taken = append(h.taken, mail)
}

func (h *host) mails() []string {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.taken
}

// serve speaks until the client goes.
func (h *host) serve(conn net.Conn) {
	defer conn.Close()
	say := func(line string) { fmt.Fprintf(conn, "%s\r\n", line) }
	say("220 host")
	for in := bufio.NewScanner(conn); in.Scan(); {
		switch command, _, _ := strings.Cut(in.Text(), " "); command {
		case "RCPT":
			if h.recipient != "" {
				say(h.recipient)
				continue
			}
			say("250 ok")
		case "DATA":
			say("354 go on")
			var lines []string
			for in.Scan() && in.Text() != "." {
				lines = append(lines, in.Text())
			}
			if in.Text() != "." {
				return // the client went before the last line: nothing was sent
			}
			<-time.After(h.hangs)
			h.take(strings.Join(lines, "\n"))
			say("250 taken")
		case "QUIT":
			return
		default:
			say("250 ok")
		}
	}
}

// with runs the test in a bubble with h as the mail server, until the server has
// seen the client go.
func (h *host) with(t *testing.T, test func(*testing.T, *server)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		s, err := newServer(settings{SMTP: "smtp://host:25", From: "shop@example.com"})
		if err != nil {
			t.Fatal(err)
		}
		var talks sync.WaitGroup
		defer talks.Wait()
		s.options = append(s.options, mail.WithTLSPolicy(mail.NoTLS), mail.WithDialContextFunc(func(context.Context, string, string) (net.Conn, error) {
			ours, theirs := net.Pipe()
			talks.Go(func() { h.serve(theirs) })
			return ours, nil
		}))
		test(t, s)
	})
}

var letterToAda = Mail{To: "ada@example.com", Subject: "Hello", Text: "Dear Ada.\n"}

func TestALetterThatIsNotPostedIsNotTaken(t *testing.T) {
	var h host
	h.with(t, func(t *testing.T, s *server) {
		l, err := s.prepare(t.Context(), "id-1", letterToAda)
		if err != nil {
			t.Fatal(err)
		}
		l.drop()
	})
	if got := h.mails(); len(got) != 0 {
		t.Errorf("the server took %q", got)
	}
}

func TestALetterIsTakenOnceItIsPosted(t *testing.T) {
	var h host
	h.with(t, func(t *testing.T, s *server) {
		l, err := s.prepare(t.Context(), "id-1", letterToAda)
		if err != nil {
			t.Fatal(err)
		}
		if err := l.post(t.Context()); err != nil {
			t.Error(err)
		}
		l.drop()
	})
	got := h.mails()
	if len(got) != 1 || !strings.Contains(got[0], "Message-ID: <id-1@troupe.example>") || !strings.Contains(got[0], "Dear Ada.") {
		t.Errorf("the server took %q, want the mail once", got)
	}
}

// TestAServerThatHangsIsWaitedFor: giving up on it would have the mail sent
// again, and this one taken all the same.
func TestAServerThatHangsIsWaitedFor(t *testing.T) {
	for name, c := range map[string]struct {
		hangs time.Duration
		ok    bool
	}{
		"for 10 s":                    {10 * time.Second, true},
		"for longer than the attempt": {2 * attemptTimeout, false},
	} {
		t.Run(name, func(t *testing.T) {
			h := host{hangs: c.hangs}
			h.with(t, func(t *testing.T, s *server) {
				ctx, cancel := context.WithTimeout(t.Context(), attemptTimeout)
				defer cancel()
				began := time.Now()
				l, err := s.prepare(ctx, "id-1", letterToAda)
				if err != nil {
					t.Fatal(err)
				}
				err = l.post(ctx)
				l.drop()
				if (err == nil) != c.ok {
					t.Errorf("after %v: %v", time.Since(began), err)
				}
				if took := time.Since(began); took > attemptTimeout {
					t.Errorf("it took %v, longer than the attempt", took)
				}
			})
		})
	}
}

func TestARefusalIsPermanentOrNot(t *testing.T) {
	for name, c := range map[string]struct {
		answer    string
		permanent bool
	}{
		"busy":           {"451 come back later", false},
		"no such person": {"550 nobody of that name", true},
	} {
		t.Run(name, func(t *testing.T) {
			h := host{recipient: c.answer}
			h.with(t, func(t *testing.T, s *server) {
				_, err := s.prepare(t.Context(), "id-1", letterToAda)
				if err == nil || choreo.IsPermanent(err) != c.permanent || !strings.Contains(err.Error(), c.answer[4:]) {
					t.Errorf("got %v, permanent: %t", err, choreo.IsPermanent(err))
				}
			})
		})
	}
}

func TestBadSettingsAreNamed(t *testing.T) {
	for name, c := range map[string]struct {
		settings settings
		says     string
	}{
		"no server":          {settings{From: "a@example.com"}, "TROUPE_SMTP"},
		"another protocol":   {settings{SMTP: "http://host", From: "a@example.com"}, "TROUPE_SMTP"},
		"a port too far":     {settings{SMTP: "smtp://host:99999", From: "a@example.com"}, "TROUPE_SMTP"},
		"a sender of no use": {settings{SMTP: "smtp://host:25", From: "nobody"}, "NOTIFICATIONS_FROM"},
	} {
		if _, err := newServer(c.settings); err == nil || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: got %v, want an error that names %s", name, err, c.says)
		}
	}
}

func TestAServerThatHangsHoldsUpFewTransactions(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGate()
		for range places {
			if err := g.enter(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		began := time.Now()
		if err := g.enter(t.Context()); !errors.Is(err, context.DeadlineExceeded) || time.Since(began) != gateTimeout {
			t.Errorf("one more: %v after %v, want none within %v", err, time.Since(began), gateTimeout)
		}
		g.leave()
		if err := g.enter(t.Context()); err != nil {
			t.Errorf("after one has left: %v", err)
		}
	})
}

func TestTheOldestTakenMailIsForgotten(t *testing.T) {
	var k taken
	for i := range keep + 1 {
		k.add(fmt.Sprint(i))
	}
	if k.has("0") || !k.has("1") || !k.has(fmt.Sprint(keep)) || len(k.ids) != keep {
		t.Errorf("remembered are %d mails, want the last %d", len(k.ids), keep)
	}
}
