package store_test

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"sync/atomic"
	"testing"
	"testing/fstest"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/troupedev/troupe/platform/choreo"
	"github.com/troupedev/troupe/platform/event"
	"github.com/troupedev/troupe/platform/store"
	"github.com/troupedev/troupe/platform/store/storetest"
	"golang.org/x/sync/errgroup"
)

// A round is short enough that whatever else the machine does falls on both.
const (
	benchItems   = 1000
	benchWorkers = 6
	benchRound   = 20 // events for each worker
)

var benchTables = store.Tables(fstest.MapFS{"00001_tables.sql": {Data: fmt.Appendf(nil, `-- +goose Up
CREATE TABLE stock (item bigint PRIMARY KEY, count bigint NOT NULL);
INSERT INTO stock WITH RECURSIVE items(n) AS (SELECT 0 UNION ALL SELECT n+1 FROM items WHERE n < %d) SELECT n, 1000000000 FROM items;
`, benchItems-1)}})

const takeOne = `UPDATE stock SET count = count - 1 WHERE item = $1 AND count > 0 RETURNING count`

// BenchmarkHandle compares handlers on Postgres with a bare loop that does the
// same SQL by pgx. They are run in turns; ratio is the throughput of the first in
// that of the second, by the median of the rounds, of which 0.7 is asked. plain-ratio is against a loop whose
// insert into the outbox is a plain one, which keeps no order.
func BenchmarkHandle(b *testing.B) {
	if storetest.Chosen() == storetest.SQLite {
		b.Fatalf("this benchmark needs Postgres: set %s, or start Docker", storetest.Variable)
	}
	url := storetest.Postgres(b)
	db, err := store.Open(b.Context(), store.Config{URL: url, Service: "bench", Tables: benchTables, Connections: benchWorkers})
	if err != nil {
		b.Fatal(err)
	}
	defer db.Close()
	var conns [benchWorkers]*pgx.Conn
	for i := range conns {
		if conns[i], err = pgx.Connect(b.Context(), url); err != nil {
			b.Fatal(err)
		}
		defer conns[i].Close(context.Background())
		if _, err := conns[i].Exec(b.Context(), `SET search_path = bench`); err != nil {
			b.Fatal(err)
		}
	}
	loops := []loop{
		func(ctx context.Context, _, n int) error { return handleOne(ctx, db, n) },
		func(ctx context.Context, worker, n int) error { return bareOne(ctx, conns[worker], n, insertOrdered) },
		func(ctx context.Context, worker, n int) error { return bareOne(ctx, conns[worker], n, insertPlain) },
	}
	took := make([][]time.Duration, len(loops))
	for _, do := range loops {
		round(b, do) // warm up
	}
	for b.Loop() {
		for i, do := range loops {
			took[i] = append(took[i], round(b, do))
		}
	}
	perSecond := func(i int) float64 {
		slices.Sort(took[i])
		return benchRound * benchWorkers / took[i][len(took[i])/2].Seconds()
	}
	b.ReportMetric(perSecond(0), "handled/s")
	b.ReportMetric(perSecond(1), "bare/s")
	b.ReportMetric(perSecond(0)/perSecond(1), "ratio")
	b.ReportMetric(perSecond(0)/perSecond(2), "plain-ratio")
}

// loop does the work of the n-th event.
type loop func(ctx context.Context, worker, n int) error

var benchEvents atomic.Int64

func round(b *testing.B, do loop) time.Duration {
	b.Helper()
	started := time.Now()
	group, ctx := errgroup.WithContext(b.Context())
	for worker := range benchWorkers {
		group.Go(func() error {
			for range benchRound {
				if err := do(ctx, worker, int(benchEvents.Add(1))); err != nil {
					return err
				}
			}
			return nil
		})
	}
	if err := group.Wait(); err != nil {
		b.Fatal(err)
	}
	return time.Since(started)
}

var benchType = event.Versions(event.Type{Domain: "shop", Name: "Taken", Version: 1})[0]

func message(n int) choreo.Message {
	id := event.DeriveID("bench", strconv.Itoa(n))
	return choreo.Message{
		Domain: "shop", Key: []byte(strconv.Itoa(n % benchItems)), Value: make([]byte, 200), ID: id, Type: benchType,
		Headers: []event.Header{{Key: event.HeaderID, Value: []byte(id)}, {Key: event.HeaderType, Value: []byte(benchType.FullName())}},
	}
}

func handleOne(ctx context.Context, db *store.DB, n int) error {
	e := store.Entry{Reaction: "Take", ID: event.DeriveID("handled", strconv.Itoa(n))}
	_, err := db.Handle(ctx, e, func(ctx context.Context) ([]choreo.Message, error) {
		var left int64
		err := store.Tx(ctx).QueryRowContext(ctx, takeOne, n%benchItems).Scan(&left)
		return []choreo.Message{message(n)}, err
	})
	return err
}

func bareOne(ctx context.Context, c *pgx.Conn, n int, insert func(context.Context, pgx.Tx, choreo.Message, int) error) error {
	return pgx.BeginFunc(ctx, c, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, `INSERT INTO troupe_inbox (reaction, id, at) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING`,
			"Take", event.DeriveID("bare", strconv.Itoa(n)), time.Now().UnixMilli()); err != nil {
			return err
		}
		var left int64
		if err := tx.QueryRow(ctx, takeOne, n%benchItems).Scan(&left); err != nil {
			return err
		}
		return insert(ctx, tx, message(n), n)
	})
}

func insertOrdered(ctx context.Context, tx pgx.Tx, m choreo.Message, n int) error {
	_, err := tx.Exec(ctx, store.InsertOne, n%64, time.Now().UnixMilli(), m.ID, m.Domain, string(m.Key), m.Type.FullName(), m.Value, headersOf(m), int64(n%benchItems))
	return err
}

func insertPlain(ctx context.Context, tx pgx.Tx, m choreo.Message, n int) error {
	_, err := tx.Exec(ctx, `INSERT INTO troupe_outbox (bucket, created, id, aggregatetype, aggregateid, type, payload, headers) VALUES ($1, $2, $3, $4, $5, $6, $7, $8)`,
		n%64, time.Now().UnixMilli(), m.ID, m.Domain, string(m.Key), m.Type.FullName(), m.Value, headersOf(m))
	return err
}

func headersOf(m choreo.Message) string { return `{"ce_id":"` + m.ID + `","ce_type":"shop.Taken"}` }

// BenchmarkSQLite is a handler with one statement on the embedded default.
func BenchmarkSQLite(b *testing.B) {
	for name, url := range map[string]string{"memory": store.Memory, "file": "sqlite:" + b.TempDir()} {
		b.Run(name, func(b *testing.B) {
			db, err := store.Open(b.Context(), store.Config{URL: url, Service: "bench", Tables: benchTables})
			if err != nil {
				b.Fatal(err)
			}
			defer db.Close()
			for b.Loop() {
				if err := handleOne(b.Context(), db, int(benchEvents.Add(1))); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
