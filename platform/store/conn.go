package store

import (
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
)

// Between database/sql and the driver stands a conn, since three things have to
// be the same on both databases: that only Handle commits, that nothing is
// committed in which a statement failed (Postgres refuses, SQLite would not),
// and what counts as an outage.
type connector struct {
	driver.Connector
	below below
}

// below is how the connections of the two drivers differ.
type below interface {
	// lost reports whether a connection is beyond use.
	lost(driverConn) bool
	// begin begins a transaction, for a unit with its entry in the inbox: else it
	// is an errDuplicate.
	begin(context.Context, driverConn, driver.TxOptions, *unit) (driver.Tx, error)
}

func (c connector) Connect(ctx context.Context) (driver.Conn, error) {
	opened, err := c.Connector.Connect(ctx)
	if err != nil {
		return nil, unreachable(err)
	}
	return &conn{driverConn: opened.(driverConn), below: c.below}, nil
}

// Close closes what is below, where it wants that.
func (c connector) Close() error {
	if closer, ok := c.Connector.(io.Closer); ok {
		return closer.Close()
	}
	return nil
}

// driverConn is what both drivers' connections can do.
type driverConn interface {
	driver.Conn
	driver.ConnBeginTx
	driver.ConnPrepareContext
	driver.ExecerContext
	driver.QueryerContext
	driver.Pinger
	driver.SessionResetter
}

type conn struct {
	driverConn
	below below
	tx    *transaction // that is running
	stale bool         // it leads to what cannot be written; another may not
}

// Unwrap is the driver's own connection.
func (c *conn) Unwrap() driver.Conn { return c.driverConn }

// IsValid implements [driver.Validator].
func (c *conn) IsValid() bool { return !c.stale && !c.below.lost(c.driverConn) }

// CheckNamedValue implements [driver.NamedValueChecker].
func (c *conn) CheckNamedValue(v *driver.NamedValue) error {
	if checker, ok := c.driverConn.(driver.NamedValueChecker); ok {
		return checker.CheckNamedValue(v)
	}
	return driver.ErrSkip
}

func (c *conn) ExecContext(ctx context.Context, query string, args []driver.NamedValue) (driver.Result, error) {
	result, err := c.driverConn.ExecContext(ctx, query, args)
	return result, c.failed(ctx, err)
}

func (c *conn) QueryContext(ctx context.Context, query string, args []driver.NamedValue) (driver.Rows, error) {
	rows, err := c.driverConn.QueryContext(ctx, query, args)
	return c.rows(ctx, rows, err)
}

func (c *conn) PrepareContext(ctx context.Context, query string) (driver.Stmt, error) {
	prepared, err := c.driverConn.PrepareContext(ctx, query)
	if err != nil {
		return nil, c.failed(ctx, err)
	}
	return &preparedOn{prepared.(preparedStmt), c}, nil
}

// preparedOn is a statement that was prepared on a conn.
type preparedOn struct {
	preparedStmt
	conn *conn
}

func (s *preparedOn) ExecContext(ctx context.Context, args []driver.NamedValue) (driver.Result, error) {
	result, err := s.preparedStmt.ExecContext(ctx, args)
	return result, s.conn.failed(ctx, err)
}

func (s *preparedOn) QueryContext(ctx context.Context, args []driver.NamedValue) (driver.Rows, error) {
	rows, err := s.preparedStmt.QueryContext(ctx, args)
	return s.conn.rows(ctx, rows, err)
}

// rows are those of a query, which may fail at each of them as well.
func (c *conn) rows(ctx context.Context, rows driver.Rows, err error) (driver.Rows, error) {
	if err != nil {
		return nil, c.failed(ctx, err)
	}
	return &rowsOn{rows, c, ctx}, nil
}

type rowsOn struct {
	driver.Rows
	conn *conn
	ctx  context.Context
}

func (r *rowsOn) Next(row []driver.Value) error {
	err := r.Rows.Next(row)
	if err == io.EOF {
		return err
	}
	return r.conn.failed(r.ctx, err)
}

// failed notes the first error in a transaction, and says what an error means.
func (c *conn) failed(ctx context.Context, err error) error {
	if err == nil || errors.Is(err, driver.ErrBadConn) {
		return err
	}
	if ctx.Err() == nil && c.below.lost(c.driverConn) {
		err = &outage{err}
	}
	if isReadOnly(err) {
		if c.tx != nil && c.tx.readOnly {
			err = fmt.Errorf("%w: %v", errReadWrites, err) // as text: it is no outage
		} else {
			c.stale = true
		}
	}
	switch {
	case c.tx == nil:
	case c.tx.failed == nil:
		c.tx.failed = err
	case isAborted(err): // which does not say why
		return c.tx.wentOn()
	}
	return err
}

// beginKey carries the unit that a transaction is begun for.
type beginKey struct{}

func (c *conn) BeginTx(ctx context.Context, o driver.TxOptions) (driver.Tx, error) {
	u, _ := ctx.Value(beginKey{}).(*unit)
	begun, err := c.below.begin(ctx, c.driverConn, o, u)
	if err != nil {
		return nil, c.failed(ctx, err)
	}
	c.tx = &transaction{Tx: begun, conn: c, ctx: ctx, unit: u, readOnly: o.ReadOnly}
	return c.tx, nil
}

// transaction is one that only its unit commits.
type transaction struct {
	driver.Tx
	conn   *conn
	ctx    context.Context
	unit   *unit // nil: it is nobody's, and does what it is told
	failed error // of the first statement that failed

	readOnly bool // it was begun so
}

var errReadWrites = errors.New("store: a Read changes nothing; what it changed was taken back")

func (t *transaction) Commit() error {
	t.conn.tx = nil
	if t.unit == nil {
		return t.conn.failed(t.ctx, t.Tx.Commit())
	}
	switch {
	case !t.unit.ending.Load():
		return errors.Join(errEnded, t.Tx.Rollback())
	case t.failed != nil:
		return errors.Join(t.wentOn(), t.Tx.Rollback())
	}
	return t.conn.failed(t.ctx, t.Tx.Commit())
}

func (t *transaction) wentOn() error {
	return fmt.Errorf("store: the handler went on after a statement of its transaction had failed, so nothing of it is committed: %w", t.failed)
}

func (t *transaction) Rollback() error {
	t.conn.tx = nil
	return t.Tx.Rollback()
}
