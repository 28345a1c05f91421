package store

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/troupedev/troupe/platform/choreo"
	"github.com/troupedev/troupe/platform/failpoint"
	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"
)

// RelayConfig is what a relay depends on.
type RelayConfig struct {
	// Publish produces messages, in this order for each key, and returns once all
	// are acknowledged. It is called from several goroutines. Their Type is nil: rows outlive the code that wrote them.
	// After an error any of them may have been published, and all of them will be
	// given to it again. Required.
	Publish func(context.Context, []choreo.Message) error
	// Try is how long one call of Publish may take, which is for rows of one
	// topic; calls for other topics go on beside it. Default 30 s.
	Try time.Duration
	// Batch is how many rows are published at once. Default 500.
	Batch int
	// Poll is how often the relay looks without having been woken, and whether
	// the buckets are fairly divided. Default 1 s, at most 1 min.
	Poll time.Duration
}

// Defaults of a [RelayConfig], and its largest Poll.
const (
	DefaultBatch = 500
	DefaultPoll  = time.Second
	DefaultTry   = 30 * time.Second
	maxPoll      = time.Minute
)

// batchBytes is about how many bytes of payload are in memory at once.
const batchBytes = 8 << 20

// Relay publishes the outbox of one service. Several, in one process or in
// many, share the work: each owns some of the buckets that keys hash to.
//
// One goroutine does all of it but publishing, a turn at a time: read the first
// rows of its buckets, let each topic's be published, delete them.
type Relay struct {
	db     *DB
	config RelayConfig
	signal signal
	owned  atomic.Uint64 // bucketSet, for those who write to see
	later  atomic.Bool   // troupe_later may have rows that due does not know of

	// What follows is the goroutine's.
	session session       // nil: not open
	due     time.Time     // of the next row in troupe_later; zero: none
	first   int           // the bucket to begin with, so that each gets its turn
	deleted int           // since the table was swept
	swept   time.Time     // when that was
	grown   bool          // the file was not shrunk then
	quiet   bool          // the turn before found nothing
	took    time.Duration // the last look into the outbox
	topics  map[string]*trouble
	flights map[string]*flight // by domain
	flying  sync.WaitGroup
	down    bool // the database, as was logged
}

// Relay returns a relay of the database. It does nothing until [Relay.Run] or [Relay.Step].
func (db *DB) Relay(c RelayConfig) *Relay {
	c.Batch = cmp.Or(c.Batch, DefaultBatch)
	c.Poll = min(cmp.Or(c.Poll, DefaultPoll), maxPoll)
	c.Try = cmp.Or(c.Try, DefaultTry)
	r := &Relay{db: db, config: c, topics: map[string]*trouble{}, flights: map[string]*flight{}}
	r.later.Store(true)
	return r
}

// grace is how long a relay that is to end still publishes.
const grace = time.Second

// Run publishes until ctx ends, and then what is there once more, for at most a
// second. It returns nil then, and otherwise only what cannot heal. It deletes
// what the inbox and the answers need not remember any more, too.
func (r *Relay) Run(ctx context.Context) error {
	work, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer func() {
		stop()
		r.flying.Wait()
		clear(r.flights)
	}()
	var others sync.WaitGroup
	defer others.Wait()
	ctx, end := context.WithCancel(ctx)
	defer end()
	others.Go(func() { r.purge(ctx) })
	defer context.AfterFunc(ctx, func() { time.AfterFunc(grace, stop) })()

	r.db.outbox.enter(r)
	defer r.db.outbox.leave(r)
	for pause := firstPause; ; pause = min(2*pause, lastPause) {
		worked, err := r.serve(ctx, work)
		r.drop()
		switch {
		case ctx.Err() != nil:
			return nil
		case !heals(err):
			return fmt.Errorf("store: the relay of %s: %w", r.db.config.Service, err)
		case worked:
			pause = firstPause
		}
		if !r.down {
			r.down = true
			r.log(ctx, slog.LevelWarn, "the outbox cannot be read; events wait in it until the database is back", "err", err)
		}
		pausing, cancel := context.WithTimeout(ctx, pause)
		<-pausing.Done()
		cancel()
	}
}

// Between tries for a session, and for a topic.
const (
	firstPause = 100 * time.Millisecond
	lastPause  = 5 * time.Second
)

func (r *Relay) log(ctx context.Context, level slog.Level, message string, args ...any) {
	r.db.config.Logger.Log(ctx, level, message, append([]any{"service", r.db.config.Service}, args...)...)
}

// heals reports whether a database that returned err may be well again without
// anybody changing tables, rights or files.
func heals(err error) bool {
	if server, ok := errors.AsType[*pgconn.PgError](err); ok {
		return IsOutage(err) || server.Code[:2] != "42" && server.Code[:2] != "28" && server.Code[:2] != "3F"
	}
	if file, ok := errors.AsType[*sqlite.Error](err); ok {
		switch file.Code() & 0xff {
		case sqlite3.SQLITE_ERROR, sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_PERM:
			return false
		}
	}
	return true
}

// serve takes turns in one session, until ctx has ended and what was there is
// published, or the session fails. worked is that it did what it is for.
func (r *Relay) serve(ctx, work context.Context) (worked bool, err error) {
	if err := r.open(work); err != nil {
		return false, err
	}
	for looked := (time.Time{}); ; {
		if time.Since(looked) >= r.config.Poll {
			if err := r.claim(work); err != nil {
				return worked, err
			}
			looked = time.Now()
			r.later.Store(true)
		}
		if err := r.settle(work, r.landed(work)); err != nil {
			return worked, err
		}
		t, err := r.turn(work, r.unable(), r.launch)
		if err != nil {
			return worked, err
		}
		worked = true
		if r.down {
			r.down = false
			r.log(ctx, slog.LevelInfo, "the outbox is read again")
		}
		if ctx.Err() != nil && (!t.more && len(r.flights) == 0 || work.Err() != nil) {
			return true, nil
		}
		if t.more {
			continue
		}
		if ctx.Err() != nil {
			_ = r.signal.await(work, grace, until) // what is in the air may land yet
			continue
		}
		vacant, err := r.rest(ctx, looked.Add(r.config.Poll))
		if err != nil {
			return worked, err
		}
		if vacant {
			looked = time.Time{}
		}
	}
}

// until sleeps until ctx ends.
func until(ctx context.Context) error {
	<-ctx.Done()
	return nil
}

// turn is what one turn did.
type turn struct {
	published int
	more      bool  // there is more to do at once
	failed    error // of Publish: what it was given is still there
}

// turn moves what is due, and publishes one batch of what is in the outbox, but
// for the domains in skip.
func (r *Relay) turn(ctx context.Context, skip []string, publish func(context.Context, [][]row) outcome) (t turn, err error) {
	owned := bucketSet(r.owned.Load())
	if owned == 0 {
		return turn{}, nil
	}
	moved, rows, err := r.next(ctx, owned, skip)
	if err != nil {
		return turn{}, err
	}
	if len(rows) == 0 {
		r.forget(skip)
		return turn{}, r.sweep(ctx, true)
	}
	if err := failpoint.Reach(ctx, failpoint.RelayPublishes); err != nil {
		return turn{}, err
	}
	started := time.Now()
	done := publish(ctx, split(rows))
	if err := failpoint.Reach(ctx, failpoint.RelayPublished); err != nil {
		return turn{}, err
	}
	if err := r.settle(ctx, done); err != nil {
		return turn{}, err
	}
	if err := failpoint.Reach(ctx, failpoint.RelayDeleted); err != nil {
		return turn{}, err
	}
	if n := len(done.published); n > 0 {
		r.log(ctx, slog.LevelDebug, "published", "events", n, "took", time.Since(started))
	}
	more := moved == dueBatch || full(rows, r.config.Batch)
	return turn{len(done.published), more, done.failed}, r.sweep(ctx, false)
}

// next are the rows to publish, those that are due by now among them.
func (r *Relay) next(ctx context.Context, owned bucketSet, skip []string) (moved int, rows []row, err error) {
	ctx, cancel := context.WithTimeout(ctx, statementTime)
	defer cancel()
	if moved, err = r.advance(ctx, owned); err != nil {
		return 0, nil, err
	}
	started := time.Now()
	if rows, err = r.session.read(ctx, owned.from(r.first), skip, r.config.Batch, batchBytes); err != nil {
		return 0, nil, fmt.Errorf("reading the outbox: %w", err)
	}
	r.took = time.Since(started)
	if full(rows, r.config.Batch) {
		r.first = (r.first + 1 + r.reach(rows)) % bucketCount
	}
	return moved, rows, nil
}

// reach is how far from the first bucket on the rows came.
func (r *Relay) reach(rows []row) (last int) {
	for i := range rows {
		last = max(last, (rows[i].bucket-r.first+bucketCount)%bucketCount)
	}
	return last
}

// full reports whether rows are as many as could be read, so that there may be more.
func full(rows []row, limit int) bool {
	bytes := 0
	for i := range rows {
		bytes += len(rows[i].payload)
	}
	return len(rows) >= limit || bytes >= batchBytes
}

// settle takes out of the outbox what was published, or will never be.
func (r *Relay) settle(ctx context.Context, done outcome) error {
	if len(done.published)+len(done.refused) == 0 {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, statementTime)
	defer cancel()
	if len(done.published) > 0 {
		if err := r.session.remove(ctx, done.published); err != nil {
			return fmt.Errorf("deleting from the outbox what was published: %w", err)
		}
	}
	for _, refused := range done.refused {
		if err := r.setAside(ctx, refused); err != nil {
			return fmt.Errorf("setting an event aside: %w", err)
		}
	}
	r.deleted += len(done.published) + len(done.refused)
	return nil
}

// rest sleeps until there may be something to do, or it is time to look anyway.
// vacant is that there may be buckets to take.
func (r *Relay) rest(ctx context.Context, look time.Time) (vacant bool, err error) {
	wait := time.Until(look)
	if !r.due.IsZero() {
		wait = min(wait, r.due.Sub(r.db.config.Now()))
	}
	if again, ok := r.again(); ok {
		wait = min(wait, time.Until(again))
	}
	if len(r.topics)+len(r.flights) > 0 {
		// A look reads past what cannot be published now, which may be a lot, so it
		// is let wait for nine times as long as the last one took.
		pause := min(wait, 9*r.took)
		pausing, cancel := context.WithTimeout(ctx, pause)
		defer cancel()
		<-pausing.Done()
		wait -= pause
	}
	if wait <= 0 {
		return false, nil
	}
	err = r.signal.await(ctx, wait, func(ctx context.Context) error {
		heard, err := r.session.sleep(ctx, bucketSet(r.owned.Load()))
		if heard.any {
			r.later.Store(true)
		}
		vacant = heard.vacant
		return err
	})
	return vacant, err
}

// Step publishes one batch, and returns how many rows it was, and when the next
// one that is known is due (zero: none). Only Config.Now and the database decide
// what it does: no goroutine, no waiting. For tests that play a relay. On
// Postgres it is of the buckets that no other relay owns. The error is that of
// Publish, too.
func (r *Relay) Step(ctx context.Context) (published int, next time.Time, err error) {
	if r.session == nil && r.db.postgres == nil {
		r.use(&fileSession{db: r.db, lease: &lease{db: r.db}, played: true})
	}
	if err := r.open(ctx); err != nil {
		return 0, time.Time{}, err
	}
	if err := r.claim(ctx); err != nil {
		r.drop()
		return 0, time.Time{}, err
	}
	r.later.Store(true)
	t, err := r.turn(ctx, nil, r.inPlace)
	if err != nil {
		r.drop()
	}
	return t.published, r.due, errors.Join(err, t.failed)
}

// Close lets go of what Step took: a connection, and its buckets. The relay can
// be used again. After [Relay.Run] there is nothing to close.
func (r *Relay) Close() { r.drop() }

// open opens a session where there is none.
func (r *Relay) open(ctx context.Context) error {
	if r.session != nil {
		return nil
	}
	if r.db.postgres == nil {
		r.use(&fileSession{db: r.db, lease: &lease{db: r.db}})
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, statementTime)
	defer cancel()
	s, err := r.db.serverSession(ctx)
	if err == nil {
		r.use(s)
	}
	return err
}

func (r *Relay) use(s session) {
	r.session = s
	r.later.Store(true)
	r.db.outbox.opened(r)
}

// drop ends the session, and with it the relay's rights.
func (r *Relay) drop() {
	r.owned.Store(0)
	r.due = time.Time{}
	if r.session != nil {
		r.session.close()
		r.session = nil
		r.db.outbox.dropped(r)
	}
}

// claim sees to it that the relay has its share of the buckets.
func (r *Relay) claim(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, statementTime)
	defer cancel()
	busy, _ := r.inFlight()
	owned, err := r.session.claim(ctx, busy)
	if err != nil {
		return fmt.Errorf("dividing the buckets: %w", err)
	}
	if before := bucketSet(r.owned.Swap(uint64(owned))); before != owned {
		r.later.Store(true)
		r.log(ctx, slog.LevelDebug, "the relay has other buckets", "buckets", owned.len())
	}
	return nil
}

// Deleted rows take space until they are swept. A relay does so itself after so
// many: at whatever rate rows go through, no more than these are in the table
// beside those that wait. Once nothing is left, the file shrinks as well.
const (
	sweepAfter = 10_000
	sweepPause = time.Minute // where little is deleted
	sweepTime  = 5 * time.Minute
)

func (r *Relay) sweep(ctx context.Context, idle bool) error {
	still := idle && r.quiet
	r.quiet = idle
	rest := still && (r.grown || r.deleted > 0 && time.Since(r.swept) >= sweepPause)
	if r.deleted < sweepAfter && !rest {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, sweepTime)
	defer cancel()
	if err := r.session.sweep(ctx, still); err != nil {
		return fmt.Errorf("sweeping the outbox: %w", err)
	}
	r.deleted, r.swept, r.grown = 0, time.Now(), !still
	return nil
}

// purgeEvery is how often old rows of the inbox are looked for.
const purgeEvery = time.Minute

// purge deletes what need not be remembered any more, until ctx ends.
func (r *Relay) purge(ctx context.Context) {
	tick := time.NewTicker(purgeEvery)
	defer tick.Stop()
	for {
		n, err := r.db.purge(ctx)
		if err != nil && ctx.Err() == nil {
			r.log(ctx, slog.LevelDebug, "old rows were not deleted; they will be", "err", err)
		}
		if n > 0 && err == nil {
			continue
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}
