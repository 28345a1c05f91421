package store_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/troupedev/troupe/platform/choreo"
	"github.com/troupedev/troupe/platform/store"
	"golang.org/x/sync/errgroup"
)

// heard is a request ("Q"), or the answer of a service to it.
type heard struct {
	what     string
	expected []string // of a request
}

func request(expected ...string) heard { return heard{"Q", append([]string{}, expected...)} }
func answer(service string) heard      { return heard{what: service} }

// keep lets a reaction hear h, and returns what that made complete, as text.
func keep(ctx context.Context, db *store.DB, id string, h heard) (complete string, err error) {
	_, err = db.Handle(ctx, entry(id), func(ctx context.Context) ([]choreo.Message, error) {
		g := store.GathererOf(ctx)
		var all *choreo.Gathered
		var err error
		if h.what == "Q" {
			all, err = g.Request(ctx, "Close", "q", []byte("Q "+id), h.expected)
		} else {
			all, err = g.Answer(ctx, "Close", "q", h.what, []byte(h.what+" "+id))
		}
		if all != nil {
			complete = string(all.Request) + ": "
			for i, answer := range all.Answers {
				complete += strings.Repeat(", ", min(i, 1)) + string(answer)
			}
		}
		return nil, err
	})
	return complete, err
}

func TestAGatheringIsCompleteOnce(t *testing.T) {
	for _, c := range []struct {
		name  string
		heard []heard
		want  string // "n: complete" for the n-th of what is heard
	}{
		{"the request, then answers", []heard{request("b", "a"), answer("b"), answer("a")}, "2: Q 0: a 2, b 1"},
		{"an answer before the request", []heard{answer("a"), request("a", "b"), answer("b")}, "2: Q 1: a 0, b 2"},
		{"all answers before the request", []heard{answer("a"), answer("b"), request("a", "b")}, "2: Q 2: a 0, b 1"},
		{"a service that answers twice", []heard{request("a", "b"), answer("a"), answer("a"), answer("b"), answer("b")}, "3: Q 0: a 1, b 3"},
		{"somebody who is not expected", []heard{request("a"), answer("z"), answer("a")}, "2: Q 0: a 2, z 1"},
		{"somebody who comes too late", []heard{request("a"), answer("a"), answer("z")}, "1: Q 0: a 1"},
		{"the request twice", []heard{request("a"), request("a", "b"), answer("a")}, "2: Q 0: a 2"},
		{"nobody is expected", []heard{request()}, "0: Q 0: "},
		{"nobody is expected, and somebody answers", []heard{request(), answer("a")}, "0: Q 0: "},
		{"one is missing", []heard{request("a", "b"), answer("a"), answer("z")}, ""},
		{"no request", []heard{answer("a"), answer("b")}, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			each(t, func(t *testing.T, url string) {
				db := open(t, url)
				var complete []string
				for n, h := range c.heard {
					got, err := keep(t.Context(), db, fmt.Sprint(n), h)
					if err != nil {
						t.Fatal(err)
					}
					if got != "" {
						complete = append(complete, fmt.Sprintf("%d: %s", n, got))
					}
				}
				if got := strings.Join(complete, "; "); got != c.want {
					t.Errorf("got %q, want %q", got, c.want)
				}
			})
		})
	}
}

func TestOfAnswersAtOnceOneCompletes(t *testing.T) {
	each(t, func(t *testing.T, url string) {
		db := open(t, url)
		services := strings.Split("abcdefghij", "")
		var completed atomic.Int64
		var group errgroup.Group
		for n, h := range append([]heard{request(services...)}, answers(services)...) {
			group.Go(func() error {
				for {
					complete, err := keep(t.Context(), db, fmt.Sprint(n), h)
					if complete != "" && err == nil {
						completed.Add(1)
					}
					if !store.IsOutage(err) {
						return err
					}
				}
			})
		}
		if err := group.Wait(); err != nil {
			t.Fatal(err)
		}
		if completed.Load() != 1 {
			t.Errorf("complete %d times", completed.Load())
		}
	})
}

func answers(services []string) (all []heard) {
	for _, service := range services {
		all = append(all, answer(service))
	}
	return all
}

// The first answer is not committed when the second asks who is missing.
func TestAnAnswerWaitsForTheOneBeforeIt(t *testing.T) {
	onPostgres(t, func(t *testing.T, url string) {
		db := open(t, url)
		if _, err := keep(t.Context(), db, "q", request("a", "b")); err != nil {
			t.Fatal(err)
		}
		kept, release := make(chan struct{}), make(chan struct{})
		var group sync.WaitGroup
		group.Go(func() {
			must(t, db, "a", func(ctx context.Context) ([]choreo.Message, error) {
				_, err := store.GathererOf(ctx).Answer(ctx, "Close", "q", "a", []byte("a"))
				close(kept)
				<-release
				return nil, err
			})
		})
		<-kept
		time.AfterFunc(50*time.Millisecond, func() { close(release) })
		complete, err := keep(t.Context(), db, "b", answer("b"))
		if complete == "" || err != nil {
			t.Errorf("got %q, %v; want it complete", complete, err)
		}
		group.Wait()
	})
}

func TestAnAnswerThatIsRolledBackIsMissing(t *testing.T) {
	each(t, func(t *testing.T, url string) {
		db := open(t, url)
		if _, err := keep(t.Context(), db, "0", request("a")); err != nil {
			t.Fatal(err)
		}
		broken := errors.New("broken")
		_, err := db.Handle(t.Context(), entry("1"), func(ctx context.Context) ([]choreo.Message, error) {
			all, err := store.GathererOf(ctx).Answer(ctx, "Close", "q", "a", nil)
			if all == nil || err != nil {
				t.Errorf("got %v, %v", all, err)
			}
			return nil, broken
		})
		if err != broken {
			t.Errorf("got %v", err)
		}
		if complete, err := keep(t.Context(), db, "1", answer("a")); complete != "Q 0: a 1" || err != nil {
			t.Errorf("the next attempt: %q, %v", complete, err)
		}
	})
}

func TestGatheredShowsWhoIsWaitedFor(t *testing.T) {
	each(t, func(t *testing.T, url string) {
		now := time.UnixMilli(1_000_000)
		db := open(t, url, func(c *store.Config) { c.Now = func() time.Time { return now } })
		gathered := func() (g store.Gathering, ok bool) {
			t.Helper()
			err := db.Read(t.Context(), func(ctx context.Context) (err error) {
				g, ok, err = store.Gathered(ctx, "Close", "q")
				return err
			})
			if err != nil {
				t.Fatal(err)
			}
			return g, ok
		}
		for n, c := range []struct {
			heard    heard
			waiting  []string
			complete bool
		}{
			{request("c", "a", "b"), []string{"a", "b", "c"}, false},
			{answer("b"), []string{"a", "c"}, false},
			{answer("c"), []string{"a"}, false},
			{answer("a"), nil, true},
		} {
			if _, ok := gathered(); ok != (n > 0) {
				t.Errorf("before %d: ok %v", n, ok)
			}
			if _, err := keep(t.Context(), db, fmt.Sprint(n), c.heard); err != nil {
				t.Fatal(err)
			}
			g, ok := gathered()
			if !ok || !slices.Equal(g.Waiting(), c.waiting) || g.Complete != c.complete || !slices.Equal(g.Expected, []string{"a", "b", "c"}) {
				t.Errorf("after %d: %v, %+v; want %v to be waited for", n, ok, g, c.waiting)
			}
			if n > 0 && !g.Answered[c.heard.what].Equal(now) {
				t.Errorf("%s answered at %v, want %v", c.heard.what, g.Answered[c.heard.what], now)
			}
			now = now.Add(time.Second)
		}
	})
}

func TestARequestOfWhichNobodySaidWhoAnswersIsNotComplete(t *testing.T) {
	db := open(t, store.Memory)
	complete, err := keep(t.Context(), db, "1", heard{what: "Q"})
	if complete != "" || !choreo.IsPermanent(err) || !strings.Contains(err.Error(), "nobody said who is to give some") {
		t.Errorf("complete %q, %v", complete, err)
	}
}

func TestOfACompleteGatheringNoContentIsKept(t *testing.T) {
	each(t, func(t *testing.T, url string) {
		db := open(t, url)
		const contents = `SELECT (SELECT count(*) FROM troupe_gathered WHERE request IS NOT NULL) + (SELECT count(*) FROM troupe_gathered_answers WHERE length(answer) > 0)`
		for n, c := range []struct {
			heard heard
			kept  int
		}{{request("a", "b"), 1}, {answer("a"), 2}, {answer("b"), 0}, {answer("z"), 0}, {request("a", "b"), 0}, {answer("a"), 0}} {
			complete, err := keep(t.Context(), db, fmt.Sprint(n), c.heard)
			if err != nil || (complete != "") != (n == 2) {
				t.Fatalf("%d: %q, %v", n, complete, err)
			}
			if got := count(t, db, contents); got != c.kept {
				t.Errorf("after %d: %d contents, want %d", n, got, c.kept)
			}
		}
		if err := db.Read(t.Context(), func(ctx context.Context) error {
			g, ok, err := store.Gathered(ctx, "Close", "q")
			if !ok || !g.Complete || len(g.Answered) != 3 {
				t.Errorf("got %+v, %t", g, ok)
			}
			return err
		}); err != nil {
			t.Error(err)
		}
	})
}
