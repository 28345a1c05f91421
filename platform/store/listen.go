package store

import (
	"context"
	"database/sql"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/stdlib"
)

// signal wakes the goroutine of a relay.
type signal struct {
	mu    sync.Mutex
	given bool
	wake  context.CancelFunc // nil: nobody sleeps
}

func (s *signal) give() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.given = true
	if s.wake != nil {
		s.wake()
	}
}

// await calls sleep with a context that ends when the signal is given, or was, or
// after d.
func (s *signal) await(ctx context.Context, d time.Duration, sleep func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, d)
	defer cancel()
	s.mu.Lock()
	if s.given {
		s.given = false
		s.mu.Unlock()
		return nil
	}
	s.wake = cancel
	s.mu.Unlock()
	err := sleep(ctx)
	s.mu.Lock()
	s.wake, s.given = nil, false
	s.mu.Unlock()
	return err
}

// committed wakes whoever owns the buckets, in which rows were committed. Relays
// of this process hear it at once. Those of others are told by a NOTIFY outside
// of the transaction: inside it would let all transactions of the whole database
// commit one after the other. What is committed while one is sent goes with the
// next. One that is lost is made up for by the relay's poll.
func (o *outbox) committed(touched bucketSet, later bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for r := range o.relays {
		if owned := bucketSet(r.owned.Load()); owned&touched != 0 {
			touched &^= owned
			if later {
				r.later.Store(true)
			}
			r.signal.give()
		}
	}
	if touched == 0 || o.db.postgres == nil {
		return
	}
	o.untold |= touched
	if !o.busy {
		o.busy = true
		o.telling.Go(o.tell)
	}
}

// tell notifies the relays of other processes, until there is nothing to tell:
// at once, and then every few milliseconds, which costs next to nothing.
func (o *outbox) tell() {
	for {
		o.mu.Lock()
		buckets := o.untold
		o.untold = 0
		o.busy = buckets != 0
		o.mu.Unlock()
		if buckets == 0 {
			return
		}
		ctx, cancel := context.WithTimeout(context.Background(), tellTime)
		if err := notify(ctx, o.db.write, o.db.postgres.channel(), buckets); err != nil {
			o.db.config.Logger.Debug("other instances were not told of new events; they look by themselves", "service", o.db.config.Service, "err", err)
		}
		cancel()
		<-time.After(tellPause)
	}
}

const (
	tellTime  = 5 * time.Second
	tellPause = 5 * time.Millisecond
)

func (o *outbox) enter(r *Relay)   { o.note(func() { o.relays[r] = struct{}{} }) }
func (o *outbox) leave(r *Relay)   { o.note(func() { delete(o.relays, r) }) }
func (o *outbox) opened(r *Relay)  { o.note(func() { o.sessions[r] = struct{}{} }) }
func (o *outbox) dropped(r *Relay) { o.note(func() { delete(o.sessions, r) }) }

func (o *outbox) note(change func()) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.relays == nil {
		o.relays, o.sessions = map[*Relay]struct{}{}, map[*Relay]struct{}{}
	}
	change()
}

// close waits for those who tell, and ends the sessions of relays that were
// played by Step.
func (o *outbox) close() {
	o.telling.Wait()
	o.mu.Lock()
	sessions := slices.Collect(maps.Keys(o.sessions))
	o.mu.Unlock()
	for _, r := range sessions {
		r.drop()
	}
}

// class is a number of the schema, for locks and for the channel.
func (p *postgres) class() int32 { return int32(keyHash("troupe relay", []byte(p.schema))) }

// channel is where relays of the schema listen; a name can have 63 bytes, and so
// can the schema's.
func (p *postgres) channel() string { return fmt.Sprintf("troupe_%08x", uint32(p.class())) }

// notify tells the owners of buckets that they have rows; an empty set, that
// there are buckets to take.
func notify(ctx context.Context, conn execer, channel string, buckets bucketSet) error {
	_, err := conn.ExecContext(ctx, `SELECT pg_notify($1, $2)`, channel, strconv.FormatUint(uint64(buckets), 16))
	return err
}

type execer interface {
	ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error)
}

// heard is what notifications said.
type heard struct {
	any    bool // of the buckets
	vacant bool // there may be buckets to take
}

// listen waits for notifications that concern the owner of buckets, and returns
// what they said: nothing when ctx ends before.
func listen(ctx context.Context, session *sql.Conn, owned bucketSet) (h heard, err error) {
	err = session.Raw(func(c any) error {
		server := c.(*conn).driverConn.(*stdlib.Conn).Conn()
		for wait := ctx; ; {
			n, err := server.WaitForNotification(wait)
			if err != nil && server.IsClosed() {
				return &outage{err}
			}
			if err != nil { // wait has ended
				return nil
			}
			buckets, ok := parseNotification(n)
			h.any = h.any || buckets&owned != 0
			h.vacant = h.vacant || ok && buckets == 0
			if h.any || h.vacant {
				wait = ended // take what else is there, and wait no more
			}
		}
	})
	return h, err
}

// ended is a context that has ended.
var ended = func() context.Context {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	return ctx
}()

// parseNotification reads what notify sent; ok is false for what somebody else
// did.
func parseNotification(n *pgconn.Notification) (buckets bucketSet, ok bool) {
	bits, err := strconv.ParseUint(n.Payload, 16, 64)
	return bucketSet(bits), err == nil
}
