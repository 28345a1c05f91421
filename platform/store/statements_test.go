package store

import (
	"fmt"
	"testing"

	"modernc.org/sqlite"
)

func TestStatementsAreKeptAndCanBeUsedWithinThemselves(t *testing.T) {
	pool, err := sqlitePool("file::memory:", 1)
	if err != nil {
		t.Fatal(err)
	}
	defer pool.Close()
	if _, err := pool.Exec(`CREATE TABLE n (i integer); INSERT INTO n VALUES (1), (2), (3);`); err != nil {
		t.Fatal(err)
	}
	tx, err := pool.Begin()
	if err != nil {
		t.Fatal(err)
	}
	defer tx.Rollback()
	const query = `SELECT i FROM n WHERE i > $1 ORDER BY i`
	rows, err := tx.Query(query, 0)
	if err != nil {
		t.Fatal(err)
	}
	var pairs []string
	for rows.Next() {
		var i, next int
		if err := rows.Scan(&i); err != nil {
			t.Fatal(err)
		}
		if i < 3 {
			if err := tx.QueryRow(query, i).Scan(&next); err != nil { // while its rows are open
				t.Fatal(err)
			}
		}
		pairs = append(pairs, fmt.Sprint(i, next))
	}
	if got := fmt.Sprint(pairs); rows.Err() != nil || got != "[1 2 2 3 3 0]" {
		t.Errorf("got %s, %v", got, rows.Err())
	}
	if _, err := tx.Exec(`ALTER TABLE n ADD COLUMN j integer DEFAULT 7`); err != nil {
		t.Fatal(err)
	}
	var i int
	if err := tx.QueryRow(query, 2).Scan(&i); err != nil || i != 3 {
		t.Errorf("after the table had changed: %d, %v", i, err)
	}
	if err := tx.QueryRow(`SELECT nothing FROM n`).Scan(&i); err == nil {
		t.Error("a statement that is wrong was taken")
	}
}

func TestAConnectionKeepsSoManyStatements(t *testing.T) {
	below, err := sqlite.NewConnector("file::memory:")
	if err != nil {
		t.Fatal(err)
	}
	opened, err := keepingStatements{below}.Connect(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	k := opened.(*keeper)
	for i := range maxStatements + 10 {
		for _, query := range []string{`SELECT 'often'`, fmt.Sprintf(`SELECT %d`, i)} {
			if _, err := k.ExecContext(t.Context(), query, nil); err != nil {
				t.Fatal(err)
			}
		}
	}
	if len(k.kept) != maxStatements {
		t.Errorf("%d are kept, want %d", len(k.kept), maxStatements)
	}
	for query, want := range map[string]bool{`SELECT 'often'`: true, `SELECT 0`: false, fmt.Sprintf(`SELECT %d`, maxStatements+9): true} {
		if got := k.kept[query] != nil; got != want {
			t.Errorf("%s is kept: %t, want %t", query, got, want)
		}
	}
	if err := k.Close(); err != nil || len(k.kept) > 0 {
		t.Errorf("closing: %v", err)
	}
}
