package store_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/troupedev/troupe/platform/choreo"
	"github.com/troupedev/troupe/platform/store"
	"golang.org/x/sync/errgroup"
)

// failsLate fails at its third row.
const failsLate = `SELECT abs(CASE n WHEN 3 THEN -9223372036854775807 - 1 ELSE n END) FROM (SELECT 1 AS n UNION ALL SELECT 2 UNION ALL SELECT 3) r ORDER BY n`

func scanNumber(rows *sql.Rows) (n int64, err error) { return n, rows.Scan(&n) }

func TestNothingIsCommittedWhereARowFailed(t *testing.T) {
	each(t, func(t *testing.T, url string) {
		db := open(t, url)
		for name, read := range map[string]func(ctx context.Context) error{
			"a query": func(ctx context.Context) error {
				_, err := store.Collect(ctx, scanNumber, failsLate)
				return err
			},
			"a prepared statement": func(ctx context.Context) error {
				stmt, err := store.Tx(ctx).PrepareContext(ctx, failsLate)
				if err != nil {
					t.Error(err)
					return err
				}
				defer stmt.Close()
				rows, err := stmt.QueryContext(ctx)
				if err != nil {
					return err
				}
				defer rows.Close()
				for rows.Next() {
				}
				return rows.Err()
			},
		} {
			duplicate, err := db.Handle(t.Context(), entry(name), func(ctx context.Context) ([]choreo.Message, error) {
				messages, err := take("pear", 1)(ctx)
				if failed := read(ctx); failed == nil {
					t.Errorf("%s: no row failed", name)
				}
				return messages, err // goes on as if nothing were
			})
			if duplicate || err == nil || store.IsOutage(err) {
				t.Errorf("%s: got %v, %v; want the error of the row", name, duplicate, err)
			}
		}
		wantState(t, db, 10, 0, 0)
	})
}

func TestAConnectionLostBetweenRowsIsAnOutage(t *testing.T) {
	onPostgres(t, func(t *testing.T, address string) {
		through := &proxy{to: hostOf(t, address)}
		db := open(t, through.start(t, address))
		_, err := db.Handle(t.Context(), entry("1"), func(ctx context.Context) ([]choreo.Message, error) {
			_, err := store.Collect(ctx, func(rows *sql.Rows) (n int64, err error) {
				through.cut()
				return scanNumber(rows)
			}, `SELECT n FROM generate_series(1, 1000000) n`)
			return nil, errors.Join(errors.New("reading"), err)
		})
		if !store.IsOutage(err) {
			t.Errorf("got %v, want an outage", err)
		}
		wantState(t, open(t, address), 10, 0, 0)
	})
}

func TestReadsDoNotWaitForHandlers(t *testing.T) {
	onPostgres(t, func(t *testing.T, url string) {
		db := open(t, url, func(c *store.Config) { c.Connections = 4 })
		must(t, db, "known", take("pear", 1))
		ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
		defer cancel()
		release, inside := make(chan struct{}), make(chan struct{}, 10)
		var handlers errgroup.Group
		for n := range 10 { // more than there are connections
			handlers.Go(func() error {
				_, err := db.Handle(ctx, entry(fmt.Sprint("slow", n)), func(ctx context.Context) ([]choreo.Message, error) {
					_, err := store.Tx(ctx).ExecContext(ctx, `SELECT 1`)
					inside <- struct{}{}
					<-release
					return nil, err
				})
				return err
			})
		}
		for range 3 { // these hold all connections for writing
			<-inside
		}
		if duplicate, err := db.Handle(ctx, entry("known"), take("pear", 1)); !duplicate || err != nil {
			t.Errorf("a look into the inbox: %v, %v", duplicate, err)
		}
		if err := db.Read(ctx, exists); err != nil {
			t.Errorf("a Read: %v", err)
		}
		if _, err := db.OutboxLag(ctx); err != nil {
			t.Errorf("a look at the outbox: %v", err)
		}
		close(release)
		if err := handlers.Wait(); err != nil {
			t.Error(err)
		}
	})
}
