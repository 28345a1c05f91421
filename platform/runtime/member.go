package runtime

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/troupedev/troupe/platform/kafka"
)

// member is one service in one of its consumer groups: it has an owner for each
// partition that it is assigned. As the [kafka.GroupHandler] of the group it is
// called once at a time, and each Assigned is followed by one Revoked or one
// Lost of the same partitions.
type member struct {
	*shared
	group  group
	client *kafka.Client
	drain  time.Duration
	joined func() // called at the first assignment

	first  sync.Once
	owners []*owner // of the partitions assigned last
}

// run is a member of the group until ctx ends and all partitions are released.
func (m *member) run(ctx context.Context) error {
	committing, stop := context.WithCancel(context.WithoutCancel(ctx))
	var committer sync.WaitGroup
	committer.Go(func() { m.committer.run(committing) })
	err := m.client.Join(ctx, kafka.GroupConfig{ID: m.group.id, Topics: m.group.topics}, m)
	stop()
	committer.Wait()
	m.pool.wait(m.log)
	if err != nil && ctx.Err() == nil {
		return fmt.Errorf("service %s: group %s: %w", m.service.name, m.group.id, err)
	}
	return nil
}

// Assigned implements [kafka.GroupHandler].
func (m *member) Assigned(s *kafka.Session, partitions []kafka.Assignment) {
	m.committer.use(s)
	m.owners = make([]*owner, len(partitions))
	for i, a := range partitions {
		from := max(a.Committed.At, 0)
		m.log.Debug("partition assigned", "topic", a.Topic, "partition", a.Partition, "from", from)
		m.owners[i] = own(m.shared, a.TopicPartition, from, m.client.Read(a.TopicPartition, from))
	}
	m.first.Do(m.joined)
}

// lastCommit is the part of the time before a partition goes that is kept for
// committing what handlers have done.
const lastCommit = time.Second

// Revoked implements [kafka.GroupHandler].
func (m *member) Revoked(ctx context.Context, s *kafka.Session, _ []kafka.TopicPartition) {
	m.committer.use(s)
	soft, cancel := context.WithDeadline(ctx, m.handlersEnd(ctx, time.Now()))
	defer cancel()
	var releasing sync.WaitGroup
	for _, o := range m.owners {
		releasing.Go(func() { o.release(soft, ctx) })
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
func (m *member) Lost([]kafka.TopicPartition) {
	for _, o := range m.owners {
		o.log.Warn("partition lost: what was in hand is dropped")
		o.lose()
	}
}
