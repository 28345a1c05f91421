package store

import (
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"
)

// IsOutage reports whether err is a deadlock, a serialisation failure, a busy
// or lost connection, a server that is starting, shutting down or out of
// connections, or a database that cannot be written, for it is read only, its
// disk full or broken: a reason to try again that says nothing about the event.
func IsOutage(err error) bool {
	if _, ok := errors.AsType[*outage](err); ok || errors.Is(err, driver.ErrBadConn) {
		return true
	}
	if server, ok := errors.AsType[*pgconn.PgError](err); ok {
		return isServerOutage(server)
	}
	if file, ok := errors.AsType[*sqlite.Error](err); ok {
		switch file.Code() & 0xff { // the rest is detail
		case sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_PROTOCOL,
			sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_READONLY:
			return true
		}
	}
	return false
}

// isReadOnly reports whether the database refused to write at all: a server after
// a failover to a standby, a file without the right to write it, or a
// transaction that is for reading.
func isReadOnly(err error) bool {
	if server, ok := errors.AsType[*pgconn.PgError](err); ok {
		return server.Code == "25006"
	}
	file, ok := errors.AsType[*sqlite.Error](err)
	return ok && file.Code()&0xff == sqlite3.SQLITE_READONLY
}

// IsConflict reports whether err says that a row with the same primary key, or
// another value that there may be once only, is in a table already.
func IsConflict(err error) bool {
	if server, ok := errors.AsType[*pgconn.PgError](err); ok {
		return server.Code == "23505"
	}
	if file, ok := errors.AsType[*sqlite.Error](err); ok {
		return file.Code() == sqlite3.SQLITE_CONSTRAINT_PRIMARYKEY || file.Code() == sqlite3.SQLITE_CONSTRAINT_UNIQUE
	}
	return false
}

// isServerOutage goes by https://www.postgresql.org/docs/17/errcodes-appendix.html.
func isServerOutage(err *pgconn.PgError) bool {
	switch err.Code {
	case "40001", "40P01", // serialisation failure, deadlock
		"55P03",                            // lock not available in time
		"57P01", "57P02", "57P03", "57P05", // shutting down, crashed, starting, idle for too long
		"25P03", // idle in a transaction for too long
		"25006": // read only, as a standby is
		return true
	case "0A000": // a statement's plan is older than a migration; it is planned anew
		return err.Routine == "RevalidateCachedQuery"
	}
	switch err.Code[:min(2, len(err.Code))] {
	case "08", "53", "58": // connections; out of something; the system below failed
		return true
	}
	return false
}

// isStarting reports whether a database that is being opened may soon be open by
// itself; a file that cannot be opened or written will not.
func isStarting(err error) bool {
	if file, ok := errors.AsType[*sqlite.Error](err); ok {
		code := file.Code() & 0xff
		return code == sqlite3.SQLITE_BUSY || code == sqlite3.SQLITE_LOCKED
	}
	return IsOutage(err)
}

// isAborted reports whether the server said only that a statement before had failed.
func isAborted(err error) bool {
	server, ok := errors.AsType[*pgconn.PgError](err)
	return ok && server.Code == "25P02"
}

// waited makes an outage of err where ctx ended before the platform's own first
// statement was answered: having waited for a connection, or for a server that
// hangs, says nothing of what was to be done.
func waited(ctx context.Context, started time.Time, err error) error {
	if err == nil || ctx.Err() == nil {
		return err
	}
	return &outage{fmt.Errorf("store: waited %v for the database: %w", time.Since(started).Round(time.Millisecond), err)}
}

// outage marks errors of connections, which drivers return without a type.
type outage struct{ err error }

func (o *outage) Error() string { return o.err.Error() }
func (o *outage) Unwrap() error { return o.err }
