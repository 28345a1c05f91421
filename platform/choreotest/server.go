package choreotest

import (
	"os"
	"testing"
	"time"

	"github.com/troupedev/troupe/platform/choreo"
	"github.com/troupedev/troupe/platform/store"
)

// DatabaseVariable names a Postgres server on which everything is played as well.
const DatabaseVariable = "TROUPE_TEST_DATABASE"

// server is where the services' databases are.
type server struct {
	url  string
	slow bool // not every seed is played on it
}

func servers() []server {
	all := []server{{url: store.Memory}}
	if url := os.Getenv(DatabaseVariable); url != "" {
		all = append(all, server{url, true})
	}
	return all
}

// open opens the database of one service.
func (v server) open(t testing.TB, s *choreo.Service, now func() time.Time) *database {
	t.Helper()
	d := &database{}
	d.reset = func() (err error) {
		if d.DB != nil {
			_ = d.DB.Close()
		}
		d.DB, err = store.Open(t.Context(), store.Config{URL: v.url, Service: s.Name, Tables: s.Store, Now: now})
		return err
	}
	t.Cleanup(func() {
		if d.DB != nil {
			_ = d.DB.Close()
		}
	})
	return d
}
