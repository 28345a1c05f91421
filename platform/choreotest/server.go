package choreotest

import (
	"context"
	"database/sql"
	"fmt"
	"net/url"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	_ "github.com/jackc/pgx/v5/stdlib" // the driver pgx

	"github.com/troupedev/troupe/platform/choreo"
	"github.com/troupedev/troupe/platform/store"
)

// DatabaseVariable names a Postgres server (postgres://…) on which everything is
// played once more; any other value of it names none.
const DatabaseVariable = "TROUPE_TEST_DATABASE"

// server is where the services' databases are.
type server struct {
	url      string // "": in memory
	postgres bool
}

// servers are those to play on: one, where no service has a Store.
func servers(services choreo.Topology) []server {
	all := []server{{url: store.Memory}}
	if url := os.Getenv(DatabaseVariable); strings.HasPrefix(url, "postgres://") && stored(services) {
		all = append(all, server{url, true})
	}
	return all
}

// prepare makes a database on the server for one play: schemas are named after
// their services, and other tests play the same ones.
func (v server) prepare(t testing.TB) server {
	t.Helper()
	if !v.postgres {
		return v
	}
	name := fmt.Sprintf("troupe_play_%d_%d", os.Getpid(), plays.Add(1))
	v.execute(t, t.Context(), `CREATE DATABASE `+name)
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), 30*time.Second)
		defer cancel()
		v.execute(t, ctx, `DROP DATABASE `+name+` WITH (FORCE)`)
	})
	own, err := url.Parse(v.url)
	if err != nil {
		t.Fatalf("%s: %v", DatabaseVariable, err)
	}
	own.Path = "/" + name
	return server{own.String(), true}
}

var plays atomic.Int64 // of this process

func stored(services choreo.Topology) bool {
	for i := range services {
		if services[i].Store != nil {
			return true
		}
	}
	return false
}

func (v server) execute(t testing.TB, ctx context.Context, command string) {
	t.Helper()
	db, err := sql.Open("pgx", v.url)
	if err != nil {
		t.Fatalf("%s: %v", DatabaseVariable, err)
	}
	defer db.Close()
	if _, err := db.ExecContext(ctx, command); err != nil {
		t.Fatalf("%s: %s: %v", DatabaseVariable, command, err)
	}
}

// open opens the database of one service.
func (v server) open(t testing.TB, s *choreo.Service, now func() time.Time) *database {
	t.Helper()
	db, err := store.Open(t.Context(), store.Config{URL: v.url, Service: s.Name, Tables: s.Store, Now: now, Connections: 2, Logger: quiet})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	restore, err := db.Snapshot(t.Context())
	if err != nil {
		t.Fatalf("%s: keeping what its migrations left: %v", s.Name, err)
	}
	return &database{DB: db, restore: restore}
}
