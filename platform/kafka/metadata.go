package kafka

import (
	"context"
	"errors"
	"fmt"
	"slices"

	kgo "github.com/segmentio/kafka-go"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// topicState is what the brokers say of one topic.
type topicState struct {
	partitions  int
	replication int
	leaderless  int // partitions that have no leader now
}

// topics asks the brokers about topics by name; one that does not exist is not
// in the answer. Asking never creates a topic.
func (c *Client) topics(ctx context.Context, names ...string) (map[string]topicState, error) {
	req := kmsg.NewPtrMetadataRequest()
	req.AllowAutoTopicCreation = false
	req.Topics = []kmsg.MetadataRequestTopic{} // none: nil would be all
	for _, name := range names {
		topic := kmsg.NewMetadataRequestTopic()
		topic.Topic = &name
		req.Topics = append(req.Topics, topic)
	}
	resp, err := req.RequestWith(ctx, c.any())
	if err != nil {
		return nil, err
	}
	states := make(map[string]topicState, len(names))
	for i := range resp.Topics {
		t := &resp.Topics[i]
		err := codeError(t.ErrorCode, nil)
		switch {
		case errors.Is(err, kgo.UnknownTopicOrPartition), t.Topic == nil:
			continue
		case err != nil && !errors.Is(err, kgo.LeaderNotAvailable):
			return nil, fmt.Errorf("topic %s: %w", *t.Topic, err)
		}
		states[*t.Topic] = stateOf(t)
	}
	return states, nil
}

func stateOf(t *kmsg.MetadataResponseTopic) topicState {
	state := topicState{partitions: len(t.Partitions)}
	for i := range t.Partitions {
		p := &t.Partitions[i]
		state.replication = max(state.replication, len(p.Replicas))
		if p.Leader < 0 || p.ErrorCode == int16(kgo.LeaderNotAvailable) {
			state.leaderless++
		}
	}
	if state.partitions == 0 {
		state.leaderless = 1 // so new that nobody knows its partitions
	}
	return state
}

// Topics are the names of all topics, sorted, the brokers' own among them.
func (c *Client) Topics(ctx context.Context) (names []string, err error) {
	err = c.retry(ctx, func(ctx context.Context) error {
		req := kmsg.NewPtrMetadataRequest() // without topics: of all
		resp, err := req.RequestWith(ctx, c.any())
		if err != nil {
			return fmt.Errorf("topics: %w", err)
		}
		names = make([]string, 0, len(resp.Topics))
		for _, t := range resp.Topics {
			if t.Topic != nil {
				names = append(names, *t.Topic)
			}
		}
		slices.Sort(names)
		return nil
	})
	return names, err
}

// Partitions is how many partitions a topic has. A topic that does not exist
// is an error, not created.
func (c *Client) Partitions(ctx context.Context, topic string) (n int32, err error) {
	err = c.retryUnless(ctx, kgo.UnknownTopicOrPartition, func(ctx context.Context) (err error) {
		n, err = c.partitionsOnce(ctx, topic)
		return err
	})
	return n, err
}

func (c *Client) partitionsOnce(ctx context.Context, topic string) (int32, error) {
	states, err := c.topics(ctx, topic)
	if err != nil {
		return 0, fmt.Errorf("partitions of %s: %w", topic, err)
	}
	state, ok := states[topic]
	if !ok || state.partitions == 0 {
		return 0, fmt.Errorf("partitions of %s: %w", topic, kgo.UnknownTopicOrPartition)
	}
	return int32(state.partitions), nil
}

// partitionCounts is how many partitions topics have that exist.
func (c *Client) partitionCounts(ctx context.Context, names []string) (map[string]int32, error) {
	states, err := c.topics(ctx, names...)
	if err != nil {
		return nil, err
	}
	counts := make(map[string]int32, len(states))
	for name, state := range states {
		if state.partitions > 0 {
			counts[name] = int32(state.partitions)
		}
	}
	return counts, nil
}

// Markers that a broker turns into an offset.
const (
	offsetEnd   = -1
	offsetStart = -2
)

// Ends is where the partitions of a topic start and end: the offset of the
// oldest record that is kept, and the one that the next record will get.
func (c *Client) Ends(ctx context.Context, topic string) (starts, ends []int64, err error) {
	n, err := c.Partitions(ctx, topic)
	if err != nil {
		return nil, nil, err
	}
	for p := range n {
		tp := TopicPartition{topic, p}
		start, err := c.listOffsetRetry(ctx, tp, offsetStart)
		if err != nil {
			return nil, nil, err
		}
		end, err := c.listOffsetRetry(ctx, tp, offsetEnd)
		if err != nil {
			return nil, nil, err
		}
		starts, ends = append(starts, start), append(ends, end)
	}
	return starts, ends, nil
}

// listOffsetRetry waits out a leader that moves or that is not known yet.
func (c *Client) listOffsetRetry(ctx context.Context, tp TopicPartition, marker int64) (offset int64, err error) {
	err = c.retry(ctx, func(ctx context.Context) (err error) {
		offset, err = c.listOffset(ctx, tp, marker)
		return err
	})
	return offset, err
}

// listOffset asks once for the start or the end of a partition.
func (c *Client) listOffset(ctx context.Context, tp TopicPartition, marker int64) (int64, error) {
	partition := kmsg.NewListOffsetsRequestTopicPartition()
	partition.Partition = tp.Partition
	partition.Timestamp = marker
	topic := kmsg.NewListOffsetsRequestTopic()
	topic.Topic = tp.Topic
	topic.Partitions = []kmsg.ListOffsetsRequestTopicPartition{partition}
	req := kmsg.NewPtrListOffsetsRequest()
	req.ReplicaID = -1
	req.Topics = []kmsg.ListOffsetsRequestTopic{topic}
	resp, err := req.RequestWith(ctx, c.leader(tp))
	if err == nil && (len(resp.Topics) != 1 || len(resp.Topics[0].Partitions) != 1) {
		err = kgo.UnknownTopicOrPartition
	}
	if err == nil {
		err = codeError(resp.Topics[0].Partitions[0].ErrorCode, nil)
	}
	if err != nil {
		return 0, fmt.Errorf("offsets of %s[%d]: %w", tp.Topic, tp.Partition, err)
	}
	return resp.Topics[0].Partitions[0].Offset, nil
}
