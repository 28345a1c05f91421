package runtime

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"github.com/troupedev/troupe/platform/failpoint"
	"github.com/troupedev/troupe/platform/kafka"
)

// session is what a committer needs of a [kafka.Session].
type session interface {
	Commit(ctx context.Context, offsets map[kafka.TopicPartition]kafka.Offset) error
}

// Times of a committer.
const (
	commitTimeout = 5 * time.Second        // of one try
	commitAgain   = 100 * time.Millisecond // after the first failed try; then twice as long each time
	commitLongest = 5 * time.Second        // and no longer than this
)

// committer commits the positions of all partitions of one member: one commit
// at a time, of what has changed since the last one, at most one an interval,
// and at once where a partition drains. A partition that is refused waits for
// itself alone.
type committer struct {
	interval time.Duration
	log      *slog.Logger
	bell     chan struct{} // capacity 1: something has changed below

	mu      sync.Mutex
	session session
	wanted  map[kafka.TopicPartition]position
	hurried bool      // not to wait for anything
	last    time.Time // end of the last commit, those aside that only tried again
}

// position is where an owner's partition is to be committed.
type position struct {
	owner    *owner
	at       int64
	failures int       // tries that were refused, in a row
	again    time.Time // when to try again, after a failure
}

func newCommitter(interval time.Duration, log *slog.Logger) *committer {
	return &committer{
		interval: interval, log: log, bell: make(chan struct{}, 1),
		wanted: map[kafka.TopicPartition]position{},
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
	p := c.wanted[o.partition]
	if p.owner != o {
		p = position{owner: o}
	}
	p.at = at
	c.wanted[o.partition] = p
	c.mu.Unlock()
	ring(c.bell)
}

// now makes the next commit wait for nothing.
func (c *committer) now() {
	c.mu.Lock()
	c.hurried = true
	c.mu.Unlock()
	ring(c.bell)
}

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
	wake := time.NewTimer(0)
	defer wake.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-c.bell:
		case <-wake.C:
		}
		if s, due := c.take(time.Now()); len(due) > 0 {
			c.commit(ctx, s, due)
		}
		if at, ok := c.next(); ok {
			wake.Reset(time.Until(at))
		}
	}
}

// due is when a position is to be committed. The lock is held.
func (c *committer) due(p position) time.Time {
	if p.failures > 0 {
		return p.again
	}
	return c.last.Add(c.interval)
}

// take takes the positions that are due, which is all when there is a hurry.
func (c *committer) take(now time.Time) (session, map[kafka.TopicPartition]position) {
	c.mu.Lock()
	defer c.mu.Unlock()
	taken := make(map[kafka.TopicPartition]position, len(c.wanted))
	for tp, p := range c.wanted {
		if c.hurried || !c.due(p).After(now) {
			taken[tp] = p
			delete(c.wanted, tp)
		}
	}
	c.hurried = false
	return c.session, taken
}

// next is when the first position is due that is wanted.
func (c *committer) next() (at time.Time, ok bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, p := range c.wanted {
		if due := c.due(p); !ok || due.Before(at) {
			at, ok = due, true
		}
	}
	return at, ok
}

// commit commits positions once, tells their owners, and asks again for those
// that were refused.
func (c *committer) commit(ctx context.Context, s session, positions map[kafka.TopicPartition]position) {
	offsets := make(map[kafka.TopicPartition]kafka.Offset, len(positions))
	for tp, p := range positions {
		offsets[tp] = kafka.Offset{At: p.at}
	}
	ctx, cancel := context.WithTimeout(ctx, commitTimeout)
	defer cancel()
	err := commitOnce(ctx, s, offsets)
	if errors.Is(err, kafka.ErrFenced) {
		// The partitions have newer owners; this one hears of it by the group.
		c.log.Info("commit dropped: the group has moved on", "partitions", len(positions))
		err = nil
	}
	c.settle(positions, err)
}

func commitOnce(ctx context.Context, s session, offsets map[kafka.TopicPartition]kafka.Offset) error {
	if err := failpoint.Reach(ctx, failpoint.OffsetCommits); err != nil {
		return err
	}
	if err := s.Commit(ctx, offsets); err != nil {
		return err
	}
	return failpoint.Reach(ctx, failpoint.OffsetCommitted)
}

// settle tells owners what was committed, and asks again for what was not. Only
// the first of a partition's failures in a row counts for a warning.
func (c *committer) settle(positions map[kafka.TopicPartition]position, err error) {
	refused := refusals(err)
	fresh, failed, healed := false, 0, 0
	for tp, p := range positions {
		why := err
		if refused != nil {
			why = refused[tp]
		}
		fresh = fresh || p.failures == 0
		switch {
		case why != nil && p.failures == 0:
			failed++
		case why == nil && p.failures > 0:
			healed++
		}
		if why != nil {
			c.putBack(tp, p)
		} else {
			p.owner.mail.committed(p.at)
		}
	}
	if failed > 0 {
		c.log.Warn("commit failed, trying again", "partitions", failed, "error", err)
	}
	if healed > 0 {
		c.log.Info("committed what had failed", "partitions", healed)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if fresh {
		c.last = time.Now()
	}
}

// refusals is the partitions that were not committed, with the reason of each;
// nil where err, if any, is that of all.
func refusals(err error) map[kafka.TopicPartition]error {
	if e, ok := errors.AsType[*kafka.CommitError](err); ok {
		return e.Partitions
	}
	return nil
}

// putBack asks again, later each time, for what was not committed. What its
// owner wants by now counts.
func (c *committer) putBack(tp kafka.TopicPartition, p position) {
	p.again = time.Now().Add(min(commitAgain<<min(p.failures, 10), commitLongest))
	p.failures++
	c.mu.Lock()
	defer c.mu.Unlock()
	newer, ok := c.wanted[tp]
	switch {
	case ok && newer.owner != p.owner, p.owner.gone():
		return
	case ok:
		p.at = newer.at
	}
	c.wanted[tp] = p
}

// ring makes sure that a bell of capacity 1 has rung.
func ring(bell chan struct{}) {
	select {
	case bell <- struct{}{}:
	default:
	}
}
