package runtime

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"github.com/troupedev/troupe/platform/kafka"
)

// session is what a committer needs of a [kafka.Session].
type session interface {
	Commit(ctx context.Context, offsets map[kafka.TopicPartition]kafka.Offset) error
}

// Times of a committer.
const (
	commitTimeout = 5 * time.Second        // of one try
	commitAgain   = 100 * time.Millisecond // after a failed try
)

// committer commits the positions of all partitions of one member: one commit
// at a time, of what has changed since the last one, at most one an interval,
// and at once where a partition drains.
type committer struct {
	interval time.Duration
	log      *slog.Logger

	mu      sync.Mutex
	session session
	wanted  map[kafka.TopicPartition]position
	bell    chan struct{} // something is wanted
	hurry   chan struct{} // and not to wait for its interval
}

// position is where an owner's partition is to be committed.
type position struct {
	owner *owner
	at    int64
}

func newCommitter(interval time.Duration, log *slog.Logger) *committer {
	return &committer{
		interval: interval, log: log, wanted: map[kafka.TopicPartition]position{},
		bell: make(chan struct{}, 1), hurry: make(chan struct{}, 1),
	}
}

// use makes commits go through the newest session.
func (c *committer) use(s session) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.session = s
}

// want asks for a commit; a later position replaces an earlier one.
func (c *committer) want(o *owner, at int64) {
	c.mu.Lock()
	c.wanted[o.partition] = position{o, at}
	c.mu.Unlock()
	ring(c.bell)
}

// now makes the next commit not wait for its interval.
func (c *committer) now() { ring(c.hurry) }

// forget drops what was asked for a partition that its owner has left.
func (c *committer) forget(o *owner) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.wanted[o.partition].owner == o {
		delete(c.wanted, o.partition)
	}
}

// run commits until ctx ends.
func (c *committer) run(ctx context.Context) {
	pause := time.NewTimer(0)
	defer pause.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-c.bell:
		}
		select {
		case <-ctx.Done():
			return
		case <-pause.C:
		case <-c.hurry:
		}
		wait := c.interval
		if !c.flush(ctx) {
			wait = commitAgain
			ring(c.bell)
		}
		pause.Reset(wait)
	}
}

// flush commits what is wanted, and reports whether that is done with.
func (c *committer) flush(ctx context.Context) bool {
	s, taken := c.take()
	if len(taken) == 0 {
		return true
	}
	offsets := make(map[kafka.TopicPartition]kafka.Offset, len(taken))
	for tp, p := range taken {
		offsets[tp] = kafka.Offset{At: p.at}
	}
	ctx, cancel := context.WithTimeout(ctx, commitTimeout)
	defer cancel()
	err := s.Commit(ctx, offsets)
	switch {
	case errors.Is(err, kafka.ErrFenced):
		// The partitions have newer owners; this one hears of it by the group.
		c.log.Info("commit dropped: the group has moved on", "partitions", len(taken))
	case err != nil:
		c.log.Warn("commit failed, trying again", "partitions", len(taken), "error", err)
		c.putBack(taken)
		return false
	}
	for _, p := range taken {
		p.owner.mail.committed(p.at)
	}
	return true
}

func (c *committer) take() (session, map[kafka.TopicPartition]position) {
	c.mu.Lock()
	defer c.mu.Unlock()
	taken := c.wanted
	c.wanted = make(map[kafka.TopicPartition]position, len(taken))
	return c.session, taken
}

// putBack asks again for what was not committed, where nothing newer is.
func (c *committer) putBack(taken map[kafka.TopicPartition]position) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for tp, p := range taken {
		if _, newer := c.wanted[tp]; !newer && !p.owner.gone() {
			c.wanted[tp] = p
		}
	}
}

// ring makes sure that a bell of capacity 1 has rung.
func ring(bell chan struct{}) {
	select {
	case bell <- struct{}{}:
	default:
	}
}
