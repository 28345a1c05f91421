package store

import (
	"context"
	"database/sql"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"strings"

	"github.com/pressly/goose/v3"
)

//go:embed migrations
var own embed.FS

// Tables in which goose keeps what it has done.
const (
	ownVersions     = "troupe_migrations"
	serviceVersions = "goose_db_version"
)

// migrate brings the tables up to date, one process at a time. The lock is held by
// a connection for reading: there may be only one that writes.
func (db *DB) migrate(ctx context.Context) error {
	switch {
	case db.postgres != nil:
		return db.postgres.locked(ctx, db.read, func(conn *sql.Conn) error {
			if err := db.postgres.createSchema(ctx, conn); err != nil {
				return err
			}
			return db.migrateAll(ctx, "migrations/postgres")
		})
	case db.config.URL == Memory:
		return db.migrateAll(ctx, "migrations/sqlite")
	}
	return lockFolder(strings.TrimPrefix(db.config.URL, "sqlite:"), func() error {
		if err := db.tryFile(ctx); err != nil {
			return err
		}
		return db.migrateAll(ctx, "migrations/sqlite")
	})
}

func (db *DB) migrateAll(ctx context.Context, folder string) error {
	migrations, err := fs.Sub(own, folder)
	if err != nil {
		return err
	}
	if err := db.up(ctx, migrations, ownVersions); err != nil {
		return fmt.Errorf("the platform's tables: %w", err)
	}
	if migrations, err = root(db.config.Tables.Migrations()); err != nil {
		return err
	}
	return db.up(ctx, migrations, serviceVersions)
}

func (db *DB) up(ctx context.Context, migrations fs.FS, versions string) error {
	provider, err := goose.NewProvider(goose.Dialect(db.kind), db.write, migrations,
		goose.WithTableName(versions), goose.WithDisableGlobalRegistry(true), goose.WithSlog(slog.New(slog.DiscardHandler)))
	if errors.Is(err, goose.ErrNoMigrations) {
		return errors.New("there is no migration; add migrations/00001_tables.sql and embed it by //go:embed migrations/*.sql")
	}
	if err != nil {
		return err
	}
	done, err := provider.Up(ctx)
	for _, m := range done {
		db.config.Logger.DebugContext(ctx, "migrated", "service", db.config.Service, "file", m.Source.Path, "took", m.Duration)
	}
	if partial, ok := errors.AsType[*goose.PartialError](err); ok {
		return fmt.Errorf("%s: %w", partial.Failed.Source.Path, partial.Err)
	}
	return err
}

// root is the folder of the migrations: files itself, or the one folder in it.
func root(files fs.FS) (fs.FS, error) {
	entries, err := fs.ReadDir(files, ".")
	if err == nil && len(entries) == 1 && entries[0].IsDir() {
		return fs.Sub(files, entries[0].Name())
	}
	return files, err
}
