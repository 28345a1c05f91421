package store

import (
	"context"
	"database/sql"
	"fmt"
	"hash/fnv"
	"math/bits"
	"math/rand/v2"
	"os"
	"slices"
	"syscall"
)

// bucketCount is into how many buckets keys hash. It is written into every row:
// another number would need a migration.
const bucketCount = 64

// bucketSet is a set of buckets, a bit for each.
type bucketSet uint64

const allBuckets = ^bucketSet(0)

func setOf(buckets ...int) (s bucketSet) {
	for _, b := range buckets {
		s |= 1 << b
	}
	return s
}

func (s bucketSet) len() int { return bits.OnesCount64(uint64(s)) }

// from lists the set from bucket first on, round the end.
func (s bucketSet) from(first int) []int {
	list := make([]int, 0, s.len())
	for i := range bucketCount {
		if b := (first + i) % bucketCount; s&(1<<b) != 0 {
			list = append(list, b)
		}
	}
	return list
}

// keyHash is what a key's bucket and lock derive from. Locks are shared by a
// whole database, so that the schema is in it: services that use one key do not
// wait for each other.
func keyHash(schema string, key []byte) uint64 {
	h := fnv.New64a()
	h.Write([]byte(schema))
	h.Write([]byte{0})
	h.Write(key)
	return h.Sum64()
}

func bucketOf(hash uint64) int { return int(hash % bucketCount) }

// Advisory locks of relays are pairs of a number of the schema and one of these:
// buckets, 0 to 63, and the lock that every relay shares, which counts them.
const present = bucketCount

// share is what a relay of Postgres knows of the buckets. Its session holds a
// lock for each that it owns: the server lets go of them the moment the session
// ends, however it ends.
//
// A relay that has lost its session may still publish rows which it read before.
// That puts no key out of order. Its successor, who can read only after the
// locks changed hands, finds all of these rows again, since none was deleted
// unless it had been published, and publishes them, in order, before any that
// came later. The former owner reads nothing more without the locks. So whichever
// of the two is ahead, a row comes for the first time only after all rows of its
// key before it have; what the other one adds are repetitions of ids.
type share struct {
	class int32 // of the locks: a number of the schema
	owned bucketSet
}

func (s *share) enter(ctx context.Context, conn *sql.Conn) error {
	_, err := conn.ExecContext(ctx, `SELECT pg_advisory_lock_shared($1, $2)`, s.class, present)
	return err
}

// adjust takes or gives up buckets, until the relay has its share: as many
// relays as there are divide the buckets evenly. Those that are busy, since rows
// of them are being published, are given up some other time.
func (s *share) adjust(ctx context.Context, conn *sql.Conn, busy bucketSet) (freed bool, err error) {
	var relays int
	err = conn.QueryRowContext(ctx, `SELECT count(*) FROM pg_locks
		WHERE locktype = 'advisory' AND granted AND objsubid = 2 AND objid::bigint = $2 AND classid::bigint = $1
		AND database = (SELECT oid FROM pg_database WHERE datname = current_database())`, int64(uint32(s.class)), present).Scan(&relays)
	if err != nil {
		return false, err
	}
	relays = max(relays, 1)
	fair := (bucketCount + relays - 1) / relays
	switch have := s.owned.len(); {
	case have > fair:
		free := (s.owned &^ busy).from(rand.IntN(bucketCount))
		free = free[:min(have-fair, len(free))]
		return len(free) > 0, s.give(ctx, conn, free)
	case have < fair:
		return false, s.take(ctx, conn, (^s.owned).from(rand.IntN(bucketCount)), fair-have)
	}
	return false, nil
}

// give lets go of buckets: they are not the relay's before they are another's.
func (s *share) give(ctx context.Context, conn *sql.Conn, buckets []int) error {
	s.owned &^= setOf(buckets...)
	_, err := conn.ExecContext(ctx, `SELECT pg_advisory_unlock($1, b) FROM unnest($2::int[]) b`, s.class, buckets)
	return err
}

// take locks at most n of the buckets, those that are nobody's.
func (s *share) take(ctx context.Context, conn *sql.Conn, buckets []int, n int) error {
	rows, err := conn.QueryContext(ctx, `SELECT b FROM unnest($2::int[]) b WHERE pg_try_advisory_lock($1, b) LIMIT $3`, s.class, buckets, n)
	if err != nil {
		return err
	}
	defer rows.Close()
	var taken []int
	for rows.Next() {
		var b int
		if err := rows.Scan(&b); err != nil {
			return err
		}
		taken = append(taken, b)
	}
	s.owned |= setOf(taken...)
	return rows.Err()
}

// lease is the right to relay a SQLite database: one relay has all of it, the
// others stand by. Between processes a lock on a file stands for it.
type lease struct {
	db   *DB
	file *os.File // locked; nil: not held, or the database is in memory
	held bool
}

// take reports whether l has the right, now or already.
func (l *lease) take() (bool, error) {
	if l.held {
		return true, nil
	}
	if path := l.db.relayLock(); path != "" {
		f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o644)
		if err != nil {
			return false, fmt.Errorf("locking the outbox: %w", err)
		}
		if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
			_ = f.Close()
			if err == syscall.EWOULDBLOCK {
				return false, nil
			}
			return false, fmt.Errorf("locking %s: %w", path, err)
		}
		l.file = f
	}
	l.held = l.db.outbox.hold(l)
	if !l.held {
		l.give()
	}
	return l.held, nil
}

func (l *lease) give() {
	l.db.outbox.release(l)
	if l.file != nil {
		_ = l.file.Close() // which lets the lock go
		l.file = nil
	}
	l.held = false
}

// sorted are the distinct hashes in order: transactions that lock the same keys
// do so in the same order, and cannot wait for each other in a circle.
func sorted(hashes []uint64) []int64 {
	list := make([]int64, len(hashes))
	for i, h := range hashes {
		list[i] = int64(h)
	}
	slices.Sort(list)
	return slices.Compact(list)
}
