package runtime

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/troupedev/troupe/platform/kafka"
)

// member is one service's seat in its consumer group: it has an owner for each
// partition that the group hands it. It is the group's handler, whose calls
// come one after another.
type member struct {
	*staff
	client *kafka.Client
	drain  time.Duration
	seated func() // called at the first assignment

	first  sync.Once
	owners map[kafka.TopicPartition]*owner
}

// run is a member of the group until ctx ends and all partitions are released.
func (m *member) run(ctx context.Context, group string, topics []string) error {
	committing, stop := context.WithCancel(context.WithoutCancel(ctx))
	var committer sync.WaitGroup
	committer.Go(func() { m.committer.run(committing) })
	err := m.client.Join(ctx, kafka.GroupConfig{ID: group, Topics: topics}, m)
	for _, o := range m.owners {
		o.lose() // none is left, unless the group gave up
	}
	stop()
	committer.Wait()
	m.pool.wait(m.log)
	if err != nil && ctx.Err() == nil {
		return fmt.Errorf("service %s: group %s: %w", m.service.name, group, err)
	}
	return nil
}

// Assigned implements [kafka.GroupHandler].
func (m *member) Assigned(s *kafka.Session, partitions []kafka.Assignment) {
	m.committer.use(s)
	for _, a := range partitions {
		if old := m.owners[a.TopicPartition]; old != nil {
			old.lose() // the group handed it out anew without taking it back
		}
		from := max(a.Committed.At, 0)
		m.log.Debug("partition assigned", "topic", a.Topic, "partition", a.Partition, "from", from)
		m.owners[a.TopicPartition] = own(m.staff, a.TopicPartition, from, m.client.Read(a.TopicPartition, from))
	}
	m.first.Do(m.seated)
}

const (
	// groupDrain is what the group, with its default times, waits for
	// partitions to be given back.
	groupDrain = 8 * time.Second
	// lastCommit is the part of it that is kept for committing what handlers
	// have done.
	lastCommit = time.Second
)

// Revoked implements [kafka.GroupHandler].
func (m *member) Revoked(ctx context.Context, s *kafka.Session, partitions []kafka.TopicPartition) {
	m.committer.use(s)
	soft, cancel := context.WithDeadline(ctx, m.handlersEnd(ctx, time.Now()))
	defer cancel()
	var releasing sync.WaitGroup
	for _, p := range partitions {
		if o := m.owners[p]; o != nil {
			delete(m.owners, p)
			releasing.Go(func() { o.release(soft, ctx) })
		}
	}
	releasing.Wait()
}

// handlersEnd is when handlers are cancelled whose partition is to be given
// back by the deadline of ctx.
func (m *member) handlersEnd(ctx context.Context, now time.Time) time.Time {
	end := now.Add(m.drain)
	if all, ok := ctx.Deadline(); ok && all.Add(-lastCommit).Before(end) {
		return all.Add(-lastCommit)
	}
	return end
}

// Lost implements [kafka.GroupHandler].
func (m *member) Lost(partitions []kafka.TopicPartition) {
	for _, p := range partitions {
		if o := m.owners[p]; o != nil {
			m.log.Warn("partition lost: what was in hand is dropped", "topic", p.Topic, "partition", p.Partition)
			delete(m.owners, p)
			o.lose()
		}
	}
}
