package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5"
)

// Snapshot keeps all rows that there are, and returns what puts them back: for
// tests that run many times, for each of which migrating anew is too slow.
// Nothing else may use the database meanwhile. It works in memory and on Postgres.
func (db *DB) Snapshot(ctx context.Context) (restore func(context.Context) error, err error) {
	switch {
	case db.postgres != nil:
		return db.snapshotServer(ctx)
	case db.config.URL == Memory:
		return db.snapshotMemory(ctx)
	}
	return nil, errors.New("store: a snapshot is of " + Memory + " or of Postgres")
}

// snapshotMemory keeps the rows in temporary tables of the one connection. To
// put back the whole database would be shorter, but all of its prepared
// statements would have to be prepared again.
func (db *DB) snapshotMemory(ctx context.Context) (func(context.Context) error, error) {
	tables, err := db.fileTables(ctx)
	if err != nil {
		return nil, err
	}
	tables = append(tables, "sqlite_sequence") // the counters last, since what is inserted counts
	var empty, fill []string
	for _, table := range tables {
		kept := quoted("kept " + table)
		if _, err := db.write.ExecContext(ctx, `CREATE TEMP TABLE `+kept+` AS SELECT * FROM `+table); err != nil {
			return nil, err
		}
		var filled bool
		if err := db.write.QueryRowContext(ctx, `SELECT EXISTS (SELECT 1 FROM temp.`+kept+`)`).Scan(&filled); err != nil {
			return nil, err
		}
		empty = append([]string{`DELETE FROM ` + table}, empty...) // what refers to others first
		if filled {
			fill = append(fill, `DELETE FROM `+table, `INSERT INTO `+table+` SELECT * FROM temp.`+kept)
		}
	}
	restore := append(empty, fill...)
	return func(ctx context.Context) error { return db.executeAll(ctx, restore) }, nil
}

// fileTables are the tables of a SQLite database, quoted. Goose's are not among them.
func (db *DB) fileTables(ctx context.Context) (tables []string, err error) {
	rows, err := db.write.QueryContext(ctx, `
		SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT IN ($1, $2)
		AND name NOT LIKE 'sqlite\_%' ESCAPE '\' ORDER BY rowid`, ownVersions, serviceVersions)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		var name string
		if err := rows.Scan(&name); err != nil {
			return nil, err
		}
		tables = append(tables, quoted(name))
	}
	return tables, rows.Err()
}

func quoted(name string) string { return `"` + strings.ReplaceAll(name, `"`, `""`) + `"` }

// executeAll runs the statements in one transaction.
func (db *DB) executeAll(ctx context.Context, statements []string) error {
	tx, err := db.write.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer tx.Rollback()
	for _, s := range statements {
		if _, err := tx.ExecContext(ctx, s); err != nil {
			return fmt.Errorf("%s: %w", s, err)
		}
	}
	return tx.Commit()
}

func (db *DB) snapshotServer(ctx context.Context) (func(context.Context) error, error) {
	tables, err := db.tables(ctx)
	if err != nil {
		return nil, err
	}
	kept := make(map[string]string) // table: its rows as JSON
	for _, table := range tables {
		var rows sql.NullString
		if err := db.write.QueryRowContext(ctx, fmt.Sprintf(`SELECT json_agg(t) FROM %s t`, table)).Scan(&rows); err != nil {
			return nil, err
		}
		if rows.Valid {
			kept[table] = rows.String
		}
	}
	return func(ctx context.Context) error {
		tx, err := db.write.BeginTx(ctx, nil)
		if err != nil {
			return err
		}
		defer tx.Rollback()
		if err := refill(ctx, tx, tables, kept); err != nil {
			return err
		}
		return tx.Commit()
	}, nil
}

// tables are the schema's in the order of their creation, so that those that
// others refer to come first; goose's are not among them.
func (db *DB) tables(ctx context.Context) (tables []string, err error) {
	rows, err := db.write.QueryContext(ctx, `
		SELECT c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
		WHERE n.nspname = $1 AND c.relkind = 'r' AND c.relname NOT IN ($2, $3) ORDER BY c.oid`,
		db.postgres.schema, ownVersions, serviceVersions)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		var name string
		if err := rows.Scan(&name); err != nil {
			return nil, err
		}
		tables = append(tables, pgx.Identifier{name}.Sanitize())
	}
	return tables, rows.Err()
}

// refill empties the tables that are not empty, and inserts what was kept.
func refill(ctx context.Context, tx *sql.Tx, tables []string, kept map[string]string) error {
	if _, err := tx.ExecContext(ctx, `SET LOCAL synchronous_commit = off`); err != nil {
		return err
	}
	full := make([]string, len(tables))
	for i, table := range tables {
		full[i] = fmt.Sprintf(`SELECT '%s' WHERE EXISTS (SELECT 1 FROM %s)`, table, table)
	}
	var names string
	query := `SELECT coalesce(string_agg(t, ','), '') FROM (` + strings.Join(full, ` UNION ALL `) + `) AS f(t)`
	if err := tx.QueryRowContext(ctx, query).Scan(&names); err != nil {
		return err
	}
	if names != "" {
		if _, err := tx.ExecContext(ctx, `TRUNCATE `+names+` RESTART IDENTITY CASCADE`); err != nil {
			return err
		}
	}
	for _, table := range tables {
		if rows, ok := kept[table]; ok {
			query := fmt.Sprintf(`INSERT INTO %s OVERRIDING SYSTEM VALUE SELECT * FROM json_populate_recordset(NULL::%s, $1::json)`, table, table)
			if _, err := tx.ExecContext(ctx, query, rows); err != nil {
				return err
			}
		}
	}
	return nil
}
