package store_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/troupedev/troupe/platform/choreo"
	"github.com/troupedev/troupe/platform/store"
)

func TestWhatIsDueLaterIsPublishedThen(t *testing.T) {
	each(t, func(t *testing.T, url string) {
		now := time.UnixMilli(1_000_000)
		clock := func(c *store.Config) { c.Now = func() time.Time { return now } }
		db, b := open(t, url, clock), newBroker()
		for n, after := range []time.Duration{3 * time.Hour, time.Hour, 2 * time.Hour} {
			m := about("shop", "a", n)
			m.Due = now.Add(after)
			emit(t, db, m)
		}
		emit(t, db, about("shop", "a", 9))
		r := relay(db, b)
		step := func(published int, next time.Duration) {
			t.Helper()
			n, at, err := r.Step(t.Context())
			if want := time.UnixMilli(1_000_000).Add(next); n != published || !at.Equal(want) || err != nil {
				t.Errorf("%d, next at %v, %v; want %d, next at %v", n, at, err, published, want)
			}
		}
		step(1, time.Hour)
		step(0, time.Hour)
		now = now.Add(time.Hour)
		step(1, 2*time.Hour)
		r.Close()

		r = relay(db, b) // anew, after everything has become due
		defer r.Close()
		now = now.Add(24 * time.Hour)
		if n, next, err := r.Step(t.Context()); n != 2 || !next.IsZero() || err != nil {
			t.Errorf("%d, %v, %v", n, next, err)
		}
		if got := fmt.Sprint(b.ids()); got != "[shop/a/9 shop/a/1 shop/a/2 shop/a/0]" {
			t.Error(got)
		}
		wantLeft(t, db, waiting, 0)
		wantLeft(t, db, later, 0)
	})
}

func TestManyThatAreDueAtOnceComeInOrder(t *testing.T) {
	each(t, func(t *testing.T, url string) {
		now := time.Now()
		db, b := open(t, url, func(c *store.Config) { c.Now = func() time.Time { return now } }), newBroker()
		many := make([]choreo.Message, 250)
		for n := range many {
			many[n] = about("shop", fmt.Sprint(n%3), n)
			many[n].Due = now.Add(time.Duration(n) * time.Millisecond)
		}
		emit(t, db, many...)
		now = now.Add(time.Hour)
		r := relay(db, b)
		defer r.Close()
		for count(t, db, later)+count(t, db, waiting) > 0 {
			if _, _, err := r.Step(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		if len(b.ids()) != 250 {
			t.Errorf("%d", len(b.ids()))
		}
		inOrder(t, b.ids())
	})
}

// Nobody steps, and the next poll is far away: the relay sleeps until then.
func TestARunningRelaySleepsUntilTheNextIsDue(t *testing.T) {
	each(t, func(t *testing.T, url string) {
		db, b := open(t, url), newBroker()
		run(t, db.Relay(store.RelayConfig{Publish: b.publish, Poll: time.Minute}))
		emit(t, db, about("shop", "a", 1))
		b.await(t, atLeast(1)) // it runs
		m := about("shop", "a", 2)
		m.Due = time.Now().Add(300 * time.Millisecond)
		emit(t, db, m)
		b.await(t, atLeast(2))
		if late := time.Since(m.Due); late < 0 || late > 5*time.Second {
			t.Errorf("published %v after it was due", late)
		}
	})
}
