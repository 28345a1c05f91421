package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	"github.com/troupedev/troupe/platform/choreo"
	"github.com/troupedev/troupe/platform/event"
)

// row is one of the outbox.
type row struct {
	seq     int64
	bucket  int
	id      string
	domain  string
	key     []byte // nil: none
	kind    string // ce_type
	payload []byte
	headers []byte // JSON object
	hash    uint64 // of the key
	due     time.Time
}

// put inserts messages into the outbox in tx, those with a due time to wait. wake
// is called once tx is committed. Neither needs a relay, nor a broker.
//
// On Postgres the insert locks the keys until the transaction ends, before a
// sequence number is drawn: so the order of seq is that of commits, for each key.
func (db *DB) put(ctx context.Context, tx *sql.Tx, messages []choreo.Message) (wake func(), err error) {
	var now, later []row
	var touched bucketSet
	for i := range messages {
		r, err := db.row(&messages[i])
		if err != nil {
			return nil, err
		}
		touched |= 1 << r.bucket
		if r.due.IsZero() {
			now = append(now, r)
		} else {
			later = append(later, r)
		}
	}
	if len(messages) == 0 {
		return func() {}, nil
	}
	insert := insertIntoFile
	if db.postgres != nil {
		insert = insertIntoServer
	}
	if err := insert(ctx, tx, now, later, db.config.Now().UnixMilli()); err != nil {
		return nil, fmt.Errorf("outbox: %w", err)
	}
	return func() { db.outbox.committed(touched, len(later) > 0) }, nil
}

// row is m as a row. What a text in Postgres cannot hold is refused on SQLite too.
func (db *DB) row(m *choreo.Message) (row, error) {
	r := row{id: m.ID, domain: m.Domain, key: m.Key, payload: m.Value, due: m.Due}
	if m.Topic != "" {
		return row{}, choreo.Permanent(fmt.Errorf("outbox: event %s is for the topic %s; through a database go only events to their domain's topic", m.ID, m.Topic))
	}
	if m.Type != nil {
		r.kind = m.Type.FullName()
	}
	plain := isText(r.id) && isText(r.domain) && isText(string(r.key))
	for _, h := range m.Headers {
		if h.Key == event.HeaderType {
			r.kind = string(h.Value)
		}
		plain = plain && isText(h.Key) && isText(string(h.Value))
	}
	if !plain {
		return row{}, choreo.Permanent(fmt.Errorf("outbox: %s %.60q, key %.60q: id, key and headers have to be UTF-8 without a zero character", r.kind, r.id, r.key))
	}
	r.headers = appendHeaders(make([]byte, 0, 1024), m.Headers)
	if r.key == nil { // in any order: the id spreads them
		r.bucket = bucketOf(keyHash("", []byte(r.id)))
		return r, nil
	}
	r.hash = keyHash(db.config.Service, r.key)
	r.bucket = bucketOf(r.hash)
	return r, nil
}

func isText(s string) bool { return utf8.ValidString(s) && strings.IndexByte(s, 0) < 0 }

func (r *row) message() (choreo.Message, error) {
	headers, err := parseHeaders(r.headers)
	if err != nil {
		return choreo.Message{}, fmt.Errorf("outbox: headers of event %s: %w", r.id, err)
	}
	return choreo.Message{Domain: r.domain, Key: r.key, Value: r.payload, Headers: headers, ID: r.id}, nil
}

// appendHeaders appends headers, which are text, as a JSON object in their order.
func appendHeaders(dst []byte, headers []event.Header) []byte {
	dst = append(dst, '{')
	for i, h := range headers {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = appendText(dst, h.Key)
		dst = append(dst, ':')
		dst = appendText(dst, string(h.Value))
	}
	return append(dst, '}')
}

func appendText(dst []byte, s string) []byte {
	for i := range len(s) {
		if c := s[i]; c < ' ' || c == '"' || c == '\\' || c >= utf8.RuneSelf {
			text, _ := json.Marshal(s) // of a string it does not fail
			return append(dst, text...)
		}
	}
	dst = append(dst, '"')
	dst = append(dst, s...)
	return append(dst, '"')
}

// parseHeaders reads what appendHeaders wrote, in its order.
func parseHeaders(text []byte) ([]event.Header, error) {
	d := json.NewDecoder(strings.NewReader(string(text)))
	if t, err := d.Token(); err != nil || t != json.Delim('{') {
		return nil, fmt.Errorf("%.40q is no JSON object", text)
	}
	headers := make([]event.Header, 0, 16)
	for d.More() {
		key, err := d.Token()
		if err != nil {
			return nil, err
		}
		var value string
		if err := d.Decode(&value); err != nil {
			return nil, fmt.Errorf("%v: %w", key, err)
		}
		headers = append(headers, event.Header{Key: key.(string), Value: []byte(value)})
	}
	_, err := d.Token()
	return headers, err
}

func insertIntoFile(ctx context.Context, tx *sql.Tx, now, later []row, created int64) error {
	for i := range now {
		if _, err := tx.ExecContext(ctx, `INSERT INTO troupe_outbox (bucket, created, id, aggregatetype, aggregateid, type, payload, headers)
			VALUES ($1, $2, $3, $4, $5, $6, $7, $8)`, now[i].values(created)...); err != nil {
			return err
		}
	}
	for i := range later {
		if _, err := tx.ExecContext(ctx, `INSERT INTO troupe_later (bucket, due, id, aggregatetype, aggregateid, type, payload, headers)
			VALUES ($1, $2, $3, $4, $5, $6, $7, $8)`, later[i].values(dueMillis(later[i].due))...); err != nil {
			return err
		}
	}
	return nil
}

// values are the columns of r.
func (r *row) values(at int64) []any {
	key := sql.NullString{String: string(r.key), Valid: r.key != nil}
	return []any{r.bucket, at, r.id, r.domain, key, r.kind, r.payload, string(r.headers)}
}

// insertOne inserts an event alone, which most are. The lock is taken first: the
// row comes from there, and its number is drawn as it comes. NULL locks nothing.
const insertOne = `WITH locked AS MATERIALIZED (SELECT pg_advisory_xact_lock($9))
	INSERT INTO troupe_outbox (bucket, created, id, aggregatetype, aggregateid, type, payload, headers)
	SELECT $1, $2, $3, $4, $5, $6, $7, $8::json FROM locked`

// The count of locks is asked for so that they are taken first: the rows come
// only after the condition, and the numbers are drawn as the rows come.
const (
	insertNow = `WITH locked AS MATERIALIZED (SELECT pg_advisory_xact_lock(k) FROM unnest($1::bigint[]) k)
		INSERT INTO troupe_outbox (bucket, created, id, aggregatetype, aggregateid, type, payload, headers)
		SELECT m.bucket, m.at, m.id, m.aggregatetype, m.aggregateid, m.type, m.payload, m.headers::json
		FROM unnest($2::int[], $3::bigint[], $4::text[], $5::text[], $6::text[], $7::text[], $8::bytea[], $9::text[])
			WITH ORDINALITY AS m (bucket, at, id, aggregatetype, aggregateid, type, payload, headers, n)
		WHERE (SELECT count(*) FROM locked) >= 0 ORDER BY m.n`
	insertLater = `INSERT INTO troupe_later (bucket, due, id, aggregatetype, aggregateid, type, payload, headers)
		SELECT m.bucket, m.at, m.id, m.aggregatetype, m.aggregateid, m.type, m.payload, m.headers::json
		FROM unnest($1::int[], $2::bigint[], $3::text[], $4::text[], $5::text[], $6::text[], $7::bytea[], $8::text[])
			WITH ORDINALITY AS m (bucket, at, id, aggregatetype, aggregateid, type, payload, headers, n)
		ORDER BY m.n`
)

func insertIntoServer(ctx context.Context, tx *sql.Tx, now, later []row, created int64) error {
	switch {
	case len(now) == 1:
		lock := sql.NullInt64{Int64: int64(now[0].hash), Valid: now[0].key != nil}
		if _, err := tx.ExecContext(ctx, insertOne, append(now[0].values(created), lock)...); err != nil {
			return err
		}
	case len(now) > 1:
		args := append([]any{locksOf(now)}, columns(now, func(row) int64 { return created })...)
		if _, err := tx.ExecContext(ctx, insertNow, args...); err != nil {
			return err
		}
	}
	if len(later) > 0 {
		if _, err := tx.ExecContext(ctx, insertLater, columns(later, func(r row) int64 { return dueMillis(r.due) })...); err != nil {
			return err
		}
	}
	return nil
}

// locksOf are the locks on the keys of rows, in the order to take them.
func locksOf(rows []row) []int64 {
	hashes := make([]uint64, 0, len(rows))
	for _, r := range rows {
		if r.key != nil {
			hashes = append(hashes, r.hash)
		}
	}
	return sorted(hashes)
}

// columns are rows as one array for each column.
func columns(rows []row, at func(row) int64) []any {
	n := len(rows)
	buckets, times, payloads := make([]int32, n), make([]int64, n), make([][]byte, n)
	ids, domains, keys, kinds, headers := make([]string, n), make([]string, n), make([]*string, n), make([]string, n), make([]string, n)
	for i, r := range rows {
		buckets[i], times[i], payloads[i] = int32(r.bucket), at(r), r.payload
		ids[i], domains[i], kinds[i], headers[i] = r.id, r.domain, r.kind, string(r.headers)
		if r.key != nil {
			keys[i] = new(string(r.key))
		}
	}
	return []any{buckets, times, ids, domains, keys, kinds, payloads, headers}
}

// OutboxLag returns for how long the oldest event that could have been published
// has been waiting for that; 0 where none is.
func (db *DB) OutboxLag(ctx context.Context) (time.Duration, error) {
	query := `SELECT min(at) FROM (SELECT min(created) AS at FROM (SELECT created FROM troupe_outbox ORDER BY seq LIMIT 1) o
		UNION ALL SELECT min(due) FROM troupe_later) w`
	if db.postgres != nil { // the first of each bucket, by the index
		query = `SELECT min(at) FROM (SELECT min(created) AS at FROM generate_series(0, 63) b
			CROSS JOIN LATERAL (SELECT created FROM troupe_outbox WHERE bucket = b ORDER BY seq LIMIT 1) o
			UNION ALL SELECT min(due) FROM troupe_later) w`
	}
	var oldest sql.NullInt64
	if err := db.read.QueryRowContext(ctx, query).Scan(&oldest); err != nil || !oldest.Valid {
		return 0, err
	}
	return max(0, db.config.Now().Sub(time.UnixMilli(oldest.Int64))), nil
}

// outbox is what the relays of one process and those who write know of each other.
type outbox struct {
	db *DB

	mu       sync.Mutex
	relays   map[*Relay]struct{} // that run
	sessions map[*Relay]struct{} // that have one
	lease    *lease              // of a SQLite database
	untold   bucketSet           // buckets of others, with rows that they were not told of
	busy     bool                // somebody tells
	telling  sync.WaitGroup
}

func (o *outbox) hold(l *lease) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.lease == nil {
		o.lease = l
	}
	return o.lease == l
}

func (o *outbox) release(l *lease) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.lease == l {
		o.lease = nil
	}
}
