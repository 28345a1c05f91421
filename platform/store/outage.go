package store

import (
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"
)

// IsOutage reports whether err is a deadlock, a serialisation failure, a busy
// or lost connection, or a server that is starting, shutting down or out of
// connections: a reason to try again that says nothing about the event.
func IsOutage(err error) bool {
	if _, ok := errors.AsType[*outage](err); ok || errors.Is(err, driver.ErrBadConn) {
		return true
	}
	if server, ok := errors.AsType[*pgconn.PgError](err); ok {
		return isServerOutage(server)
	}
	if file, ok := errors.AsType[*sqlite.Error](err); ok {
		switch file.Code() & 0xff { // the rest is detail
		case sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_FULL:
			return true
		}
	}
	return false
}

// isServerOutage goes by https://www.postgresql.org/docs/17/errcodes-appendix.html.
func isServerOutage(err *pgconn.PgError) bool {
	switch err.Code {
	case "40001", "40P01", // serialisation failure, deadlock
		"55P03",                            // lock not available in time
		"57P01", "57P02", "57P03", "57P05", // shutting down, crashed, starting, idle for too long
		"25P03": // idle in a transaction for too long
		return true
	case "0A000": // a statement's plan is older than a migration; it is planned anew
		return err.Routine == "RevalidateCachedQuery"
	}
	return strings.HasPrefix(err.Code, "08") || strings.HasPrefix(err.Code, "53") // connections; out of something
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
