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
	"context"
	"database/sql"
	"errors"
	"io/fs"
	"log/slog"
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

// Tx returns the transaction of the handler that ctx was given to. The first
// call begins it; it is committed when the handler returns without an error, with
// what it emitted, and rolled back otherwise. The handler neither commits nor
// rolls back. Where the database cannot be reached, or the event turns out to
// have been handled already, every statement of the transaction returns that as
// its error. It panics outside of a handler of a service with a Store.
func Tx(ctx context.Context) *sql.Tx { panic("not there yet") }

// Begun reports whether the handler of ctx has begun its transaction.
func Begun(ctx context.Context) bool { return false }

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
	// Connections is how many the service has at most, the relay's apart.
	// Default 6, at least 2; SQLite has one for writing.
	Connections int
	// KeepInbox is how long it is remembered that an event was handled, and what
	// a request was answered. Default 14 days, at least 1 minute: longer than any
	// topic's retention, else what is redelivered later is handled again.
	KeepInbox time.Duration
	Logger    *slog.Logger     // default slog.Default()
	Now       func() time.Time // default time.Now
}

// DB is the database of one service, open, with its tables in place. It is for
// many goroutines.
type DB struct{}

// Open connects, waiting for a server that is starting for as long as ctx lasts,
// and migrates: the platform's own tables, then the service's. Several processes
// may open the same database at once.
func Open(ctx context.Context, c Config) (*DB, error) { return nil, errors.ErrUnsupported }

// Close closes the connections. Handlers and relays must have ended.
func (db *DB) Close() error { return nil }

// Entry identifies a piece of work in the inbox.
type Entry struct {
	Reaction string // name of the reaction, or "POST /orders" for a route
	ID       string // of the event or request
}

// Handle runs handle in a transaction, at most once for each entry: where the
// entry is in the inbox already, handle does not run, or what it did is rolled
// back, and duplicate is true. The messages that it returns go into the outbox,
// those with Due set when they are due. ctx bounds all of it.
//
// An error of handle rolls back and is returned as it is. [IsOutage] tells errors
// of the database that are nobody's fault.
func (db *DB) Handle(ctx context.Context, e Entry, handle func(context.Context) ([]choreo.Message, error)) (duplicate bool, err error) {
	return false, errors.ErrUnsupported
}

// Read runs read in a transaction that changes nothing: [Tx] works in it.
func (db *DB) Read(ctx context.Context, read func(context.Context) error) error {
	return errors.ErrUnsupported
}

// IsOutage reports whether err is a deadlock, a serialisation failure, a busy
// or lost connection, or a server that is starting, shutting down or out of
// connections: a reason to try again that says nothing about the event.
func IsOutage(err error) bool { return false }

// KeepAnswer remembers, in the transaction of ctx, what the request e was
// answered: so that the same request gets the same answer. fingerprint tells
// requests apart that use one id.
func KeepAnswer(ctx context.Context, fingerprint, answer []byte) error { return errors.ErrUnsupported }

// Answer returns what [KeepAnswer] remembered for e; ok is false where there is nothing.
func (db *DB) Answer(ctx context.Context, e Entry) (fingerprint, answer []byte, ok bool, err error) {
	return nil, nil, false, errors.ErrUnsupported
}

// Gathering is how far a [choreo.Gather] has come for one request.
type Gathering struct {
	Expected []string             // services, by name
	Answered map[string]time.Time // services, and when their answers came
	Complete bool
}

// Waiting are the services that are expected and have not answered, by name.
func (g Gathering) Waiting() []string { return nil }

// Gathered returns how far the gathering by a reaction of the request event with
// the id given has come, as the transaction of ctx sees it; ok is false where
// the request has not been heard yet.
func Gathered(ctx context.Context, reaction, id string) (g Gathering, ok bool, err error) {
	return Gathering{}, false, errors.ErrUnsupported
}

// RelayConfig is what a relay depends on.
type RelayConfig struct {
	// Publish produces messages and returns once all are acknowledged. Required.
	Publish func(context.Context, []choreo.Message) error
	// Batch is how many rows are published at once. Default 500.
	Batch int
	// Poll is how often the relay looks without having been woken. Default 1 s.
	Poll time.Duration
}

// Relay publishes the outbox of one service. Several, in one process or in
// many, share the work: each owns some of the buckets that keys hash to.
type Relay struct{}

// Relay returns a relay of the database. It does nothing until [Relay.Run] or [Relay.Step].
func (db *DB) Relay(c RelayConfig) *Relay { return nil }

// Run publishes until ctx ends, and then what is there once more, for at most a
// second. It returns nil then, and otherwise only what cannot heal.
func (r *Relay) Run(ctx context.Context) error { return errors.ErrUnsupported }

// Step publishes one batch, and returns how many rows it was, and when the next
// one that is known is due (zero: none). Only Config.Now and the database decide
// what it does: no goroutine, no waiting. For tests that play a relay.
func (r *Relay) Step(ctx context.Context) (published int, next time.Time, err error) {
	return 0, time.Time{}, errors.ErrUnsupported
}
