package store_test

import (
	"context"
	"database/sql"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/troupedev/troupe/platform/store"
)

// TestAServerThatIsReadOnlyIsAnOutage has the server refuse to write, as it does
// after a failover to a standby, and then take it again.
func TestAServerThatIsReadOnlyIsAnOutage(t *testing.T) {
	onPostgres(t, func(t *testing.T, url string) {
		db := open(t, url)
		must(t, db, "1", take("pear", 1))
		admin, err := sql.Open("pgx", url)
		if err != nil {
			t.Fatal(err)
		}
		defer admin.Close()
		admin.SetMaxOpenConns(1)
		set := func(value string) {
			t.Helper()
			alter := `ALTER DATABASE "` + databaseOf(t, url) + `" SET default_transaction_read_only = ` + value
			if _, err := admin.ExecContext(t.Context(), alter); err != nil {
				t.Fatal(err)
			}
		}
		set("on")
		// Only who connects anew learns of it.
		if _, err := admin.ExecContext(t.Context(), `SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()`); err != nil {
			t.Fatal(err)
		}
		for store.IsOutage(db.Writable(t.Context())) { // the connections that were cut
		}
		for range 2 {
			if _, err := db.Handle(t.Context(), entry("2"), take("pear", 1)); !store.IsOutage(err) {
				t.Errorf("got %v, want an outage", err)
			}
		}
		if err := db.Writable(t.Context()); err == nil || !strings.Contains(err.Error(), "read only") {
			t.Errorf("writable: %v", err)
		}
		if got := count(t, db, pears); got != 9 {
			t.Errorf("%d pears are read", got)
		}
		set("off")
		must(t, db, "2", take("pear", 1))
		_ = db.Writable(t.Context()) // may meet the connection that count used, which is then let go
		if err := db.Writable(t.Context()); err != nil {
			t.Errorf("writable: %v", err)
		}
		wantState(t, db, 8, 2, 2)
	})
}

// TestOpenRefusesAFileThatCannotBeWritten marks a file as one of a later SQLite,
// which this one may read and not write: the right to write it would say nothing
// where root runs the test.
func TestOpenRefusesAFileThatCannotBeWritten(t *testing.T) {
	c := store.Config{URL: "sqlite:" + t.TempDir(), Service: "fruit-shop", Tables: shop}
	db, err := store.Open(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(strings.TrimPrefix(c.URL, "sqlite:"), "fruit-shop.db")
	file, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	const writeVersion = 18 // https://www.sqlite.org/fileformat2.html#file_format_version_numbers
	if _, err := file.WriteAt([]byte{3}, writeVersion); err != nil {
		t.Fatal(err)
	}
	if err := file.Close(); err != nil {
		t.Fatal(err)
	}
	db, err = store.Open(t.Context(), c)
	if db != nil {
		_ = db.Close()
	}
	wantOneLine(t, err, path+" cannot be written; let this user write it and its folder", "readonly")
}

func TestWritableSaysThatAFileIsGone(t *testing.T) {
	folder := t.TempDir()
	db := open(t, "sqlite:"+folder)
	if err := db.Writable(t.Context()); err != nil {
		t.Error(err)
	}
	if err := os.Rename(filepath.Join(folder, "fruit-shop.db"), filepath.Join(folder, "elsewhere.db")); err != nil {
		t.Fatal(err)
	}
	if err := db.Writable(t.Context()); err == nil || !strings.Contains(err.Error(), "fruit-shop.db") {
		t.Errorf("got %v", err)
	}
}

// A fault of the service is no outage, though databases say the same of it.
func TestAReadThatWritesIsNoOutage(t *testing.T) {
	each(t, func(t *testing.T, url string) {
		db := open(t, url)
		err := db.Read(t.Context(), func(ctx context.Context) error {
			_, err := store.Tx(ctx).ExecContext(ctx, `UPDATE stock SET count = 0`)
			return err
		})
		if err == nil || store.IsOutage(err) || !strings.Contains(err.Error(), "a Read changes nothing") {
			t.Errorf("got %v", err)
		}
		wantState(t, db, 10, 0, 0)
	})
}
