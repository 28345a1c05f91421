package store

import (
	"database/sql/driver"
	"errors"
	"strings"

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

// outage marks errors of connections, which drivers return without a type.
type outage struct{ err error }

func (o *outage) Error() string { return o.err.Error() }
func (o *outage) Unwrap() error { return o.err }
