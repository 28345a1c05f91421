// Package storetest gives tests databases: SQLite in memory, and Postgres.
// TROUPE_TEST_DATABASE says where Postgres is: the postgres:// URL of a server,
// on which each test has a database to itself; container, which is one in a
// container for this test binary; or sqlite, which is none. Without it, tests that
// are about databases take the container where a Docker daemon answers.
//
// In a package whose tests use Postgres, TestMain is testmain.Run, which stops
// the container and drops the databases. Start with [Each], which runs a test on both.
package storetest

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/troupedev/troupe/platform/choreo"
	"github.com/troupedev/troupe/platform/store"
	"github.com/troupedev/troupe/platform/testmain"
)

// Variable is the environment variable that says where Postgres is.
const Variable = "TROUPE_TEST_DATABASE"

// Its values besides a URL.
const (
	Container = "container"
	SQLite    = "sqlite"
)

// Chosen is what Variable says, else Container where Docker answers, else SQLite.
func Chosen() string {
	chosen := os.Getenv(Variable)
	switch {
	case chosen == "" && testmain.DockerAnswers():
		return Container
	case chosen == Container, strings.HasPrefix(chosen, "postgres://"):
		return chosen
	}
	if chosen != "" && chosen != SQLite {
		panic(fmt.Sprintf("%s=%s: want postgres://…, container or sqlite", Variable, chosen))
	}
	return SQLite
}

// Named reports whether Variable says where Postgres is. What can do without it
// goes by this: finding Docker is no reason for it to start a container.
func Named() bool { return os.Getenv(Variable) != "" && Chosen() != SQLite }

// Each runs test on SQLite in memory and, where there is one, on Postgres, as
// subtests of these names. url is of a database that nobody else uses.
func Each(t *testing.T, test func(t *testing.T, url string)) {
	t.Helper()
	t.Run(SQLite, func(t *testing.T) { test(t, store.Memory) })
	if Chosen() == SQLite {
		t.Logf("not run on Postgres: %s=%s, or no Docker daemon answers", Variable, os.Getenv(Variable))
		return
	}
	t.Run("postgres", func(t *testing.T) { test(t, Postgres(t)) })
}

// Postgres is the URL of an empty Postgres database that nobody else uses until
// the test ends. The test fails where Chosen is SQLite: ask that first.
func Postgres(t testing.TB) string {
	t.Helper()
	url, err := databases.take(server(t))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := databases.giveBack(url); err != nil {
			t.Error(err)
		}
	})
	return url
}

// server is the URL of the server that all tests of this binary use.
func server(t testing.TB) string {
	t.Helper()
	switch chosen := Chosen(); chosen {
	case SQLite:
		t.Fatalf("this test needs Postgres: set %s, or start Docker", Variable)
		return ""
	case Container:
		address, err := shared()
		if err != nil {
			t.Fatal(err)
		}
		return address
	default:
		return chosen
	}
}

// shared starts the container once.
var shared = sync.OnceValues(func() (string, error) {
	s, err := Start(context.Background())
	if err != nil {
		return "", err
	}
	if !testmain.AtEnd(s.End) {
		return "", errors.Join(errors.New("nobody would stop Postgres after the tests: the package's TestMain has to be testmain.Run"), s.End())
	}
	return s.URL, nil
})

// DB is a database that can be taken back to how it was opened.
type DB struct {
	*store.DB
	restore func(context.Context) error
}

// Open opens the database of a service at url, [store.Memory] or a [Postgres],
// until the test ends. now is the database's clock; nil: time.Now.
func Open(t testing.TB, url, service string, tables choreo.Store, now func() time.Time) *DB {
	t.Helper()
	db, err := store.Open(t.Context(), store.Config{URL: url, Service: service, Tables: tables, Now: now})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	restore, err := db.Snapshot(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return &DB{db, restore}
}

// Reset takes all rows back to what the migrations left. No transaction may be open.
func (db *DB) Reset(t testing.TB) {
	t.Helper()
	if err := db.restore(context.WithoutCancel(t.Context())); err != nil {
		t.Fatal(err)
	}
}
