package store

import (
	"context"
	"database/sql"
	"database/sql/driver"
)

// failed is a transaction whose every statement fails with err: so that [Tx]
// needs no error of its own.
func (db *DB) failed(err error) *sql.Tx {
	tx, closed := db.broken.BeginTx(context.WithValue(context.Background(), brokenKey{}, err), nil)
	if closed != nil {
		panic("store: the database of " + db.config.Service + " is used after it was closed")
	}
	return tx
}

type brokenKey struct{}

// brokenConnector makes connections that lead nowhere.
type brokenConnector struct{}

func (brokenConnector) Connect(context.Context) (driver.Conn, error) { return &brokenConn{}, nil }
func (brokenConnector) Driver() driver.Driver                        { return nil }

type brokenConn struct{ err error }

func (c *brokenConn) BeginTx(ctx context.Context, _ driver.TxOptions) (driver.Tx, error) {
	c.err, _ = ctx.Value(brokenKey{}).(error)
	return c, nil
}

func (c *brokenConn) ExecContext(context.Context, string, []driver.NamedValue) (driver.Result, error) {
	return nil, c.err
}

func (c *brokenConn) QueryContext(context.Context, string, []driver.NamedValue) (driver.Rows, error) {
	return nil, c.err
}

func (c *brokenConn) CheckNamedValue(*driver.NamedValue) error { return nil }
func (c *brokenConn) Prepare(string) (driver.Stmt, error)      { return nil, c.err }
func (c *brokenConn) Begin() (driver.Tx, error)                { return c, nil }
func (c *brokenConn) Commit() error                            { return c.err }
func (c *brokenConn) Rollback() error                          { return nil }
func (c *brokenConn) Close() error                             { return nil }
