package store

import (
	"cmp"
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"
)

// session is a relay's way to the database. On Postgres it is one connection of
// its own: what it reads it can read because the locks of the same session hold,
// and it listens.
type session interface {
	// claim takes or gives up buckets, but none that is busy, and returns those that
	// are owned.
	claim(ctx context.Context, busy bucketSet) (bucketSet, error)
	// read returns the first rows of the buckets, those of each in order, but for
	// those of the domains in skip. At most limit, and not much more than bytes.
	read(ctx context.Context, buckets []int, skip []string, limit, bytes int) ([]row, error)
	// remove deletes rows.
	remove(ctx context.Context, rows []row) error
	// lock locks keys for a transaction that moves rows of them.
	lock(ctx context.Context, tx *sql.Tx, keys []int64) error
	// sleep returns when something happened in buckets, or ctx has ended.
	sleep(ctx context.Context, buckets bucketSet) (heard, error)
	// sweep returns the space of deleted rows; all, also to the file system.
	sweep(ctx context.Context, all bool) error
	// pool is for what both databases say in the same way.
	pool() connection
	// list is numbers as the parameter of an anyOf.
	list([]int64) any
	anyOf(parameter string) string
	close()
}

// connection is a *sql.Conn or a *sql.DB.
type connection interface {
	execer
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
	QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row
	BeginTx(ctx context.Context, o *sql.TxOptions) (*sql.Tx, error)
}

// statementTime bounds a statement of a relay. A server that does not answer for
// that long is as good as gone.
const statementTime = 30 * time.Second

// serverSession is a session with Postgres.
type serverSession struct {
	db    *DB
	one   *sql.DB // whose one connection conn is
	conn  *sql.Conn
	share share
}

// relaySettings are those of a relay's connection. Its few statements go by one
// index each: a planner that takes the table for small, or for large, has no say.
// A delete that a crash of the server takes back repeats ids, as any crash may.
// The server lets go of a client that went away, or hangs.
var relaySettings = map[string]string{
	"synchronous_commit":      "off",
	"enable_seqscan":          "off",
	"enable_hashjoin":         "off",
	"enable_mergejoin":        "off",
	"enable_bitmapscan":       "off",
	"jit":                     "off",
	"plan_cache_mode":         "force_generic_plan",
	"tcp_keepalives_idle":     "10",
	"tcp_keepalives_interval": "5",
	"tcp_keepalives_count":    "3",
	"idle_session_timeout":    "300000", // 5 min; it looks at least every minute, whatever the broker does
}

func (db *DB) serverSession(ctx context.Context) (session, error) {
	config := db.postgres.config.Copy()
	for name, value := range relaySettings {
		config.RuntimeParams[name] = value
	}
	config.RuntimeParams["application_name"] += " relay"
	s := &serverSession{db: db, share: share{class: db.postgres.class()}}
	s.one = (&postgres{config: config, schema: db.postgres.schema}).pool(1)
	err := s.open(ctx)
	if err != nil {
		s.close()
		return nil, err
	}
	return s, nil
}

func (s *serverSession) open(ctx context.Context) (err error) {
	if s.conn, err = s.one.Conn(ctx); err != nil {
		return err
	}
	if _, err = s.conn.ExecContext(ctx, `LISTEN `+s.db.postgres.channel()); err != nil {
		return err
	}
	return s.share.enter(ctx, s.conn)
}

func (s *serverSession) claim(ctx context.Context, busy bucketSet) (bucketSet, error) {
	freed, err := s.share.adjust(ctx, s.conn, busy)
	if err == nil && freed {
		err = notify(ctx, s.conn, s.db.postgres.channel(), 0)
	}
	return s.share.owned, err
}

// Rows of each bucket come by the index, so that neither the backlog of another
// relay's buckets nor that of a bucket before costs anything. Their bytes are
// summed up, since a row can have 16 MiB.
const readServer = `SELECT seq, bucket, id, aggregatetype, aggregateid, type, payload, headers FROM (
		SELECT *, sum(coalesce(octet_length(payload), 0)) OVER (ORDER BY n, seq ROWS UNBOUNDED PRECEDING) - coalesce(octet_length(payload), 0) AS before
		FROM (SELECT b.n, o.* FROM unnest($1::int[]) WITH ORDINALITY AS b (bucket, n) CROSS JOIN LATERAL (
			SELECT * FROM troupe_outbox WHERE bucket = b.bucket AND NOT (aggregatetype = ANY ($2::text[])) ORDER BY seq LIMIT $3) o
			LIMIT $3) first) summed
	WHERE before < $4`

func (s *serverSession) read(ctx context.Context, buckets []int, skip []string, limit, bytes int) ([]row, error) {
	if skip == nil {
		skip = []string{}
	}
	return readRows(ctx, s.conn, readServer, buckets, skip, limit, bytes)
}

func (s *serverSession) remove(ctx context.Context, rows []row) error {
	buckets, numbers := make([]int32, len(rows)), make([]int64, len(rows))
	for i, r := range rows {
		buckets[i], numbers[i] = int32(r.bucket), r.seq
	}
	_, err := s.conn.ExecContext(ctx, `DELETE FROM troupe_outbox o USING unnest($1::int[], $2::bigint[]) d (bucket, seq)
		WHERE o.bucket = d.bucket AND o.seq = d.seq`, buckets, numbers)
	return err
}

func (s *serverSession) lock(ctx context.Context, tx *sql.Tx, keys []int64) error {
	_, err := tx.ExecContext(ctx, `SELECT pg_advisory_xact_lock(k) FROM unnest($1::bigint[]) k`, keys)
	return err
}

func (s *serverSession) sleep(ctx context.Context, buckets bucketSet) (heard, error) {
	return listen(ctx, s.conn, buckets)
}

func (s *serverSession) sweep(ctx context.Context, all bool) error {
	_, err := s.conn.ExecContext(ctx, fmt.Sprintf(`VACUUM (SKIP_LOCKED, TRUNCATE %t) troupe_outbox`, all))
	return err
}

func (s *serverSession) pool() connection          { return s.conn }
func (s *serverSession) list(numbers []int64) any  { return numbers }
func (s *serverSession) anyOf(param string) string { return "= ANY (" + param + ")" }

// close ends the session, which gives its buckets up, and says so.
func (s *serverSession) close() {
	if s.conn != nil {
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		if s.share.owned != 0 && s.share.give(ctx, s.conn, s.share.owned.from(0)) == nil {
			_ = notify(ctx, s.conn, s.db.postgres.channel(), 0)
		}
		_ = s.conn.Close()
	}
	_ = s.one.Close()
}

// fileSession is a session with SQLite, by the connections of the service.
type fileSession struct {
	db     *DB
	lease  *lease
	played bool // by Step: nobody else is there
}

func (s *fileSession) claim(context.Context, bucketSet) (bucketSet, error) {
	if s.played {
		return allBuckets, nil
	}
	held, err := s.lease.take()
	if !held {
		return 0, err
	}
	return allBuckets, nil
}

const readFile = `SELECT seq, bucket, id, aggregatetype, aggregateid, type, payload, headers FROM (
		SELECT *, sum(coalesce(length(payload), 0)) OVER (ORDER BY seq) - coalesce(length(payload), 0) AS before FROM (
			SELECT * FROM troupe_outbox WHERE aggregatetype NOT IN (SELECT value FROM json_each($1)) ORDER BY seq LIMIT $2))
	WHERE before < $3`

func (s *fileSession) read(ctx context.Context, _ []int, skip []string, limit, bytes int) ([]row, error) {
	return readRows(ctx, s.db.read, readFile, jsonList(skip), limit, bytes)
}

func (s *fileSession) remove(ctx context.Context, rows []row) error {
	numbers := make([]int64, len(rows))
	for i, r := range rows {
		numbers[i] = r.seq
	}
	_, err := s.db.write.ExecContext(ctx, `DELETE FROM troupe_outbox WHERE seq IN (SELECT value FROM json_each($1))`, jsonList(numbers))
	return err
}

func (s *fileSession) sleep(ctx context.Context, _ bucketSet) (heard, error) {
	<-ctx.Done()
	return heard{}, nil
}

func (s *fileSession) lock(context.Context, *sql.Tx, []int64) error { return nil } // one transaction writes at a time
func (s *fileSession) sweep(context.Context, bool) error            { return nil } // SQLite uses free pages again
func (s *fileSession) pool() connection                             { return s.db.write }
func (s *fileSession) list(numbers []int64) any                     { return jsonList(numbers) }
func (s *fileSession) anyOf(param string) string {
	return "IN (SELECT value FROM json_each(" + param + "))"
}
func (s *fileSession) close() { s.lease.give() }

func jsonList[T any](list []T) string {
	if len(list) == 0 {
		return "[]"
	}
	text, _ := json.Marshal(list) // numbers and strings: it does not fail
	return string(text)
}

// relayLock is the file that a relay locks; "": the database is in memory.
func (db *DB) relayLock() string {
	folder := strings.TrimPrefix(db.config.URL, "sqlite:")
	if folder == ":memory:" {
		return ""
	}
	return folder + "/" + db.config.Service + ".relay"
}

func readRows(ctx context.Context, from connection, query string, args ...any) ([]row, error) {
	rows, err := from.QueryContext(ctx, query, args...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var list []row
	for rows.Next() {
		var r row
		if err := rows.Scan(&r.seq, &r.bucket, &r.id, &r.domain, &r.key, &r.kind, &r.payload, &r.headers); err != nil {
			return nil, err
		}
		list = append(list, r)
	}
	slices.SortFunc(list, func(a, b row) int { return cmp.Compare(a.seq, b.seq) })
	return list, rows.Err()
}
