package store

import (
	"context"
	"errors"
	"time"
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
	if err := ctx.Err(); err != nil {
		return false, err
	}
	started := time.Now()
	err = db.read.QueryRowContext(ctx, `SELECT EXISTS (SELECT 1 FROM troupe_inbox WHERE reaction = $1 AND id = $2)`, e.Reaction, e.ID).Scan(&known)
	return known, waited(ctx, started, err)
}

// entering is the statement that puts the entry into the inbox. It waits for
// another transaction that is doing the same, and inserts nothing once that has
// been committed: errDuplicate.
func (u *unit) entering() (query string, args []any) {
	return `INSERT INTO troupe_inbox (reaction, id, at) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING`,
		[]any{u.entry.Reaction, u.entry.ID, u.db.config.Now().UnixMilli()}
}
