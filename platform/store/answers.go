package store

import (
	"context"
	"database/sql"
	"errors"
)

// KeepAnswer remembers, in the transaction of ctx, what the request e was
// answered: so that the same request gets the same answer. fingerprint tells
// requests apart that use one id.
func KeepAnswer(ctx context.Context, fingerprint, answer []byte) error {
	u := unitOf(ctx)
	_, err := u.transaction().ExecContext(ctx, `INSERT INTO troupe_answers (reaction, id, fingerprint, answer, at) VALUES ($1, $2, $3, $4, $5)`,
		u.entry.Reaction, u.entry.ID, fingerprint, answer, u.db.config.Now().UnixMilli())
	return err
}

// Answer returns what [KeepAnswer] remembered for e; ok is false where there is nothing.
func (db *DB) Answer(ctx context.Context, e Entry) (fingerprint, answer []byte, ok bool, err error) {
	err = db.read.QueryRowContext(ctx, `SELECT fingerprint, answer FROM troupe_answers WHERE reaction = $1 AND id = $2`, e.Reaction, e.ID).
		Scan(&fingerprint, &answer)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, nil, false, nil
	}
	return fingerprint, answer, err == nil, err
}
