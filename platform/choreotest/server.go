package choreotest

import (
	"slices"
	"testing"
	"time"

	"github.com/troupedev/troupe/platform/choreo"
	"github.com/troupedev/troupe/platform/store"
	"github.com/troupedev/troupe/platform/store/storetest"
)

// server is where the services' databases are.
type server struct {
	postgres bool // else in memory
}

// servers are those to play on: one, where no service has a Store.
func servers(services choreo.Topology) []server {
	stored := slices.ContainsFunc(services, func(s choreo.Service) bool { return s.Store != nil })
	if stored && storetest.Named() {
		return []server{{}, {postgres: true}}
	}
	return []server{{}}
}

// database is the URL of one for the services of a play: each has its own schema
// in it, named after it, and other tests play the same ones.
func (v server) database(t testing.TB) string {
	t.Helper()
	if v.postgres {
		return storetest.Postgres(t)
	}
	return store.Memory
}

// open opens the database of one service.
func open(t testing.TB, url string, s *choreo.Service, now func() time.Time) *database {
	t.Helper()
	db, err := store.Open(t.Context(), store.Config{URL: url, Service: s.Name, Tables: s.Store, Now: now, Connections: 2, Logger: quiet})
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
