package store

import (
	"context"
	"database/sql"
	"fmt"
	"time"
)

// dueBatch is how many due rows are moved at once: their keys are locked meanwhile.
const dueBatch = 100

// dueMillis is when a row is due: not before t.
func dueMillis(t time.Time) int64 { return t.Add(time.Millisecond - 1).UnixMilli() }

// advance moves rows that are due from troupe_later to the outbox, in the order
// of their due times, and notes when the next one is due. moved is how many.
func (r *Relay) advance(ctx context.Context, owned bucketSet) (moved int, err error) {
	now := r.db.config.Now()
	if !r.later.Swap(false) && (r.due.IsZero() || r.due.After(now)) {
		return 0, nil
	}
	defer func() {
		if err != nil {
			r.later.Store(true)
			err = fmt.Errorf("moving events that are due: %w", err)
		}
	}()
	waiting, err := r.waiting(ctx, owned)
	if err != nil {
		return 0, err
	}
	for moved < min(len(waiting), dueBatch) && !waiting[moved].due.After(now) {
		moved++
	}
	r.due = time.Time{}
	if moved < len(waiting) {
		r.due = waiting[moved].due
	}
	if moved == 0 {
		return 0, nil
	}
	return moved, r.move(ctx, waiting[:moved], now)
}

// waiting are the next rows to be due, and one more than are moved at once.
func (r *Relay) waiting(ctx context.Context, owned bucketSet) ([]row, error) {
	buckets := make([]int64, 0, bucketCount)
	for _, b := range owned.from(0) {
		buckets = append(buckets, int64(b))
	}
	rows, err := r.session.pool().QueryContext(ctx, `SELECT seq, due, aggregateid FROM troupe_later
		WHERE bucket `+r.session.anyOf("$1")+` ORDER BY due, seq LIMIT $2`, r.session.list(buckets), dueBatch+1)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var list []row
	for rows.Next() {
		var one row
		var due int64
		if err := rows.Scan(&one.seq, &due, &one.key); err != nil {
			return nil, err
		}
		one.due, one.hash = time.UnixMilli(due), keyHash(r.db.config.Service, one.key)
		list = append(list, one)
	}
	return list, rows.Err()
}

func (r *Relay) move(ctx context.Context, rows []row, now time.Time) error {
	numbers := make([]int64, len(rows))
	for i := range rows {
		numbers[i] = rows[i].seq
	}
	these := r.session.anyOf("$1")
	return r.together(ctx, func(tx *sql.Tx) error {
		if err := r.session.lock(ctx, tx, locksOf(rows)); err != nil {
			return err
		}
		if _, err := tx.ExecContext(ctx, `INSERT INTO troupe_outbox (bucket, created, id, aggregatetype, aggregateid, type, payload, headers)
			SELECT bucket, $2, id, aggregatetype, aggregateid, type, payload, headers FROM troupe_later
			WHERE seq `+these+` ORDER BY due, seq`, r.session.list(numbers), now.UnixMilli()); err != nil {
			return err
		}
		_, err := tx.ExecContext(ctx, `DELETE FROM troupe_later WHERE seq `+these, r.session.list(numbers))
		return err
	})
}

// together runs do in a transaction.
func (r *Relay) together(ctx context.Context, do func(*sql.Tx) error) error {
	tx, err := r.session.pool().BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer func() { _ = tx.Rollback() }() // sql.ErrTxDone after the commit
	if err := do(tx); err != nil {
		return err
	}
	return tx.Commit()
}
