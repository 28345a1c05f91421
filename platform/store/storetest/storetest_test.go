package storetest_test

import (
	"context"
	"database/sql"
	"fmt"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/troupedev/troupe/platform/choreo"
	"github.com/troupedev/troupe/platform/store"
	"github.com/troupedev/troupe/platform/store/storetest"
	"github.com/troupedev/troupe/platform/testmain"
)

func TestMain(m *testing.M) { testmain.Run(m) }

var shop = store.Tables(fstest.MapFS{"00001_tables.sql": {Data: []byte(`-- +goose Up
CREATE TABLE shelves (id text PRIMARY KEY, empty boolean NOT NULL);
CREATE TABLE stock (item text PRIMARY KEY, shelf text NOT NULL REFERENCES shelves, count bigint NOT NULL);
INSERT INTO shelves VALUES ('top', false);
INSERT INTO stock VALUES ('pear', 'top', 3);
`)}})

func TestResetTakesEverythingBackToTheMigrations(t *testing.T) {
	storetest.Each(t, func(t *testing.T, url string) {
		db := storetest.Open(t, url, "fruit-shop", shop, nil)
		e := store.Entry{Reaction: "Sell", ID: "1"}
		for range 3 {
			duplicate, err := db.Handle(t.Context(), e, func(ctx context.Context) ([]choreo.Message, error) {
				for _, query := range []string{
					`INSERT INTO shelves VALUES ('bottom', true)`,
					`INSERT INTO stock VALUES ('apple', 'bottom', 1)`,
					`UPDATE stock SET count = count - 1 WHERE item = 'pear'`,
				} {
					if _, err := store.Tx(ctx).ExecContext(ctx, query); err != nil {
						return nil, err
					}
				}
				return nil, nil
			})
			if err != nil || duplicate {
				t.Fatalf("got %v, %v", duplicate, err)
			}
			if got := rows(t, db); got != "apple 1 true, pear 2 false" {
				t.Errorf("got %s", got)
			}
			db.Reset(t)
			if got := rows(t, db); got != "pear 3 false" {
				t.Errorf("after the reset: %s", got)
			}
		}
	})
}

func rows(t *testing.T, db *storetest.DB) string {
	t.Helper()
	var all []string
	err := db.Read(t.Context(), func(ctx context.Context) (err error) {
		all, err = store.Collect(ctx, func(rows *sql.Rows) (string, error) {
			var item string
			var count int
			var empty bool
			err := rows.Scan(&item, &count, &empty)
			return fmt.Sprint(item, " ", count, " ", empty), err
		}, `SELECT item, count, empty FROM stock JOIN shelves ON shelf = id ORDER BY item`)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return strings.Join(all, ", ")
}

func BenchmarkReset(b *testing.B) {
	urls := map[string]func() string{"sqlite": func() string { return store.Memory }}
	if storetest.Chosen() != storetest.SQLite {
		urls["postgres"] = func() string { return storetest.Postgres(b) }
	}
	for name, url := range urls {
		b.Run(name, func(b *testing.B) {
			db := storetest.Open(b, url(), "shop", shop, time.Now)
			for b.Loop() {
				db.Reset(b)
			}
		})
	}
}
