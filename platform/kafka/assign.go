package kafka

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// plan is the leader's task: to say who of the group gets which partition.
func (m *member) plan(ctx context.Context, g *generation, members []kmsg.JoinGroupResponseMember) ([]kmsg.SyncGroupRequestGroupAssignment, error) {
	subscriptions := make(map[string][]string, len(members))
	subscribed := make(map[string]bool)
	for i := range members {
		var subscription kmsg.ConsumerMemberMetadata
		if err := subscription.ReadFrom(members[i].ProtocolMetadata); err != nil {
			return nil, fmt.Errorf("%w: the subscription of member %s: %w", ErrCorrupt, members[i].MemberID, err)
		}
		subscriptions[members[i].MemberID] = subscription.Topics
		for _, topic := range subscription.Topics {
			subscribed[topic] = true
		}
	}
	g.topics = slices.Sorted(maps.Keys(subscribed))
	var err error
	if g.partitions, err = m.look(ctx, g.topics); err != nil {
		return nil, err
	}
	var plan []kmsg.SyncGroupRequestGroupAssignment
	for id, tps := range roundRobin(subscriptions, g.partitions) {
		entry := kmsg.NewSyncGroupRequestGroupAssignment()
		entry.MemberID, entry.MemberAssignment = id, writeAssignment(tps)
		plan = append(plan, entry)
	}
	return plan, nil
}

// secondLook is when a leader asks again for topics that it was not told of.
const secondLook = 500 * time.Millisecond

// look is how many partitions topics have. One that is not there is asked for
// again: a broker that has just started may not know all topics yet.
func (m *member) look(ctx context.Context, topics []string) (map[string]int32, error) {
	counts, err := m.c.partitionCounts(ctx, topics)
	if err != nil || len(counts) == len(topics) {
		return counts, err
	}
	select {
	case <-time.After(secondLook):
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
	return m.c.partitionCounts(ctx, topics)
}

// roundRobin deals the partitions of all topics out like cards, in order, to
// the members that subscribe to the topic; every member is in the result. It
// is the assignor of that name of the Java client.
func roundRobin(subscriptions map[string][]string, partitions map[string]int32) map[string][]TopicPartition {
	dealt := make(map[string][]TopicPartition, len(subscriptions))
	members := slices.Sorted(maps.Keys(subscriptions))
	for _, id := range members {
		dealt[id] = nil
	}
	turn := 0
	for _, topic := range slices.Sorted(maps.Keys(partitions)) {
		for p := range partitions[topic] {
			for range members {
				id := members[turn%len(members)]
				turn++
				if slices.Contains(subscriptions[id], topic) {
					dealt[id] = append(dealt[id], TopicPartition{topic, p})
					break
				}
			}
		}
	}
	return dealt
}

func writeAssignment(tps []TopicPartition) []byte {
	grouped := byTopic(slices.Values(tps))
	assignment := kmsg.NewConsumerMemberAssignment()
	for _, name := range slices.Sorted(maps.Keys(grouped)) {
		topic := kmsg.NewConsumerMemberAssignmentTopic()
		topic.Topic, topic.Partitions = name, grouped[name]
		assignment.Topics = append(assignment.Topics, topic)
	}
	return assignment.AppendTo(nil)
}

// readAssignment reads what the leader, which may be another program, assigned.
// Nothing at all is a member without partitions.
func readAssignment(b []byte) ([]TopicPartition, error) {
	if len(b) == 0 {
		return nil, nil
	}
	var assignment kmsg.ConsumerMemberAssignment
	if err := assignment.ReadFrom(b); err != nil {
		return nil, fmt.Errorf("%w: the group leader's assignment: %w", ErrCorrupt, err)
	}
	var tps []TopicPartition
	for i := range assignment.Topics {
		for _, p := range assignment.Topics[i].Partitions {
			tps = append(tps, TopicPartition{assignment.Topics[i].Topic, p})
		}
	}
	return tps, nil
}
