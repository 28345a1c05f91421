package store_test

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/troupedev/troupe/platform/choreo"
	"github.com/troupedev/troupe/platform/event"
	"github.com/troupedev/troupe/platform/failpoint"
	"github.com/troupedev/troupe/platform/kafka"
	"github.com/troupedev/troupe/platform/store"
)

// about is the n-th event of a key, in a domain.
func about(domain, key string, n int) choreo.Message {
	id := fmt.Sprintf("%s/%s/%d", domain, key, n)
	m := choreo.Message{Domain: domain, ID: id, Value: []byte(strconv.Itoa(n)), Headers: []event.Header{
		{Key: event.HeaderID, Value: []byte(id)}, {Key: event.HeaderType, Value: []byte(domain + ".Taken")}, {Key: "z", Value: []byte("ä \"\\\n")}, {Key: "a", Value: []byte{}},
	}}
	if key != "" {
		m.Key = []byte(key)
	}
	return m
}

// emit commits messages as one handler's.
func emit(t testing.TB, db *store.DB, messages ...choreo.Message) {
	t.Helper()
	e := store.Entry{Reaction: "Emit", ID: messages[0].ID}
	if _, err := db.Handle(t.Context(), e, func(context.Context) ([]choreo.Message, error) { return messages, nil }); err != nil {
		t.Fatal(err)
	}
}

// broker records what is published, and can refuse.
type broker struct {
	mu     sync.Mutex
	heard  []choreo.Message
	refuse func([]choreo.Message) error // nil: takes all
	calls  int
	more   chan struct{} // has room for one
}

func newBroker() *broker { return &broker{more: make(chan struct{}, 1)} }

func (b *broker) publish(_ context.Context, messages []choreo.Message) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.calls++
	if b.refuse != nil {
		if err := b.refuse(messages); err != nil {
			return err
		}
	}
	b.heard = append(b.heard, messages...)
	b.nudge()
	return nil
}

// nudge makes whoever waits look again.
func (b *broker) nudge() {
	select {
	case b.more <- struct{}{}:
	default:
	}
}

func (b *broker) refuses(f func([]choreo.Message) error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.refuse = f
}

func (b *broker) ids() []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	ids := make([]string, len(b.heard))
	for i, m := range b.heard {
		ids[i] = m.ID
	}
	return ids
}

// await waits until enough says that what was heard is.
func (b *broker) await(t testing.TB, enough func(ids []string) bool) []string {
	t.Helper()
	deadline := time.NewTimer(30 * time.Second)
	defer deadline.Stop()
	for {
		if ids := b.ids(); enough(ids) {
			return ids
		}
		select {
		case <-b.more:
		case <-deadline.C:
			t.Fatalf("heard only %d: %.2000v", len(b.ids()), b.ids())
		}
	}
}

func atLeast(n int) func([]string) bool {
	return func(ids []string) bool { return len(distinct(ids)) >= n }
}

func distinct(ids []string) map[string]int {
	times := map[string]int{}
	for _, id := range ids {
		times[id]++
	}
	return times
}

// run runs a relay until the function returned is called, or the test ends.
func run(t testing.TB, relay *store.Relay) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- relay.Run(ctx) }()
	stop = sync.OnceFunc(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(stop)
	return stop
}

func relay(db *store.DB, b *broker) *store.Relay {
	return db.Relay(store.RelayConfig{Publish: b.publish})
}

// inOrder reports keys whose events came for the first time out of order.
func inOrder(t *testing.T, ids []string) {
	t.Helper()
	seen, last := map[string]bool{}, map[string]int{}
	for _, id := range ids {
		if seen[id] {
			continue
		}
		seen[id] = true
		key, number, _ := strings.Cut(strings.TrimPrefix(id, "shop/"), "/")
		n, err := strconv.Atoi(number)
		if err != nil {
			t.Fatal(err)
		}
		if n < last[key] {
			t.Errorf("%s after %s/%d", id, key, last[key])
		}
		last[key] = n
	}
}

const (
	waiting = `SELECT count(*) FROM troupe_outbox`
	later   = `SELECT count(*) FROM troupe_later`
	refused = `SELECT count(*) FROM troupe_refused`
)

func wantLeft(t *testing.T, db *store.DB, query string, want int) {
	t.Helper()
	if n := count(t, db, query); n != want {
		t.Errorf("%s: %d, want %d", query, n, want)
	}
}

func TestRelayedMessagesAreThoseThatWereEmitted(t *testing.T) {
	each(t, func(t *testing.T, url string) {
		db, b := open(t, url), newBroker()
		whole := []choreo.Message{about("shop", "k", 1), about("shop", "", 2), about("bank", "ключ \"\\", 3)}
		whole[1].Value = nil
		emit(t, db, whole...)
		r := relay(db, b)
		defer r.Close()
		n, next, err := r.Step(t.Context())
		if n != 3 || !next.IsZero() || err != nil {
			t.Fatalf("%d, %v, %v", n, next, err)
		}
		for i, got := range b.heard {
			if want := whole[i]; fmt.Sprintf("%q", got) != fmt.Sprintf("%q", want) || (got.Key == nil) != (want.Key == nil) || (got.Value == nil) != (want.Value == nil) {
				t.Errorf("got  %q\nwant %q", got, want)
			}
		}
		wantLeft(t, db, waiting, 0)
	})
}

func TestWhatNoTextCanHoldIsRefused(t *testing.T) {
	each(t, func(t *testing.T, url string) {
		db := open(t, url)
		for name, change := range map[string]func(*choreo.Message){
			"zero in the key":   func(m *choreo.Message) { m.Key = []byte("a\x00b") },
			"binary key":        func(m *choreo.Message) { m.Key = []byte{0xff} },
			"binary header":     func(m *choreo.Message) { m.Headers[2].Value = []byte{0xff} },
			"a topic of others": func(m *choreo.Message) { m.Topic = "replies" },
		} {
			m := about("shop", "k", 1)
			change(&m)
			_, err := db.Handle(t.Context(), entry(name), func(context.Context) ([]choreo.Message, error) { return []choreo.Message{m}, nil })
			if err == nil || store.IsOutage(err) {
				t.Errorf("%s: %v", name, err)
			}
		}
	})
}

func TestARelayThatDiesBetweenPublishAndDeleteRepeatsTheSameIDs(t *testing.T) {
	each(t, func(t *testing.T, url string) {
		db, b := open(t, url), newBroker()
		emit(t, db, about("shop", "a", 1), about("shop", "a", 2))
		died := errors.New("died")
		for _, step := range []string{failpoint.RelayPublishes, failpoint.RelayPublished} {
			ctx := failpoint.With(t.Context(), func(reached string) error {
				if reached == step {
					return died
				}
				return nil
			})
			if _, _, err := relay(db, b).Step(ctx); !errors.Is(err, died) {
				t.Errorf("%s: %v", step, err)
			}
			wantLeft(t, db, waiting, 2)
		}
		r := relay(db, b)
		defer r.Close()
		if n, _, err := r.Step(t.Context()); n != 2 || err != nil {
			t.Errorf("%d, %v", n, err)
		}
		if got := fmt.Sprint(b.ids()); got != "[shop/a/1 shop/a/2 shop/a/1 shop/a/2]" {
			t.Error(got)
		}
		wantLeft(t, db, waiting, 0)
	})
}

func TestABrokerThatIsAwayIsWaitedFor(t *testing.T) {
	each(t, func(t *testing.T, url string) {
		log := &logged{}
		db, b := open(t, url, log.into), newBroker()
		b.refuses(func([]choreo.Message) error { return errors.New("nobody there") })
		stop := run(t, relay(db, b))
		for n := range 20 {
			emit(t, db, about("shop", strconv.Itoa(n), n)) // nothing in it waits for the broker
		}
		tried := make(chan struct{})
		tries := 0
		b.refuses(func([]choreo.Message) error {
			if tries++; tries == 3 {
				close(tried)
			}
			return errors.New("nobody there")
		})
		<-tried
		b.refuses(nil)
		ids := b.await(t, atLeast(20))
		stop()
		if len(ids) != 20 {
			t.Errorf("%d events, want each once: %v", len(ids), ids)
		}
		if away, back := log.count("they wait in the outbox"), log.count("are published again"); away != 1 || back != 1 {
			t.Errorf("logged %d times that the broker is away, %d times that it is back: want one line for each", away, back)
		}
		wantLeft(t, db, waiting, 0)
	})
}

func TestATopicInTroubleStopsNoOther(t *testing.T) {
	each(t, func(t *testing.T, url string) {
		db, b := open(t, url), newBroker()
		b.refuses(func(messages []choreo.Message) error {
			for _, m := range messages {
				if m.Domain == "bank" {
					return errors.New("not allowed")
				}
			}
			return nil
		})
		stop := run(t, relay(db, b))
		for n := range 10 {
			emit(t, db, about("bank", "a", n), about("shop", "a", n))
		}
		ids := b.await(t, atLeast(10))
		if len(ids) != 10 {
			t.Errorf("each once: %v", ids)
		}
		inOrder(t, ids)
		b.refuses(nil)
		b.await(t, atLeast(20))
		stop()
		wantLeft(t, db, waiting, 0)
	})
}

func TestARefusedEventIsSetAside(t *testing.T) {
	each(t, func(t *testing.T, url string) {
		log := &logged{}
		db, b := open(t, url, log.into), newBroker()
		var all []choreo.Message
		for n := range 50 {
			all = append(all, about("shop", strconv.Itoa(n%5), n))
		}
		emit(t, db, all...)
		b.refuses(func(messages []choreo.Message) error {
			for _, m := range messages {
				if m.ID == "shop/2/17" || m.ID == "shop/4/49" {
					return fmt.Errorf("16 bytes: %w", kafka.ErrTooLarge)
				}
			}
			return nil
		})
		r := relay(db, b)
		defer r.Close()
		if n, _, err := r.Step(t.Context()); n != 48 || err != nil {
			t.Errorf("%d, %v", n, err)
		}
		if ids := b.ids(); len(ids) != 48 {
			t.Errorf("each of the others once: %v", ids)
		}
		inOrder(t, b.ids())
		wantLeft(t, db, waiting, 0)
		wantLeft(t, db, refused, 2)
		if n := log.count("troupe_refused"); n != 2 {
			t.Errorf("logged %d times", n)
		}
		if said := text(t, db, `SELECT error FROM troupe_refused WHERE id = 'shop/2/17'`); !strings.Contains(said, "too large") {
			t.Errorf("it says %q", said)
		}
	})
}

// Without a word that says so, only what others do tells a bad event from a bad
// broker.
func TestAnEventThatAlwaysFailsWhileOthersPassIsSetAside(t *testing.T) {
	each(t, func(t *testing.T, url string) {
		db, b := open(t, url), newBroker()
		b.refuses(func(messages []choreo.Message) error {
			for _, m := range messages {
				if m.ID == "shop/bad/1" {
					return errors.New("invalid record")
				}
			}
			return nil
		})
		emit(t, db, about("shop", "bad", 1), about("shop", "bad", 2), about("shop", "a", 1))
		r := relay(db, b)
		defer r.Close()
		for n := 2; ; n++ { // one more passes each time
			_, _, err := r.Step(t.Context())
			if n == 30 {
				t.Fatalf("it is still there: %v", err)
			}
			if count(t, db, refused) == 1 {
				break
			}
			emit(t, db, about("shop", "a", n))
			if ids := b.ids(); distinct(ids)["shop/bad/2"] > 0 {
				t.Fatalf("the next event of its key did not wait for it: %v", ids)
			}
		}
		if _, _, err := r.Step(t.Context()); err != nil {
			t.Error(err)
		}
		inOrder(t, b.ids())
		wantLeft(t, db, waiting, 0)
	})
}

func TestAnOutageSetsNothingAside(t *testing.T) {
	each(t, func(t *testing.T, url string) {
		db, b := open(t, url), newBroker()
		b.refuses(func([]choreo.Message) error { return errors.New("nobody there") })
		for n := range 20 {
			emit(t, db, about("shop", strconv.Itoa(n), n))
		}
		r := relay(db, b)
		defer r.Close()
		for range 20 {
			if _, _, err := r.Step(t.Context()); err == nil {
				t.Fatal("no error")
			}
		}
		wantLeft(t, db, waiting, 20)
		wantLeft(t, db, refused, 0)
		b.refuses(nil)
		for count(t, db, waiting) > 0 {
			if _, _, err := r.Step(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		inOrder(t, b.ids())
	})
}

func TestOutboxLagIsTheAgeOfTheOldest(t *testing.T) {
	each(t, func(t *testing.T, url string) {
		now := time.UnixMilli(1_000_000)
		db, b := open(t, url, func(c *store.Config) { c.Now = func() time.Time { return now } }), newBroker()
		lag := func(want time.Duration) {
			t.Helper()
			if got, err := db.OutboxLag(t.Context()); got != want || err != nil {
				t.Errorf("lag %v, %v; want %v", got, err, want)
			}
		}
		lag(0)
		due := about("shop", "b", 1)
		due.Due = now.Add(time.Minute)
		emit(t, db, due)
		lag(0)
		now = now.Add(63 * time.Second)
		lag(3 * time.Second)
		emit(t, db, about("shop", "a", 1))
		r := relay(db, b)
		defer r.Close()
		if _, _, err := r.Step(t.Context()); err != nil {
			t.Fatal(err)
		}
		lag(0)
	})
}

// Two handles on one file are two processes, as far as SQLite can tell.
func TestOfTwoRelaysOfAFileOneStandsBy(t *testing.T) {
	url := "sqlite:" + t.TempDir()
	first, second, b, other := open(t, url), open(t, url), newBroker(), newBroker()
	poll := 20 * time.Millisecond
	stop := run(t, first.Relay(store.RelayConfig{Publish: b.publish, Poll: poll}))
	emit(t, second, about("shop", "a", 1))
	b.await(t, atLeast(1))
	run(t, second.Relay(store.RelayConfig{Publish: other.publish, Poll: poll}))
	for n := 2; n < 12; n++ {
		emit(t, second, about("shop", "a", n))
		b.await(t, atLeast(n))
	}
	if ids := other.ids(); len(ids) > 0 {
		t.Errorf("both published: %v", ids)
	}
	stop()
	emit(t, first, about("shop", "a", 12))
	other.await(t, atLeast(1))
	if b.ids()[10] != "shop/a/11" || other.ids()[0] != "shop/a/12" {
		t.Errorf("%v, then %v", b.ids(), other.ids())
	}
}
