package store_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/troupedev/troupe/platform/choreo"
	"github.com/troupedev/troupe/platform/failpoint"
	"github.com/troupedev/troupe/platform/store"
	"golang.org/x/sync/errgroup"
)

func TestAnEntryIsHandledOnce(t *testing.T) {
	each(t, func(t *testing.T, url string) {
		db := open(t, url)
		must(t, db, "1", take("pear", 1))
		duplicate, err := db.Handle(t.Context(), entry("1"), func(context.Context) ([]choreo.Message, error) {
			t.Error("the handler ran again")
			return nil, nil
		})
		if !duplicate || err != nil {
			t.Errorf("got %v, %v; want a duplicate", duplicate, err)
		}
		wantState(t, db, 9, 1, 1)
		other := store.Entry{Reaction: "Eat", ID: "1"}
		if duplicate, err := db.Handle(t.Context(), other, take("pear", 2)); duplicate || err != nil {
			t.Errorf("another reaction to the same event: %v, %v", duplicate, err)
		}
		wantState(t, db, 8, 2, 2)
	})
}

func TestAHandlerThatDoesNothingIsRemembered(t *testing.T) {
	each(t, func(t *testing.T, url string) {
		db := open(t, url)
		must(t, db, "1", func(ctx context.Context) ([]choreo.Message, error) {
			if store.Begun(ctx) {
				t.Error("the transaction has begun before it was wanted")
			}
			return nil, nil
		})
		wantState(t, db, 10, 0, 1)
	})
}

func TestManyDeliveriesAtOnceHaveOneEffect(t *testing.T) {
	each(t, func(t *testing.T, url string) {
		db := open(t, url)
		var duplicates, runs atomic.Int64
		together := make(chan struct{})
		var group errgroup.Group
		for range 20 {
			group.Go(func() error {
				<-together
				duplicate, err := db.Handle(t.Context(), entry("1"), func(ctx context.Context) ([]choreo.Message, error) {
					runs.Add(1)
					return take("pear", 1)(ctx)
				})
				if duplicate {
					duplicates.Add(1)
				}
				return err
			})
		}
		close(together)
		if err := group.Wait(); err != nil {
			t.Fatal(err)
		}
		if duplicates.Load() != 19 {
			t.Errorf("%d duplicates of 20, in %d runs", duplicates.Load(), runs.Load())
		}
		wantState(t, db, 9, 1, 1)
	})
}

func TestStockNeverGoesBelowZero(t *testing.T) {
	each(t, func(t *testing.T, url string) {
		db := open(t, url)
		var group errgroup.Group
		var soldOut atomic.Int64
		for n := range 30 {
			group.Go(func() error {
				_, err := db.Handle(t.Context(), entry(fmt.Sprint(n)), func(ctx context.Context) ([]choreo.Message, error) {
					changed, err := store.Exec(ctx, `UPDATE stock SET count = count - 1 WHERE item = 'pear' AND count > 0`)
					if changed == 1 || err != nil {
						return []choreo.Message{message(int(changed))}, err
					}
					soldOut.Add(1)
					return nil, nil
				})
				return err
			})
		}
		if err := group.Wait(); err != nil {
			t.Fatal(err)
		}
		if soldOut.Load() != 20 {
			t.Errorf("%d of 30 found none left; want 20", soldOut.Load())
		}
		wantState(t, db, 0, 10, 30)
	})
}

func TestNothingStaysOfAHandlerThatFails(t *testing.T) {
	broken := errors.New("broken")
	for name, fail := range map[string]func(ctx context.Context, end context.CancelFunc) error{
		"returns an error":                  func(context.Context, context.CancelFunc) error { return broken },
		"outlives its context":              func(_ context.Context, end context.CancelFunc) error { end(); return nil },
		"rolls back":                        func(ctx context.Context, _ context.CancelFunc) error { return store.Tx(ctx).Rollback() },
		"commits, and says what came of it": func(ctx context.Context, _ context.CancelFunc) error { return store.Tx(ctx).Commit() },
		"commits, and says nothing":         ignoresCommit,
		"goes on after a failed statement": func(ctx context.Context, _ context.CancelFunc) error {
			_, _ = store.Tx(ctx).ExecContext(ctx, `INSERT INTO stock VALUES ('pear', 1)`)
			return nil
		},
	} {
		t.Run(name, func(t *testing.T) {
			each(t, func(t *testing.T, url string) {
				db := open(t, url)
				ctx, end := context.WithCancel(t.Context())
				defer end()
				duplicate, err := db.Handle(ctx, entry("1"), func(ctx context.Context) ([]choreo.Message, error) {
					messages, err := take("pear", 1)(ctx)
					return messages, errors.Join(err, fail(ctx, end))
				})
				if err == nil || duplicate || store.IsOutage(err) {
					t.Errorf("got duplicate %v, err %v, outage %v", duplicate, err, store.IsOutage(err))
				}
				t.Log(err)
				wantState(t, db, 10, 0, 0)
				must(t, db, "1", take("pear", 1)) // the next attempt does it
				wantState(t, db, 9, 1, 1)
			})
		})
	}
}

func ignoresCommit(ctx context.Context, _ context.CancelFunc) error {
	_ = store.Tx(ctx).Commit()
	return nil
}

func TestAHandlersErrorIsReturnedAsItIs(t *testing.T) {
	broken := errors.New("broken")
	each(t, func(t *testing.T, url string) {
		db := open(t, url)
		if _, err := db.Handle(t.Context(), entry("1"), func(context.Context) ([]choreo.Message, error) { return nil, broken }); err != broken {
			t.Errorf("got %v", err)
		}
	})
}

func TestAPanicRollsBackAndGoesOn(t *testing.T) {
	each(t, func(t *testing.T, url string) {
		db := open(t, url)
		func() {
			defer func() {
				if r := recover(); r != "broken" {
					t.Errorf("recovered %v", r)
				}
			}()
			_, _ = db.Handle(t.Context(), entry("1"), func(ctx context.Context) ([]choreo.Message, error) {
				_, _ = take("pear", 1)(ctx)
				panic("broken")
			})
		}()
		wantState(t, db, 10, 0, 0)
	})
}

func TestACrashBeforeTheCommitLeavesNothingAndOneAfterItAll(t *testing.T) {
	crash := errors.New("crash")
	for step, want := range map[string]struct {
		left, events, entries int
		duplicate             bool // the next attempt
	}{
		failpoint.StoreCommits:   {10, 0, 0, false},
		failpoint.StoreCommitted: {9, 1, 1, true},
	} {
		t.Run(step, func(t *testing.T) {
			each(t, func(t *testing.T, url string) {
				db := open(t, url)
				ctx := failpoint.With(t.Context(), func(reached string) error {
					if reached == step {
						return crash
					}
					return nil
				})
				if duplicate, err := db.Handle(ctx, entry("1"), take("pear", 1)); duplicate || !errors.Is(err, crash) {
					t.Errorf("got %v, %v", duplicate, err)
				}
				wantState(t, db, want.left, want.events, want.entries)
				if duplicate, err := db.Handle(t.Context(), entry("1"), take("pear", 1)); duplicate != want.duplicate || err != nil {
					t.Errorf("the next attempt: %v, %v", duplicate, err)
				}
				wantState(t, db, 9, 1, 1)
			})
		})
	}
}

// Both see that the entry is new, and then one waits for the other.
func TestAStatementOfADuplicateFails(t *testing.T) {
	each(t, func(t *testing.T, url string) {
		db := open(t, url)
		duplicate, err := db.Handle(t.Context(), entry("1"), func(ctx context.Context) ([]choreo.Message, error) {
			must(t, db, "1", take("pear", 1))
			_, err := take("pear", 1)(ctx)
			if err == nil || !strings.Contains(err.Error(), "handled already") || !store.Begun(ctx) {
				t.Errorf("got %v", err)
			}
			if _, err := store.Tx(ctx).PrepareContext(ctx, `SELECT 1`); err == nil {
				t.Error("a statement was prepared")
			}
			return nil, errors.New("made of it")
		})
		if !duplicate || err != nil {
			t.Errorf("got %v, %v; want a duplicate, whatever the handler says", duplicate, err)
		}
		wantState(t, db, 9, 1, 1)
	})
}

func TestTheTransactionIsTheSameWhereverItIsAskedFor(t *testing.T) {
	each(t, func(t *testing.T, url string) {
		db := open(t, url)
		must(t, db, "1", func(ctx context.Context) ([]choreo.Message, error) {
			inner, cancel := context.WithTimeout(ctx, time.Minute)
			defer cancel()
			var group sync.WaitGroup
			tx := store.Tx(ctx)
			for range 10 {
				group.Go(func() {
					if store.Tx(inner) != tx {
						t.Error("another transaction")
					}
				})
			}
			group.Wait()
			return nil, nil
		})
	})
}

func TestThereIsNoTransactionOutsideOfAHandler(t *testing.T) {
	if store.Begun(t.Context()) {
		t.Error("one has begun")
	}
	defer func() {
		if r := recover(); !strings.Contains(fmt.Sprint(r), "only in a handler of a service with a Store") {
			t.Errorf("recovered %v", r)
		}
	}()
	store.Tx(t.Context())
}

func TestReadChangesNothing(t *testing.T) {
	each(t, func(t *testing.T, url string) {
		db := open(t, url)
		for range 3 { // the connection goes back as it was
			err := db.Read(t.Context(), func(ctx context.Context) error {
				_, err := store.Tx(ctx).ExecContext(ctx, `DELETE FROM stock`)
				return err
			})
			if err == nil || store.IsOutage(err) {
				t.Errorf("a write in a Read: %v", err)
			}
		}
		must(t, db, "1", take("pear", 1))
		wantState(t, db, 9, 1, 1)
		broken := errors.New("broken")
		if err := db.Read(t.Context(), func(context.Context) error { return broken }); err != broken {
			t.Errorf("got %v", err)
		}
	})
}

func TestADatabaseInMemorySurvivesHandlersThatAreCut(t *testing.T) {
	db := open(t, store.Memory)
	must(t, db, "0", take("pear", 0))
	for n := range 20 {
		ctx, cancel := context.WithCancel(t.Context())
		_, err := db.Handle(ctx, entry("cut"), func(ctx context.Context) ([]choreo.Message, error) {
			_, err := take("pear", n)(ctx)
			if n%2 == 0 {
				cancel()
				return nil, err
			}
			time.AfterFunc(time.Millisecond, cancel)
			var sum int
			return nil, store.Tx(ctx).QueryRowContext(ctx, `
				WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM n WHERE i < 100000000) SELECT sum(i) FROM n`).Scan(&sum)
		})
		if !errors.Is(err, context.Canceled) {
			t.Errorf("got %v", err)
		}
	}
	wantState(t, db, 9, 1, 1)
}
