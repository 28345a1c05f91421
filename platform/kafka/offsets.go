package kafka

import (
	"context"
	"errors"
	"fmt"

	kgo "github.com/segmentio/kafka-go"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// nobody commits for a group that has no members.
const (
	nobodyID         = ""
	nobodyGeneration = -1
)

// commitOffsets commits for a member in a generation, once.
func (c *Client) commitOffsets(ctx context.Context, group, member string, generation int32, offsets map[TopicPartition]Offset) error {
	req := kmsg.NewPtrOffsetCommitRequest()
	req.Group, req.MemberID, req.Generation = group, member, generation
	byTopic := make(map[string]int, 4)
	for tp, offset := range offsets {
		i, ok := byTopic[tp.Topic]
		if !ok {
			i = len(req.Topics)
			byTopic[tp.Topic] = i
			topic := kmsg.NewOffsetCommitRequestTopic()
			topic.Topic = tp.Topic
			req.Topics = append(req.Topics, topic)
		}
		p := kmsg.NewOffsetCommitRequestTopicPartition()
		p.Partition, p.Offset, p.LeaderEpoch = tp.Partition, offset.At, -1
		p.Metadata = new(offset.Metadata)
		req.Topics[i].Partitions = append(req.Topics[i].Partitions, p)
	}
	resp, err := req.RequestWith(ctx, c.coordinator(group))
	if err != nil {
		return err
	}
	return commitResult(resp)
}

// commitResult is every partition's refusal. One that fences the member is all
// there is to say.
func commitResult(resp *kmsg.OffsetCommitResponse) error {
	var errs []error
	for i := range resp.Topics {
		t := &resp.Topics[i]
		for j := range t.Partitions {
			err := memberError(t.Partitions[j].ErrorCode)
			switch {
			case err == nil:
			case errors.Is(err, ErrFenced):
				return err
			default:
				errs = append(errs, fmt.Errorf("%s[%d]: %w", t.Topic, t.Partitions[j].Partition, err))
			}
		}
	}
	return errors.Join(errs...)
}

// memberError is codeError for requests of a group's member.
func memberError(code int16) error {
	err := codeError(code, nil)
	switch kgo.Error(code) {
	case kgo.UnknownMemberId, kgo.IllegalGeneration, kgo.FencedInstanceID:
		return fmt.Errorf("%w: %w", ErrFenced, err)
	case kgo.OffsetMetadataTooLarge:
		return fmt.Errorf("%w: %w", ErrMetadataTooLarge, err)
	}
	return err
}

// committed asks for a group's offsets. A partition without one has At -1.
func (c *Client) committed(ctx context.Context, group string, tps []TopicPartition) (map[TopicPartition]Offset, error) {
	if len(tps) == 0 {
		return nil, nil
	}
	req := kmsg.NewPtrOffsetFetchRequest()
	req.Group = group
	byTopic := make(map[string]int, 4)
	for _, tp := range tps {
		i, ok := byTopic[tp.Topic]
		if !ok {
			i = len(req.Topics)
			byTopic[tp.Topic] = i
			topic := kmsg.NewOffsetFetchRequestTopic()
			topic.Topic = tp.Topic
			req.Topics = append(req.Topics, topic)
		}
		req.Topics[i].Partitions = append(req.Topics[i].Partitions, tp.Partition)
	}
	resp, err := req.RequestWith(ctx, c.coordinator(group))
	if err == nil {
		err = codeError(resp.ErrorCode, nil)
	}
	if errors.Is(err, kgo.GroupIdNotFound) {
		return map[TopicPartition]Offset{}, nil // the embedded broker says so of a group that is new
	}
	if err != nil {
		return nil, err
	}
	return committedResult(resp)
}

func committedResult(resp *kmsg.OffsetFetchResponse) (map[TopicPartition]Offset, error) {
	offsets := make(map[TopicPartition]Offset)
	for i := range resp.Topics {
		t := &resp.Topics[i]
		for j := range t.Partitions {
			p := &t.Partitions[j]
			if err := codeError(p.ErrorCode, nil); err != nil {
				return nil, fmt.Errorf("%s[%d]: %w", t.Topic, p.Partition, err)
			}
			offset := Offset{At: max(p.Offset, -1)}
			if p.Metadata != nil {
				offset.Metadata = *p.Metadata
			}
			offsets[TopicPartition{t.Topic, p.Partition}] = offset
		}
	}
	return offsets, nil
}

// StartAtEnd commits the ends of the topics' partitions for a group that has
// never committed anything on them; to be called before the group first joins.
// It leaves alone each topic of which the group has any partition committed,
// and everything once the group has members: they have begun already. Several
// processes may call it at the same moment.
func (c *Client) StartAtEnd(ctx context.Context, group string, topics []string) error {
	fresh := make(map[TopicPartition]Offset)
	for _, topic := range topics {
		if err := c.endsUnlessCommitted(ctx, group, topic, fresh); err != nil {
			return fmt.Errorf("start of group %s at the end of %s: %w", group, topic, err)
		}
	}
	if len(fresh) == 0 {
		return nil
	}
	err := c.retry(ctx, func(ctx context.Context) error {
		return c.commitOffsets(ctx, group, nobodyID, nobodyGeneration, fresh)
	})
	if errors.Is(err, ErrFenced) {
		c.log.Debug("the group has members already; its start is theirs", "group", group)
		return nil
	}
	if err != nil {
		return fmt.Errorf("start of group %s: %w", group, err)
	}
	return nil
}

func (c *Client) endsUnlessCommitted(ctx context.Context, group, topic string, into map[TopicPartition]Offset) error {
	_, ends, err := c.Ends(ctx, topic)
	if err != nil {
		return err
	}
	var tps []TopicPartition
	for p := range ends {
		tps = append(tps, TopicPartition{topic, int32(p)})
	}
	var have map[TopicPartition]Offset
	err = c.retry(ctx, func(ctx context.Context) (err error) {
		have, err = c.committed(ctx, group, tps)
		return err
	})
	if err != nil {
		return err
	}
	for _, tp := range tps {
		if offset, ok := have[tp]; ok && offset.At >= 0 {
			return nil
		}
	}
	for _, tp := range tps {
		into[tp] = Offset{At: ends[tp.Partition]}
	}
	return nil
}
