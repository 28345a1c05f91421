package rig

import (
	"context"
	"database/sql"
	"fmt"
	"path/filepath"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"
	_ "modernc.org/sqlite" // the driver of FolderSQL
)

// SQL runs a query in what a service keeps, past the service, and returns the
// rows as text.
type SQL func(ctx context.Context, service, query string) ([][]string, error)

// SchemaSQL queries the schemas of a Postgres database, each named after its service.
func SchemaSQL(url string) SQL {
	return func(ctx context.Context, service, query string) ([][]string, error) {
		config, err := pgx.ParseConfig(url)
		if err != nil {
			return nil, err
		}
		config.RuntimeParams["search_path"] = service
		return rowsOf(ctx, stdlib.OpenDB(*config), service, query)
	}
}

// FolderSQL queries SQLite files: folder is where a service's is, under its name.
func FolderSQL(folder func(service string) string) SQL {
	return func(ctx context.Context, service, query string) ([][]string, error) {
		db, err := sql.Open("sqlite", "file:"+filepath.Join(folder(service), service+".db")+"?mode=ro&_pragma=busy_timeout(5000)")
		if err != nil {
			return nil, err
		}
		return rowsOf(ctx, db, service, query)
	}
}

func rowsOf(ctx context.Context, db *sql.DB, service, query string) (out [][]string, err error) {
	defer db.Close()
	rows, err := db.QueryContext(ctx, query)
	if err != nil {
		return nil, fmt.Errorf("%s: %s: %w", service, query, err)
	}
	defer rows.Close()
	columns, err := rows.Columns()
	if err != nil {
		return nil, err
	}
	for rows.Next() {
		row, into := make([]string, len(columns)), make([]any, len(columns))
		for i := range row {
			into[i] = &row[i]
		}
		if err := rows.Scan(into...); err != nil {
			return nil, fmt.Errorf("%s: %s: %w", service, query, err)
		}
		out = append(out, row)
	}
	return out, rows.Err()
}
