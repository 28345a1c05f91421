package store_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"sync"
	"testing"
	"testing/fstest"
	"time"

	"github.com/troupedev/troupe/platform/choreo"
	"github.com/troupedev/troupe/platform/failpoint"
	"github.com/troupedev/troupe/platform/store"
	"golang.org/x/sync/errgroup"
)

// counters number the events of keys in the order of commits.
var counters = store.Tables(fstest.MapFS{"00001_tables.sql": {Data: []byte(`-- +goose Up
CREATE TABLE counters (key text PRIMARY KEY, n bigint NOT NULL);
`)}})

func withCounters(c *store.Config) { c.Tables = counters }

// numbered emits the next event of each key.
func numbered(keys []string) handler {
	return func(ctx context.Context) (messages []choreo.Message, err error) {
		for _, key := range keys {
			var n int
			if err := store.Tx(ctx).QueryRowContext(ctx, `INSERT INTO counters VALUES ($1, 1) ON CONFLICT (key) DO UPDATE SET n = counters.n + 1 RETURNING n`, key).Scan(&n); err != nil {
				return nil, err
			}
			messages = append(messages, about("shop", key, n))
		}
		return messages, nil
	}
}

// write commits n transactions of some keys each from several goroutines, and
// returns how many events that were.
func write(t *testing.T, db *store.DB, random *rand.Rand, writers, n int) (events int) {
	t.Helper()
	group, ctx := errgroup.WithContext(t.Context())
	for w := range writers {
		var of [][]string
		for range n {
			keys := make([]string, 1+random.IntN(3))
			for i := range keys {
				keys[i] = "k" + strconv.Itoa(random.IntN(30))
			}
			slices.Sort(keys)
			keys = slices.Compact(keys)
			events += len(keys)
			of = append(of, keys)
		}
		group.Go(func() error {
			for i, keys := range of {
				for again := true; again; {
					_, err := db.Handle(ctx, store.Entry{Reaction: "Write", ID: fmt.Sprint(w, "/", i)}, numbered(keys))
					if again = store.IsOutage(err); err != nil && !again {
						return err
					}
				}
			}
			return nil
		})
	}
	if err := group.Wait(); err != nil {
		t.Fatal(err)
	}
	return events
}

// seeded is a source of random numbers that a failing test can be run with again.
func seeded(t *testing.T) *rand.Rand {
	seed := uint64(time.Now().UnixNano())
	if text := os.Getenv("TROUPE_SEED"); text != "" {
		var err error
		if seed, err = strconv.ParseUint(text, 10, 64); err != nil {
			t.Fatalf("TROUPE_SEED: %v", err)
		}
	}
	t.Logf("TROUPE_SEED=%d", seed)
	return rand.New(rand.NewPCG(seed, seed))
}

// cut ends the connection of one relay, and reports whether there was one.
func cut(t *testing.T, url string) bool {
	t.Helper()
	n := adminCount(t, url, `SELECT count(*) FROM (SELECT pg_terminate_backend(pid) FROM pg_stat_activity
		WHERE datname = current_database() AND application_name LIKE '% relay' ORDER BY random() LIMIT 1) cut`)
	return n == 1
}

func adminCount(t *testing.T, url, query string, args ...any) (n int) {
	t.Helper()
	admin, err := sql.Open("pgx", url)
	if err != nil {
		t.Fatal(err)
	}
	defer admin.Close()
	if err := admin.QueryRowContext(t.Context(), query, args...).Scan(&n); err != nil {
		t.Fatal(err)
	}
	return n
}

func quick(b *broker) store.RelayConfig {
	return store.RelayConfig{Publish: b.publish, Batch: 20, Poll: 50 * time.Millisecond}
}

func TestOrderHoldsWhileRelaysLoseTheirConnections(t *testing.T) {
	onPostgres(t, func(t *testing.T, url string) {
		random, log, b := seeded(t), &logged{}, newBroker()
		first := open(t, url, withCounters, log.into)
		for range 2 {
			run(t, open(t, url, withCounters, log.into).Relay(quick(b)))
		}
		run(t, first.Relay(quick(b)))
		cuts := 0
		writing, written := context.WithCancel(t.Context())
		var cutting sync.WaitGroup
		cutting.Go(func() {
			for writing.Err() == nil {
				heard := len(b.ids())
				b.await(t, func(ids []string) bool { return len(ids) >= heard+10 || writing.Err() != nil })
				if cut(t, url) {
					cuts++
				}
			}
		})
		events := write(t, first, random, 8, 40)
		written()
		b.nudge()
		cutting.Wait()
		ids := b.await(t, atLeast(events))
		inOrder(t, ids)
		t.Logf("%d events, %d repeated, %d cuts", events, len(ids)-events, cuts)
		if len(distinct(ids)) != events {
			t.Errorf("%d events were published, %d emitted", len(distinct(ids)), events)
		}
	})
}

func TestRelaysThatComeAndGoPublishEachEventOnce(t *testing.T) {
	onPostgres(t, func(t *testing.T, url string) {
		random, b := seeded(t), newBroker()
		db := open(t, url, withCounters)
		other := open(t, url, withCounters)
		var changing sync.WaitGroup
		writing, written := context.WithCancel(t.Context())
		changing.Go(func() {
			for writing.Err() == nil {
				stop := []func(){run(t, db.Relay(quick(b))), run(t, other.Relay(quick(b))), run(t, other.Relay(quick(b)))}
				for _, i := range random.Perm(3) {
					heard := len(b.ids())
					b.await(t, func(ids []string) bool { return len(ids) >= heard+10 || writing.Err() != nil })
					stop[i]()
				}
			}
		})
		events := write(t, db, rand.New(rand.NewPCG(1, 1)), 8, 40)
		written()
		b.nudge()
		changing.Wait()
		run(t, db.Relay(quick(b)))
		ids := b.await(t, atLeast(events))
		inOrder(t, ids)
		if len(ids) != events {
			t.Errorf("%d publications of %d events", len(ids), events)
		}
	})
}

func TestRelaysDivideTheBuckets(t *testing.T) {
	onPostgres(t, func(t *testing.T, url string) {
		db, b := open(t, url), newBroker()
		largest := `SELECT coalesce(max(n), 0) FROM (SELECT count(*) AS n FROM pg_locks WHERE locktype = 'advisory' AND objsubid = 2 AND objid < 64
			AND database = (SELECT oid FROM pg_database WHERE datname = current_database()) GROUP BY pid) owned`
		all := `SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND objsubid = 2 AND objid < 64
			AND database = (SELECT oid FROM pg_database WHERE datname = current_database())`
		var stops []func()
		for relays, share := range []int{64, 32, 22, 16} {
			stops = append(stops, run(t, db.Relay(quick(b))))
			eventually(t, fmt.Sprintf("%d relays", relays+1), func() bool {
				return adminCount(t, url, largest) == share && adminCount(t, url, all) == 64
			})
		}
		for _, stop := range stops[1:] {
			stop()
		}
		eventually(t, "one is left", func() bool { return adminCount(t, url, largest) == 64 })
	})
}

// eventually waits until is.
func eventually(t *testing.T, what string, is func() bool) {
	t.Helper()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for range 1000 {
		if is() {
			return
		}
		<-tick.C
	}
	t.Fatalf("%s: never", what)
}

func TestANotificationWakesWhoeverOwnsTheBucket(t *testing.T) {
	onPostgres(t, func(t *testing.T, url string) {
		owner, writer, b := open(t, url), open(t, url), newBroker()
		run(t, owner.Relay(store.RelayConfig{Publish: b.publish, Poll: time.Minute}))
		emit(t, owner, about("shop", "a", 0))
		b.await(t, atLeast(1)) // it runs, and owns all buckets
		var slowest time.Duration
		for n := range 20 {
			emit(t, writer, about("shop", strconv.Itoa(n), n))
			committed := time.Now()
			b.await(t, atLeast(n+2))
			slowest = max(slowest, time.Since(committed))
		}
		due := about("shop", "due", 1)
		due.Due = time.Now().Add(200 * time.Millisecond)
		emit(t, writer, due)
		b.await(t, atLeast(22))
		t.Logf("the slowest of 20 was published %v after its commit; the relay looks by itself every minute", slowest)
	})
}

func TestATransactionWaitsForItsKeyBeforeItDrawsANumber(t *testing.T) {
	onPostgres(t, func(t *testing.T, url string) {
		db := open(t, url)
		reached, proceed := make(chan struct{}), make(chan struct{})
		hook := failpoint.With(t.Context(), func(step string) error {
			if step == failpoint.StoreCommits {
				close(reached)
				<-proceed
			}
			return nil
		})
		put := func(ctx context.Context, n int) error {
			_, err := db.Handle(ctx, entry(strconv.Itoa(n)), func(context.Context) ([]choreo.Message, error) {
				return []choreo.Message{about("shop", "same", n)}, nil
			})
			return err
		}
		var both errgroup.Group
		both.Go(func() error { return put(hook, 1) })
		<-reached
		both.Go(func() error { return put(t.Context(), 2) })
		eventually(t, "the second waits for the first", func() bool {
			return adminCount(t, url, `SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted`) == 1
		})
		if drawn := adminCount(t, url, `SELECT last_value FROM fruit_shop.troupe_outbox_seq_seq`); drawn != 1 {
			t.Errorf("%d numbers were drawn", drawn)
		}
		close(proceed)
		if err := both.Wait(); err != nil {
			t.Fatal(err)
		}
		wantLeft(t, db, waiting, 2)
		if order := text(t, db, `SELECT string_agg(id, ' ' ORDER BY seq) FROM troupe_outbox`); order != "shop/same/1 shop/same/2" {
			t.Error(order)
		}
	})
}

func TestTransactionsOfTheSameKeysDoNotLockEachOtherOut(t *testing.T) {
	onPostgres(t, func(t *testing.T, url string) {
		db := open(t, url)
		var group errgroup.Group
		for w := range 6 {
			group.Go(func() error {
				for i := range 20 {
					a, b := about("shop", "a", w*100+i), about("shop", "b", w*100+i)
					_, err := db.Handle(t.Context(), entry(fmt.Sprint(w, "/", i)), func(context.Context) ([]choreo.Message, error) {
						if w%2 == 0 {
							return []choreo.Message{a, b}, nil
						}
						return []choreo.Message{b, a}, nil
					})
					if err != nil {
						return err
					}
				}
				return nil
			})
		}
		if err := group.Wait(); err != nil {
			t.Error(err)
		}
	})
}

func TestARelayEndsOverWhatCannotHeal(t *testing.T) {
	onPostgres(t, func(t *testing.T, url string) {
		db, b := open(t, url), newBroker()
		must(t, db, "drop", exec(`DROP TABLE troupe_outbox`))
		err := db.Relay(quick(b)).Run(t.Context())
		if err == nil || errors.Is(err, context.Canceled) {
			t.Errorf("%v", err)
		}
	})
}

func TestABucketWithABacklogStopsNoOther(t *testing.T) {
	onPostgres(t, func(t *testing.T, url string) {
		db, b := open(t, url), newBroker()
		var backlog []choreo.Message
		for n := range 500 {
			backlog = append(backlog, about("shop", "hot", n))
		}
		for n := range 30 {
			backlog = append(backlog, about("shop", "k"+strconv.Itoa(n), n))
		}
		emit(t, db, backlog...)
		r := db.Relay(store.RelayConfig{Publish: b.publish, Batch: 50})
		defer r.Close()
		for range 4 {
			if _, _, err := r.Step(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		others := 0
		for _, id := range b.ids() {
			if id[:6] == "shop/k" {
				others++
			}
		}
		if others < 25 {
			t.Errorf("of 30 events of other keys %d were published in 4 batches", others)
		}
		inOrder(t, b.ids())
	})
}
