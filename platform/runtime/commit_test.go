package runtime

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/troupedev/troupe/platform/kafka"
)

// ledger is a group's offsets, for committers. It runs in a bubble of synctest.
type ledger struct {
	mu      sync.Mutex
	tries   []map[kafka.TopicPartition]kafka.Offset
	refuses map[kafka.TopicPartition]bool
	gate    chan struct{} // where set, commits wait for it and fail
}

func (l *ledger) Commit(_ context.Context, offsets map[kafka.TopicPartition]kafka.Offset) error {
	l.mu.Lock()
	l.tries = append(l.tries, offsets)
	gate := l.gate
	refused := map[kafka.TopicPartition]error{}
	for tp := range offsets {
		if l.refuses[tp] {
			refused[tp] = errors.New("no such partition")
		}
	}
	l.mu.Unlock()
	if gate != nil {
		<-gate
		return errors.New("no coordinator")
	}
	if len(refused) > 0 {
		return &kafka.CommitError{Partitions: refused}
	}
	return nil
}

// asked is how often commits of a partition were asked for, and the last position.
func (l *ledger) asked(tp kafka.TopicPartition) (n int, last int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, offsets := range l.tries {
		if o, ok := offsets[tp]; ok {
			n, last = n+1, o.At
		}
	}
	return n, last
}

// withCommitter runs play with a committer, its ledger and two owners of
// partitions that do nothing but hear of commits.
func withCommitter(t *testing.T, play func(c *committer, l *ledger, owners []*owner, log *lockedBuffer)) {
	synctest.Test(t, func(t *testing.T) {
		var log lockedBuffer
		c := newCommitter(500*time.Millisecond, slog.New(slog.NewTextHandler(&log, nil)))
		l := &ledger{}
		c.use(l)
		var owners []*owner
		for n := range int32(2) {
			o := &owner{
				shared: &shared{committer: c}, partition: kafka.TopicPartition{Topic: "shop", Partition: n},
				mail: newMailbox(), ended: make(chan struct{}),
			}
			o.ctx, o.cancel = context.WithCancelCause(t.Context())
			owners = append(owners, o)
		}
		ctx, cancel := context.WithCancel(t.Context())
		var running sync.WaitGroup
		running.Go(func() { c.run(ctx) })
		play(c, l, owners, &log)
		cancel()
		running.Wait()
	})
}

func TestRefusedPartitionDoesNotHoldUpTheOthers(t *testing.T) {
	withCommitter(t, func(c *committer, l *ledger, owners []*owner, log *lockedBuffer) {
		good, bad := owners[0], owners[1]
		l.refuses = map[kafka.TopicPartition]bool{bad.partition: true}
		c.want(good, 1)
		c.want(bad, 1)
		c.now()
		synctest.Wait()
		if at := good.mail.take(news{}).committed; at != 1 {
			t.Errorf("the other one was told %d", at)
		}
		for at := int64(2); at <= 10; at++ {
			c.want(good, at)
			<-time.After(time.Second)
		}
		if n, at := l.asked(good.partition); n != 10 || at != 10 {
			t.Errorf("the other one was committed %d times, last %d", n, at)
		}
		// After 0.1, 0.3, 0.7, 1.5, 3.1 and 6.3 seconds.
		if n, _ := l.asked(bad.partition); n != 7 {
			t.Errorf("the refused one was tried %d times in 9 s", n)
		}
		if n := strings.Count(log.String(), "commit failed"); n != 1 {
			t.Errorf("said %d times: %s", n, log)
		}
		l.mu.Lock()
		l.refuses = nil
		l.mu.Unlock()
		c.want(bad, 5)
		<-time.After(commitLongest)
		if at := bad.mail.take(news{}).committed; at != 5 {
			t.Errorf("in the end committed %d", at)
		}
	})
}

func TestForgottenPartitionIsNotCommitted(t *testing.T) {
	withCommitter(t, func(c *committer, l *ledger, owners []*owner, _ *lockedBuffer) {
		left, other := owners[0], owners[1]
		c.want(other, 1) // begins the interval
		synctest.Wait()
		c.want(left, 7)
		close(left.ended)
		left.lose()
		<-time.After(time.Minute)
		if n, _ := l.asked(left.partition); n != 0 {
			t.Errorf("committed %d times", n)
		}
		c.want(other, 2)
		again := &owner{shared: left.shared, partition: left.partition, mail: newMailbox()}
		c.want(again, 9)
		c.forget(left) // a former owner of the same partition
		<-time.After(time.Minute)
		if n, at := l.asked(left.partition); n != 1 || at != 9 {
			t.Errorf("its next owner's commit: %d, of %d", n, at)
		}
	})
}

func TestForgottenPartitionIsNotTriedAgain(t *testing.T) {
	withCommitter(t, func(c *committer, l *ledger, owners []*owner, _ *lockedBuffer) {
		left := owners[0]
		l.gate = make(chan struct{})
		c.want(left, 7)
		synctest.Wait() // the commit is under way
		close(left.ended)
		left.lose()
		close(l.gate)
		<-time.After(time.Minute)
		if n, _ := l.asked(left.partition); n != 1 {
			t.Errorf("committed %d times", n)
		}
	})
}

func TestRefusedPositionGivesWayToANewerOne(t *testing.T) {
	withCommitter(t, func(c *committer, l *ledger, owners []*owner, _ *lockedBuffer) {
		o := owners[0]
		gate := make(chan struct{})
		l.gate = gate
		c.want(o, 7)
		synctest.Wait()
		c.want(o, 8)
		l.mu.Lock()
		l.gate = nil
		l.mu.Unlock()
		close(gate)
		<-time.After(time.Minute)
		l.mu.Lock()
		defer l.mu.Unlock()
		var at []int64
		for _, offsets := range l.tries {
			at = append(at, offsets[o.partition].At)
		}
		if !slices.Equal(at, []int64{7, 8}) {
			t.Errorf("committed %v", at)
		}
	})
}
