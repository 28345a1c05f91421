package store

import (
	"context"
	"database/sql"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"github.com/troupedev/troupe/platform/choreo"
	"github.com/troupedev/troupe/platform/failpoint"
)

// Tx returns the transaction of the handler that ctx was given to. The first
// call begins it; it is committed when the handler returns without an error, with
// what it emitted, and rolled back otherwise. The handler neither commits nor
// rolls back. Where the database cannot be reached, or the event turns out to
// have been handled already, every statement of the transaction returns that as
// its error. It panics outside of a handler of a service with a Store.
func Tx(ctx context.Context) *sql.Tx { return unitOf(ctx).transaction() }

// Exec runs a statement in the transaction of ctx, and returns how many rows it
// inserted, changed or deleted.
func Exec(ctx context.Context, query string, args ...any) (rows int64, err error) {
	result, err := Tx(ctx).ExecContext(ctx, query, args...)
	if err != nil {
		return 0, err
	}
	return result.RowsAffected()
}

// Collect returns the rows of a query in the transaction of ctx, each as scan
// reads it. No rows are nil.
func Collect[T any](ctx context.Context, scan func(*sql.Rows) (T, error), query string, args ...any) ([]T, error) {
	rows, err := Tx(ctx).QueryContext(ctx, query, args...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var all []T
	for rows.Next() {
		one, err := scan(rows)
		if err != nil {
			return nil, err
		}
		all = append(all, one)
	}
	return all, rows.Err()
}

// Begun reports whether the handler of ctx has begun its transaction.
func Begun(ctx context.Context) bool {
	u, ok := ctx.Value(unitKey{}).(*unit)
	if !ok {
		return false
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.tx != nil
}

// Handle runs handle in a transaction, at most once for each entry: where the
// entry is in the inbox already, handle does not run, or what it did is rolled
// back, and duplicate is true. The messages that it returns go into the outbox,
// those with Due set when they are due. ctx bounds all of it.
//
// An error of handle rolls back and is returned as it is. [IsOutage] tells errors
// of the database that are nobody's fault.
func (db *DB) Handle(ctx context.Context, e Entry, handle func(context.Context) ([]choreo.Message, error)) (duplicate bool, err error) {
	known, err := db.handled(ctx, e)
	if known || err != nil {
		return known, err
	}
	u := &unit{db: db, ctx: ctx, entry: e}
	defer func() { _ = u.rollback() }() // also where handle panics
	messages, err := handle(choreo.WithGatherer(u.context(), gatherer{u}))
	if broken := u.broken(); broken != nil {
		err = broken
	}
	if err == nil {
		err = u.commit(messages)
	}
	if errors.Is(err, errDuplicate) {
		return true, nil
	}
	return false, err
}

// Read runs read in a transaction that changes nothing: [Tx] works in it.
func (db *DB) Read(ctx context.Context, read func(context.Context) error) error {
	u := &unit{db: db, ctx: ctx, readOnly: true}
	defer func() { _ = u.rollback() }() // where read panics
	err := read(u.context())
	if broken := u.broken(); broken != nil {
		return broken
	}
	if ended := u.rollback(); err == nil && ctx.Err() == nil {
		err = ended
	}
	return err
}

// unit is the work of one handler: a transaction that begins when it is wanted.
type unit struct {
	db       *DB
	ctx      context.Context // bounds the transaction
	entry    Entry
	readOnly bool

	mu     sync.Mutex
	tx     *sql.Tx
	err    error       // why tx is a broken one
	ending atomic.Bool // the transaction may be committed: the handler is done
}

type unitKey struct{}

func (u *unit) context() context.Context { return context.WithValue(u.ctx, unitKey{}, u) }

func unitOf(ctx context.Context) *unit {
	u, ok := ctx.Value(unitKey{}).(*unit)
	if !ok {
		panic("store: there is a transaction only in a handler of a service with a Store, by the context that it was given")
	}
	return u
}

// transaction begins it where that has not been done.
func (u *unit) transaction() *sql.Tx {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.tx == nil {
		if u.tx, u.err = u.begin(); u.err != nil {
			u.tx = u.db.failed(u.err)
		}
	}
	return u.tx
}

// broken is why nothing could be done in the transaction; nil: it was not so.
func (u *unit) broken() error {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.err
}

func (u *unit) begin() (*sql.Tx, error) {
	if u.readOnly {
		return beginTx(u.db.read, u.ctx, &sql.TxOptions{Isolation: sql.LevelRepeatableRead, ReadOnly: true})
	}
	return beginTx(u.db.write, context.WithValue(u.ctx, beginKey{}, u), nil)
}

// beginTx begins a transaction, where ctx has not ended.
func beginTx(db *sql.DB, ctx context.Context, o *sql.TxOptions) (*sql.Tx, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	started := time.Now()
	tx, err := db.BeginTx(ctx, o)
	return tx, waited(ctx, started, err)
}

// commit puts messages into the outbox and makes all of it so.
func (u *unit) commit(messages []choreo.Message) error {
	tx := u.transaction()
	if err := u.broken(); err != nil {
		return err
	}
	wake, err := u.db.put(u.ctx, tx, messages)
	if err != nil {
		return u.lost(err)
	}
	if err := failpoint.Reach(u.ctx, failpoint.StoreCommits); err != nil {
		return err
	}
	u.ending.Store(true)
	if err := tx.Commit(); err != nil {
		return u.lost(err)
	}
	if err := failpoint.Reach(u.ctx, failpoint.StoreCommitted); err != nil {
		return err
	}
	wake()
	return nil
}

// lost says why the transaction is gone, of which err only says that it is.
func (u *unit) lost(err error) error {
	if !errors.Is(err, sql.ErrTxDone) {
		return err
	}
	if u.ctx.Err() != nil {
		return context.Cause(u.ctx)
	}
	return errEnded
}

var errEnded = choreo.Permanent(errors.New(
	"store: the handler has ended its transaction itself; it is committed when the handler returns, and rolled back when it returns an error"))

// rollback ends the transaction where that has not been done.
func (u *unit) rollback() error {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.tx == nil {
		return nil
	}
	if err := u.tx.Rollback(); !errors.Is(err, sql.ErrTxDone) {
		return err
	}
	return nil
}
