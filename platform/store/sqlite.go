package store

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"modernc.org/sqlite"
)

// pragmas of every connection. A commit in WAL mode with synchronous = NORMAL
// survives the end of the process, however it comes; what a loss of power takes
// back are the last commits, whole.
var pragmas = []string{"busy_timeout(5000)", "journal_mode(WAL)", "synchronous(NORMAL)", "foreign_keys(1)"}

// openSQLite opens the service's file in folder: one connection writes, since
// SQLite has one writer at a time and waiting in Go is fairer than in SQLite.
// A database in memory is one connection.
func (db *DB) openSQLite(folder string) (err error) {
	db.kind = isSQLite
	if folder == ":memory:" {
		db.write, err = sqlitePool("file::memory:?_pragma=foreign_keys(1)&_txlock=immediate", 1)
		db.read = db.write
		return err
	}
	if folder == "" {
		return fmt.Errorf("store: %s: the address sqlite: names no folder; want sqlite:FOLDER or %s", db.config.Service, Memory)
	}
	if err := os.MkdirAll(folder, 0o755); err != nil {
		return fmt.Errorf("store: %s: %w", db.config.Service, err)
	}
	file, err := filepath.Abs(filepath.Join(folder, db.config.Service+".db"))
	if err != nil {
		return fmt.Errorf("store: %s: %w", db.config.Service, err)
	}
	name := "file:" + (&url.URL{Path: file}).EscapedPath() + "?_pragma=" + strings.Join(pragmas, "&_pragma=")
	if db.write, err = sqlitePool(name+"&_txlock=immediate", 1); err != nil {
		return err
	}
	db.read, err = sqlitePool(name+"&_pragma=query_only(1)", db.config.Connections-1)
	return err
}

func sqlitePool(name string, connections int) (*sql.DB, error) {
	below, err := sqlite.NewConnector(name)
	if err != nil {
		return nil, fmt.Errorf("store: %w", err)
	}
	pool := sql.OpenDB(connector{keepingStatements{below}, inFile{}})
	pool.SetMaxOpenConns(connections)
	pool.SetMaxIdleConns(connections)
	return pool, nil
}

// inFile is how connections to SQLite differ.
type inFile struct{}

func (inFile) lost(c driverConn) bool { return !c.(driver.Validator).IsValid() }

func (inFile) begin(ctx context.Context, c driverConn, o driver.TxOptions, u *unit) (driver.Tx, error) {
	tx, err := c.BeginTx(ctx, o)
	if err != nil {
		return nil, err
	}
	if o.ReadOnly {
		before, err := changes(c)
		if err != nil {
			return nil, errors.Join(err, tx.Rollback())
		}
		return readTx{tx, c, before}, nil
	}
	if u != nil {
		if err := enter(ctx, c, u); err != nil {
			return nil, errors.Join(err, tx.Rollback())
		}
	}
	return tx, nil
}

func enter(ctx context.Context, c driverConn, u *unit) error {
	entering, values := u.entering()
	args := make([]driver.NamedValue, len(values))
	for i, value := range values {
		args[i] = driver.NamedValue{Ordinal: i + 1, Value: value}
	}
	entered, err := c.ExecContext(ctx, entering, args)
	if err != nil {
		return err
	}
	if n, err := entered.RowsAffected(); err != nil || n == 1 {
		return err
	}
	return errDuplicate
}

// readTx is a transaction that is to change nothing. A database in memory has
// one connection, which would let it; to forbid it by a pragma would have every
// statement of the connection prepared anew.
type readTx struct {
	driver.Tx
	conn   driverConn
	before int64
}

func (t readTx) Rollback() error {
	after, err := changes(t.conn)
	if err == nil && after != t.before {
		err = errReadWrites
	}
	return errors.Join(t.Tx.Rollback(), err)
}

// changes is how many rows the connection has ever changed.
func changes(c driverConn) (int64, error) {
	rows, err := c.QueryContext(context.Background(), `SELECT total_changes()`, nil)
	if err != nil {
		return 0, err
	}
	defer rows.Close()
	row := make([]driver.Value, 1)
	if err := rows.Next(row); err != nil {
		return 0, err
	}
	n, _ := row[0].(int64)
	return n, nil
}

// file is the service's file; empty: the database is in memory.
func (db *DB) file() string {
	folder, _ := strings.CutPrefix(db.config.URL, "sqlite:")
	if db.kind != isSQLite || folder == ":memory:" {
		return ""
	}
	return filepath.Join(folder, db.config.Service+".db")
}

// tryFile fails where the file cannot be written: SQLite would open it, and
// refuse each change later.
func (db *DB) tryFile(ctx context.Context) error {
	tx, err := db.write.BeginTx(ctx, nil)
	if err == nil {
		_, err = tx.ExecContext(ctx, `CREATE TABLE troupe_probe (n integer)`)
		err = errors.Join(err, tx.Rollback())
	}
	if isReadOnly(err) {
		return fmt.Errorf("%s cannot be written; let this user write it and its folder: %w", db.file(), err)
	}
	return err
}

// mayWrite is the mode of access(2) that asks for the right to write.
const mayWrite = 2

// Writable is an error where the database answers, and cannot be written: a
// server that is a standby, or set to read only, or a file that is gone or
// without the right to write it. It is cheap, and waits for no handler. A disk
// that is full is not seen before something is written.
func (db *DB) Writable(ctx context.Context) error {
	if file := db.file(); file != "" {
		for _, path := range []string{file, filepath.Dir(file)} {
			if err := syscall.Access(path, mayWrite); err != nil {
				return fmt.Errorf("%s: %w", path, err)
			}
		}
	}
	if db.postgres == nil {
		return nil
	}
	conn, err := db.read.Conn(ctx)
	if err != nil {
		return err
	}
	defer conn.Close()
	var readOnly bool
	err = conn.QueryRowContext(ctx, `SELECT current_setting('transaction_read_only')::boolean`).Scan(&readOnly)
	if err == nil && readOnly {
		_ = conn.Raw(func(any) error { return driver.ErrBadConn }) // the next one may lead to a server that is not
		err = errors.New("the server is read only")
	}
	return err
}

// lockFolder runs do while no other process does so in the same folder.
func lockFolder(folder string, do func() error) error {
	f, err := os.Open(folder)
	if err != nil {
		return err
	}
	defer f.Close() // which lets the lock go
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX); err != nil {
		return fmt.Errorf("locking %s: %w", folder, err)
	}
	return do()
}
