package store

import (
	"context"
	"database/sql"
	"errors"
)

// Entry identifies a piece of work in the inbox.
type Entry struct {
	Reaction string // name of the reaction, or "POST /orders" for a route
	ID       string // of the event or request
}

// errDuplicate says that an entry is in the inbox.
var errDuplicate = errors.New("store: this has been handled already; nothing of it is done again")

// handled looks whether e is in the inbox.
func (db *DB) handled(ctx context.Context, e Entry) (known bool, err error) {
	err = db.read.QueryRowContext(ctx, `SELECT EXISTS (SELECT 1 FROM troupe_inbox WHERE reaction = $1 AND id = $2)`, e.Reaction, e.ID).Scan(&known)
	return known, err
}

// enter puts e into the inbox. It waits for another transaction that is doing
// the same, and is an errDuplicate once that has been committed.
func (db *DB) enter(ctx context.Context, tx *sql.Tx, e Entry) error {
	result, err := tx.ExecContext(ctx, `INSERT INTO troupe_inbox (reaction, id, at) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING`,
		e.Reaction, e.ID, db.config.Now().UnixMilli())
	if err != nil {
		return err
	}
	if n, err := result.RowsAffected(); err != nil || n == 1 {
		return err
	}
	return errDuplicate
}
