package store_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/troupedev/troupe/platform/choreo"
	"github.com/troupedev/troupe/platform/store"
	"golang.org/x/sync/errgroup"
)

func TestOpenNamesEveryFault(t *testing.T) {
	for _, c := range []struct {
		name   string
		config store.Config
		want   string
	}{
		{"no service", store.Config{URL: store.Memory, Tables: shop}, `service ""`},
		{"a service that no schema can be called", store.Config{URL: store.Memory, Service: `a"b`, Tables: shop}, "want lower-case letters"},
		{"no tables", store.Config{URL: store.Memory, Service: "shop"}, "declare them by store.Tables"},
		{"one connection", store.Config{URL: store.Memory, Service: "shop", Tables: shop, Connections: 1}, "at least 2"},
		{"a short memory", store.Config{URL: store.Memory, Service: "shop", Tables: shop, KeepInbox: time.Second}, "at least a minute"},
		{"a short memory, and no service", store.Config{URL: store.Memory, Tables: shop, KeepInbox: time.Second}, `service ""`},
		{"no address", store.Config{Service: "shop", Tables: shop}, "neither postgres://"},
		{"another database", store.Config{URL: "mysql://localhost", Service: "shop", Tables: shop}, "neither postgres://"},
		{"an address that cannot be read", store.Config{URL: "postgres://localhost:port/", Service: "shop", Tables: shop}, "invalid port"},
		{"no folder", store.Config{URL: "sqlite:", Service: "shop", Tables: shop}, "names no folder"},
		{"a folder that cannot be", store.Config{URL: "sqlite:/dev/null/x", Service: "shop", Tables: shop}, "/dev/null"},
		{"no migrations", store.Config{URL: store.Memory, Service: "shop", Tables: store.Tables(fstest.MapFS{})}, "there is no migration"},
		{"a broken migration", store.Config{URL: store.Memory, Service: "shop", Tables: store.Tables(fstest.MapFS{
			"00001_tables.sql": {Data: []byte("-- +goose Up\nCREATE TABLE;")}})}, "00001_tables.sql"},
	} {
		t.Run(c.name, func(t *testing.T) {
			db, err := store.Open(t.Context(), c.config)
			if db != nil || err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want %q in it", err, c.want)
			}
		})
	}
}

func TestWhatWasHandledIsRememberedOverRestarts(t *testing.T) {
	address := "sqlite:" + t.TempDir()
	more := fstest.MapFS{}
	for name, file := range shop.Migrations().(fstest.MapFS) {
		more[name] = file
	}
	more["migrations/00002_prices.sql"] = &fstest.MapFile{Data: []byte("-- +goose Up\nCREATE TABLE prices (item text PRIMARY KEY);")}
	for n, files := range []fs.FS{shop.Migrations(), shop.Migrations(), more} {
		db, err := store.Open(t.Context(), store.Config{URL: address, Service: "shop", Tables: store.Tables(files)})
		if err != nil {
			t.Fatal(err)
		}
		duplicate, err := db.Handle(t.Context(), entry("1"), take("pear", 1))
		if duplicate != (n > 0) || err != nil {
			t.Errorf("time %d: %v, %v", n, duplicate, err)
		}
		wantState(t, db, 9, 1, 1)
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	}
}

func TestManyProcessesOpenOneDatabase(t *testing.T) {
	each(t, func(t *testing.T, address string) {
		if address == store.Memory {
			return // which every DB has for itself
		}
		dbs := make([]*store.DB, 6)
		var group errgroup.Group
		for n := range dbs {
			group.Go(func() (err error) {
				dbs[n], err = store.Open(t.Context(), store.Config{URL: address, Service: "fruit-shop", Tables: shop})
				return err
			})
		}
		err := group.Wait()
		for _, db := range dbs {
			if db != nil {
				defer db.Close()
			}
		}
		if err != nil {
			t.Fatal(err)
		}
		for n, db := range dbs {
			group.Go(func() error {
				for i := range 4 { // two processes have each of the entries
					_, err := db.Handle(t.Context(), entry(fmt.Sprint(n%3, i)), func(ctx context.Context) (_ []choreo.Message, err error) {
						_, err = store.Tx(ctx).ExecContext(ctx, `UPDATE stock SET count = count - 1 WHERE item = 'pear' AND count > 0`)
						return nil, err
					})
					if err != nil {
						return err
					}
				}
				return nil
			})
		}
		if err := group.Wait(); err != nil {
			t.Fatal(err)
		}
		wantState(t, dbs[0], 0, 0, 12)
	})
}

func TestOpenWaitsForAServerThatIsStarting(t *testing.T) {
	onPostgres(t, func(t *testing.T, address string) {
		through := &proxy{to: hostOf(t, address)}
		through.refuse.Store(3)
		db := open(t, through.start(t, address))
		wantState(t, db, 10, 0, 0)
		if through.refuse.Load() > 0 {
			t.Error("it did not wait")
		}
	})
}

func TestOpenSaysWhomItWaitedFor(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	_, err := store.Open(ctx, store.Config{URL: "postgres://ada:secret@127.0.0.1:1/shop", Service: "fruit-shop", Tables: shop})
	if !errors.Is(err, context.DeadlineExceeded) {
		t.Fatalf("got %v", err)
	}
	wantOneLine(t, err, "role ada", "127.0.0.1:1", "database shop", "schema fruit_shop", "connection refused")
}

// A server has to answer within Wait; what migrations take is theirs.
func TestMigrationsTakeTheirTime(t *testing.T) {
	_, err := store.Open(t.Context(), store.Config{
		URL: "postgres://ada:secret@127.0.0.1:1/shop", Service: "fruit-shop", Tables: shop, Wait: 200 * time.Millisecond,
	})
	wantOneLine(t, err, "deadline exceeded", "connection refused")
	onPostgres(t, func(t *testing.T, address string) {
		slow := store.Tables(fstest.MapFS{"00001_slow.sql": {Data: []byte("-- +goose Up\nSELECT pg_sleep(1.5);\n")}})
		open(t, address, func(c *store.Config) { c.Wait, c.Tables = time.Second, slow })
	})
}

func wantOneLine(t *testing.T, err error, parts ...string) {
	t.Helper()
	if err == nil {
		t.Error("no error")
		return
	}
	text := err.Error()
	for _, part := range parts {
		if !strings.Contains(text, part) {
			t.Errorf("%q is not in: %s", part, text)
		}
	}
	if strings.Contains(text, "secret") || strings.Contains(text, "\n") {
		t.Errorf("it has more than one line, or the password: %s", text)
	}
}

// A role that may use its schema, and make none.
func TestRolesThatMayDoLittle(t *testing.T) {
	onPostgres(t, func(t *testing.T, address string) {
		admin, err := sql.Open("pgx", address)
		if err != nil {
			t.Fatal(err)
		}
		defer admin.Close()
		role := "troupe_test_" + strings.ReplaceAll(strings.TrimPrefix(databaseOf(t, address), "troupe_test_"), "-", "_")
		run := func(statement string) {
			t.Helper()
			if _, err := admin.ExecContext(context.WithoutCancel(t.Context()), strings.ReplaceAll(statement, "ROLE_", role)); err != nil {
				t.Fatalf("%s: %v", statement, err)
			}
		}
		run(`CREATE ROLE ROLE_ LOGIN PASSWORD 'secret'`)
		run(`CREATE SCHEMA own AUTHORIZATION ROLE_`)
		run(`CREATE SCHEMA others`)
		defer run(`DROP OWNED BY ROLE_; DROP ROLE ROLE_`)
		for service, password := range map[string]string{"own": "secret", "others": "secret", "missing": "secret", "refused": "secret-not"} {
			parsed, _ := url.Parse(address)
			parsed.User = url.UserPassword(role, password)
			db, err := store.Open(t.Context(), store.Config{URL: parsed.String(), Service: service, Tables: shop})
			if service == "own" {
				if err != nil {
					t.Fatal(err)
				}
				wantState(t, db, 10, 0, 0)
				if err := db.Close(); err != nil {
					t.Error(err)
				}
				continue
			}
			want := map[string]string{
				"others":  "GRANT USAGE, CREATE ON SCHEMA others TO " + role,
				"missing": "creating the schema: ERROR: permission denied",
				"refused": "password authentication failed",
			}
			wantOneLine(t, err, role, "schema "+service, want[service])
		}
	})
}

func databaseOf(t *testing.T, address string) string {
	t.Helper()
	parsed, err := url.Parse(address)
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimPrefix(parsed.Path, "/")
}
