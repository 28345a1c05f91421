package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"hash/fnv"

	"github.com/troupedev/troupe/platform/choreo"
)

// put inserts messages into the outbox in tx, those with a due time to wait. wake
// is called once tx is committed.
func (db *DB) put(ctx context.Context, tx *sql.Tx, messages []choreo.Message) (wake func(), err error) {
	for _, m := range messages {
		headers := make(map[string]string, len(m.Headers))
		for _, h := range m.Headers {
			headers[h.Key] = string(h.Value)
		}
		text, err := json.Marshal(headers)
		if err != nil {
			return nil, err
		}
		hash := fnv.New32a()
		hash.Write(m.Key)
		key := sql.NullString{String: string(m.Key), Valid: m.Key != nil}
		table, due := "troupe_outbox", int64(0)
		if !m.Due.IsZero() {
			table, due = "troupe_later", m.Due.UnixMilli()
		}
		args := []any{m.ID, m.Domain, key, m.Type.FullName(), m.Value, string(text), hash.Sum32() % 64}
		query := `INSERT INTO troupe_outbox (id, aggregatetype, aggregateid, type, payload, headers, bucket) VALUES ($1, $2, $3, $4, $5, $6, $7)`
		if table == "troupe_later" {
			query = `INSERT INTO troupe_later (id, aggregatetype, aggregateid, type, payload, headers, bucket, due) VALUES ($1, $2, $3, $4, $5, $6, $7, $8)`
			args = append(args, due)
		}
		if _, err := tx.ExecContext(ctx, query, args...); err != nil {
			return nil, err
		}
	}
	return func() {}, nil
}
