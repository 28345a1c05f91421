package store_test

import (
	"context"
	"testing"
	"testing/fstest"

	"github.com/troupedev/troupe/platform/choreo"
	"github.com/troupedev/troupe/platform/store"
	"github.com/troupedev/troupe/platform/store/storetest"
)

// shop has ten pears.
var shop = store.Tables(fstest.MapFS{"migrations/00001_tables.sql": {Data: []byte(`-- +goose Up
CREATE TABLE stock (item text PRIMARY KEY, count bigint NOT NULL);
INSERT INTO stock VALUES ('pear', 10), ('apple', 10);
`)}})

// each runs test on SQLite in memory and in a file, and on Postgres.
func each(t *testing.T, test func(t *testing.T, url string)) {
	t.Helper()
	t.Run("file", func(t *testing.T) { test(t, "sqlite:"+t.TempDir()) })
	storetest.Each(t, test)
}

// onPostgres runs test where there is Postgres.
func onPostgres(t *testing.T, test func(t *testing.T, url string)) {
	t.Helper()
	if storetest.Chosen() == storetest.SQLite {
		t.Logf("not run: it needs Postgres; set %s, or start Docker", storetest.Variable)
		return
	}
	test(t, storetest.Postgres(t))
}

// open opens the shop's database until the test ends.
func open(t *testing.T, url string, change ...func(*store.Config)) *store.DB {
	t.Helper()
	c := store.Config{URL: url, Service: "fruit-shop", Tables: shop}
	for _, f := range change {
		f(&c)
	}
	db, err := store.Open(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	return db
}

type handler = func(context.Context) ([]choreo.Message, error)

// take takes one of an item, and emits that as the n-th event.
func take(item string, n int) handler {
	return func(ctx context.Context) ([]choreo.Message, error) {
		var left int
		err := store.Tx(ctx).QueryRowContext(ctx, `UPDATE stock SET count = count - 1 WHERE item = $1 AND count > 0 RETURNING count`, item).Scan(&left)
		return []choreo.Message{message(n)}, err
	}
}

// exec runs one statement and emits nothing.
func exec(query string, args ...any) handler {
	return func(ctx context.Context) ([]choreo.Message, error) {
		_, err := store.Tx(ctx).ExecContext(ctx, query, args...)
		return nil, err
	}
}

func entry(id string) store.Entry { return store.Entry{Reaction: "Take", ID: id} }

// must handles an entry that is none yet.
func must(t *testing.T, db *store.DB, id string, handle handler) {
	t.Helper()
	if duplicate, err := db.Handle(t.Context(), entry(id), handle); err != nil || duplicate {
		t.Fatalf("%s: duplicate %v, err %v", id, duplicate, err)
	}
}

// count is the number that a query returns.
func count(t *testing.T, db *store.DB, query string) (n int) {
	t.Helper()
	if err := db.Read(t.Context(), func(ctx context.Context) error {
		return store.Tx(ctx).QueryRowContext(ctx, query).Scan(&n)
	}); err != nil {
		t.Fatalf("%s: %v", query, err)
	}
	return n
}

const (
	pears   = `SELECT count FROM stock WHERE item = 'pear'`
	emitted = `SELECT count(*) FROM troupe_outbox`
	entries = `SELECT count(*) FROM troupe_inbox`
)

// wantState compares pears that are left, events in the outbox, and entries.
func wantState(t *testing.T, db *store.DB, left, events, handled int) {
	t.Helper()
	if l, e, h := count(t, db, pears), count(t, db, emitted), count(t, db, entries); l != left || e != events || h != handled {
		t.Errorf("%d pears, %d events, %d entries; want %d, %d, %d", l, e, h, left, events, handled)
	}
}
