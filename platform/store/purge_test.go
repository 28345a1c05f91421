package store_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/troupedev/troupe/platform/choreo"
	"github.com/troupedev/troupe/platform/store"
)

func TestWhatWasAnsweredIsKeptWithWhatWasDone(t *testing.T) {
	each(t, func(t *testing.T, url string) {
		db := open(t, url)
		e := store.Entry{Reaction: "POST /orders", ID: "1"}
		if _, _, ok, err := db.Answer(t.Context(), e); ok || err != nil {
			t.Errorf("before: %v, %v", ok, err)
		}
		broken := errors.New("broken")
		for _, want := range []error{broken, nil} {
			_, err := db.Handle(t.Context(), e, func(ctx context.Context) ([]choreo.Message, error) {
				return nil, errors.Join(store.KeepAnswer(ctx, []byte{0, 1}, []byte("202 accepted")), want)
			})
			if !errors.Is(err, want) {
				t.Fatalf("got %v", err)
			}
			fingerprint, answer, ok, err := db.Answer(t.Context(), e)
			if ok != (want == nil) || err != nil || ok && (!bytes.Equal(fingerprint, []byte{0, 1}) || string(answer) != "202 accepted") {
				t.Errorf("after %v: %v, %q, %v, %v", want, fingerprint, answer, ok, err)
			}
		}
		if _, _, ok, err := db.Answer(t.Context(), store.Entry{Reaction: "POST /users", ID: "1"}); ok || err != nil {
			t.Errorf("another route: %v, %v", ok, err)
		}
	})
}

func TestWhatIsOldIsForgottenInBatches(t *testing.T) {
	each(t, func(t *testing.T, url string) {
		now := time.UnixMilli(10_000_000)
		db := open(t, url, func(c *store.Config) {
			c.KeepInbox = time.Hour
			c.Now = func() time.Time { return now }
		})
		const old = store.PurgeBatch + 10
		must(t, db, "fill", func(ctx context.Context) ([]choreo.Message, error) {
			_, err := store.Tx(ctx).ExecContext(ctx, `INSERT INTO troupe_inbox (reaction, id, at)
				WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM n WHERE i < $1) SELECT 'Old', CAST(i AS text), $2 FROM n`,
				old, now.Add(-time.Hour-time.Millisecond).UnixMilli())
			return nil, err
		})
		must(t, db, "answered", func(ctx context.Context) ([]choreo.Message, error) {
			return nil, store.KeepAnswer(ctx, []byte("a"), []byte("b"))
		})
		for i, want := range []int{store.PurgeBatch, 10, 0} {
			if got, err := db.Purge(t.Context()); got != want || err != nil {
				t.Errorf("purge %d: %d, %v; want %d", i, got, err, want)
			}
		}
		wantState(t, db, 10, 0, 2)
		now = now.Add(time.Hour + time.Millisecond)
		if got, err := db.Purge(t.Context()); got != 3 || err != nil {
			t.Errorf("an hour later: %d, %v; want 2 entries and 1 answer", got, err)
		}
		if duplicate, err := db.Handle(t.Context(), entry("answered"), take("pear", 1)); duplicate || err != nil {
			t.Errorf("what is forgotten is new: %v, %v", duplicate, err)
		}
	})
}

func TestAGatheringIsForgottenOnceItIsComplete(t *testing.T) {
	each(t, func(t *testing.T, url string) {
		now := time.UnixMilli(10_000_000)
		db := open(t, url, func(c *store.Config) { c.Now = func() time.Time { return now } })
		for n, h := range []heard{request("a", "b"), answer("a")} {
			if _, err := keep(t.Context(), db, fmt.Sprint(n), h); err != nil {
				t.Fatal(err)
			}
		}
		purge := func(want int) {
			t.Helper()
			now = now.Add(store.DefaultKeepInbox + time.Millisecond)
			if got, err := db.Purge(t.Context()); got != want || err != nil {
				t.Errorf("%d rows, %v; want %d", got, err, want)
			}
		}
		purge(2) // the entries alone
		if complete, err := keep(t.Context(), db, "2", answer("b")); complete == "" || err != nil {
			t.Errorf("got %q, %v", complete, err)
		}
		purge(2) // an entry, and the gathering
		if n := count(t, db, `SELECT count(*) FROM troupe_gathered_answers`); n != 0 {
			t.Errorf("%d answers are left", n)
		}
	})
}
