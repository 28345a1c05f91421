// Package store gives a service a database in which an event's effect happens
// exactly once: Postgres, or SQLite where no server is named.
//
// A handler of a service with a store runs in one transaction that holds what it
// changes, the events that it emits (the outbox), and that it was done (the
// inbox). A relay publishes the outbox. The package does not know when a handler
// runs or what it emits means: package runtime and package web call [DB.Handle].
//
// Services use [Tables] in their declaration and [Tx] in their handlers. Whoever
// runs services starts with [Open].
package store

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"regexp"
	"strings"
	"time"

	"github.com/troupedev/troupe/platform/choreo"
)

// Tables declares a service's database by its goose migrations
// (https://github.com/pressly/goose), SQL files at the root of the file system
// or in its one folder. The SQL has to be in the subset that Postgres and SQLite
// share.
func Tables(migrations fs.FS) choreo.Store { return tables{migrations} }

type tables struct{ migrations fs.FS }

// Migrations implements [choreo.Store].
func (t tables) Migrations() fs.FS { return t.migrations }

// Config is how to open the database of one service.
type Config struct {
	// URL is "postgres://user:password@host:port/database?…", or
	// "sqlite:FOLDER", in which the service has a file of its own, or
	// "sqlite::memory:", which is gone when it is closed. Required.
	URL string
	// Service is the service's name: the name of its schema in Postgres (with _
	// for -), and of its file in SQLite. Required.
	Service string
	// Tables are the service's own. Required.
	Tables choreo.Store
	// Connections is how many the service has at most, the relay's apart. On
	// Postgres a third of them, at least one, is for reading, so that nothing that
	// only looks waits for handlers; SQLite has one for writing. Default 6, at
	// least 2.
	Connections int
	// KeepInbox is how long it is remembered that an event was handled, and what
	// a request was answered. Default 14 days, at least 1 minute: longer than the
	// topics that the service hears keep their events, else what is redelivered
	// later is handled again. Package runtime refuses a shorter one.
	KeepInbox time.Duration
	// Wait is how long Open waits for a server that does not answer. The time that
	// migrations take does not count. Default: as long as its context lasts.
	Wait   time.Duration
	Logger *slog.Logger     // default slog.Default()
	Now    func() time.Time // default time.Now
}

// Defaults of a [Config].
const (
	DefaultConnections = 6
	DefaultKeepInbox   = 14 * 24 * time.Hour
)

func (c *Config) setDefaults() {
	c.Connections = cmp.Or(c.Connections, DefaultConnections)
	c.KeepInbox = cmp.Or(c.KeepInbox, DefaultKeepInbox)
	if c.Logger == nil {
		c.Logger = slog.Default()
	}
	if c.Now == nil {
		c.Now = time.Now
	}
}

// validate returns every fault.
func (c *Config) validate() error {
	var faults []error
	fault := func(format string, args ...any) { faults = append(faults, fmt.Errorf("store: "+format, args...)) }
	if !serviceName.MatchString(c.Service) {
		fault("service %q: want lower-case letters, digits, - and _", c.Service)
	}
	if c.Tables == nil {
		fault("%s: no tables; declare them by store.Tables", c.Service)
	}
	if c.Connections < 2 {
		fault("%s: %d connections; want at least 2", c.Service, c.Connections)
	}
	if c.KeepInbox < time.Minute {
		fault("%s: the inbox is kept for %v; want at least a minute", c.Service, c.KeepInbox)
	}
	return errors.Join(faults...)
}

var serviceName = regexp.MustCompile(`^[a-z][a-z0-9_-]*$`)

// DB is the database of one service, open, with its tables in place. It is for
// many goroutines.
type DB struct {
	config Config
	kind   kind
	write  *sql.DB // the handlers' connections
	read   *sql.DB // those of Read and of looks into the inbox, which so wait for no handler; in memory the same
	broken *sql.DB // transactions in which nothing works, see failed

	postgres *postgres // nil: SQLite
	outbox   outbox
}

// kind is which database it is; as text, goose's name of it.
type kind string

const (
	isPostgres kind = "postgres"
	isSQLite   kind = "sqlite3"
)

// Open connects, waiting for a server that is starting for as long as Config.Wait
// and ctx last, and migrates: the platform's own tables, then the service's. Several processes
// may open the same database at once.
func Open(ctx context.Context, c Config) (*DB, error) {
	c.setDefaults()
	if err := c.validate(); err != nil {
		return nil, err
	}
	db := &DB{config: c}
	db.outbox.db = db
	var err error
	switch {
	case strings.HasPrefix(c.URL, "sqlite:"):
		err = db.openSQLite(strings.TrimPrefix(c.URL, "sqlite:"))
	case strings.HasPrefix(c.URL, "postgres://"), strings.HasPrefix(c.URL, "postgresql://"):
		err = db.openPostgres()
	default:
		err = fmt.Errorf("store: %s: the database's address is neither postgres://… nor sqlite:FOLDER nor %s", c.Service, Memory)
	}
	if err != nil {
		return nil, err
	}
	db.broken = sql.OpenDB(brokenConnector{})
	if err := db.ready(ctx); err != nil {
		_ = db.Close()
		return nil, err
	}
	return db, nil
}

// KeepsInbox is [Config.KeepInbox].
func (db *DB) KeepsInbox() time.Duration { return db.config.KeepInbox }

// Memory is the URL of a database that is gone when it is closed.
const Memory = "sqlite::memory:"

// ready waits for the server, and brings the tables up to date.
func (db *DB) ready(ctx context.Context) error {
	if err := db.await(ctx); err != nil {
		return db.openError("opening", err)
	}
	if err := db.migrate(ctx); err != nil {
		return db.openError("migrating", err)
	}
	return nil
}

// openError is one line, as logs want it: drivers give an error for each
// address of a host.
func (db *DB) openError(doing string, err error) error {
	where := db.config.URL
	if db.postgres != nil {
		where = db.postgres.where()
	}
	text := strings.Join(strings.Fields(err.Error()), " ")
	return fmt.Errorf("store: %s %s (%s): %w", doing, db.config.Service, where, &reworded{err, text})
}

type reworded struct {
	error
	text string
}

func (r *reworded) Error() string { return r.text }
func (r *reworded) Unwrap() error { return r.error }

// Close closes the connections. Handlers and relays must have ended.
func (db *DB) Close() error {
	db.outbox.close()
	err := db.write.Close()
	if db.read != db.write {
		err = errors.Join(err, db.read.Close())
	}
	return errors.Join(err, db.broken.Close())
}
