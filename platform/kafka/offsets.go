package kafka

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"iter"
	"maps"
	"slices"
	"strings"

	kgo "github.com/segmentio/kafka-go"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// nobody commits for a group that has no members.
const (
	nobodyID         = ""
	nobodyGeneration = -1
)

// commitOffsets commits for a member in a generation, once. Where the broker
// refuses some partitions and takes others, the error is a *CommitError.
func (c *Client) commitOffsets(ctx context.Context, group, member string, generation int32, offsets map[TopicPartition]Offset) error {
	req := kmsg.NewPtrOffsetCommitRequest()
	req.Group, req.MemberID, req.Generation = group, member, generation
	for topic, partitions := range byTopic(maps.Keys(offsets)) {
		t := kmsg.NewOffsetCommitRequestTopic()
		t.Topic = topic
		for _, partition := range partitions {
			offset := offsets[TopicPartition{topic, partition}]
			p := kmsg.NewOffsetCommitRequestTopicPartition()
			p.Partition, p.Offset, p.LeaderEpoch = partition, offset.At, -1
			p.Metadata = new(offset.Metadata)
			t.Partitions = append(t.Partitions, p)
		}
		req.Topics = append(req.Topics, t)
	}
	resp, err := req.RequestWith(ctx, c.coordinator(group))
	if err != nil {
		return err
	}
	return commitResult(resp)
}

// byTopic groups partitions by their topics, as requests have them.
func byTopic(tps iter.Seq[TopicPartition]) map[string][]int32 {
	grouped := make(map[string][]int32)
	for tp := range tps {
		grouped[tp.Topic] = append(grouped[tp.Topic], tp.Partition)
	}
	return grouped
}

// commitResult is nil, one error that concerns the whole group although the
// broker repeats it for each partition, or a *CommitError.
func commitResult(resp *kmsg.OffsetCommitResponse) error {
	refused := make(map[TopicPartition]error)
	for i := range resp.Topics {
		t := &resp.Topics[i]
		for j := range t.Partitions {
			code := t.Partitions[j].ErrorCode
			err := memberError(code)
			switch kgo.Error(code) {
			case 0:
				continue
			case kgo.UnknownMemberId, kgo.IllegalGeneration, kgo.FencedInstanceID, kgo.RebalanceInProgress,
				kgo.GroupCoordinatorNotAvailable, kgo.NotCoordinatorForGroup, kgo.GroupLoadInProgress:
				return err
			}
			refused[TopicPartition{t.Topic, t.Partitions[j].Partition}] = err
		}
	}
	if len(refused) > 0 {
		return &CommitError{refused}
	}
	return nil
}

// CommitError says which partitions of a commit were not committed, or are not
// known to be, and why. The others were. errors.Is finds the reasons.
type CommitError struct {
	Partitions map[TopicPartition]error
}

// Error names, for each reason, one of its partitions and the number of others.
func (e *CommitError) Error() string {
	var texts []string
	first := make(map[string]TopicPartition)
	others := make(map[string]int)
	for _, tp := range e.sorted() {
		text := e.Partitions[tp].Error()
		if _, ok := first[text]; ok {
			others[text]++
			continue
		}
		first[text] = tp
		texts = append(texts, text)
	}
	for i, text := range texts {
		name := fmt.Sprintf("%s[%d]", first[text].Topic, first[text].Partition)
		if n := others[text]; n > 0 {
			name += fmt.Sprintf(" and %d more", n)
		}
		texts[i] = name + ": " + text
	}
	return strings.Join(texts, "; ")
}

// Unwrap is the reasons.
func (e *CommitError) Unwrap() []error {
	var errs []error
	for _, tp := range e.sorted() {
		errs = append(errs, e.Partitions[tp])
	}
	return errs
}

func (e *CommitError) sorted() []TopicPartition {
	return slices.SortedFunc(maps.Keys(e.Partitions), func(a, b TopicPartition) int {
		return cmp.Or(strings.Compare(a.Topic, b.Topic), cmp.Compare(a.Partition, b.Partition))
	})
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
	for topic, partitions := range byTopic(slices.Values(tps)) {
		t := kmsg.NewOffsetFetchRequestTopic()
		t.Topic, t.Partitions = topic, partitions
		req.Topics = append(req.Topics, t)
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
//
// A group whose offsets expired looks like a new one, so what is skipped is
// logged as a warning, with about the number of records (compaction and
// transactions aside).
func (c *Client) StartAtEnd(ctx context.Context, group string, topics []string) error {
	fresh := make(map[TopicPartition]Offset)
	skipped := make(map[string]int64)
	for _, topic := range topics {
		n, err := c.endsUnlessCommitted(ctx, group, topic, fresh)
		if err != nil {
			return fmt.Errorf("start of group %s at the end of %s: %w", group, topic, err)
		}
		skipped[topic] = n
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
	for _, topic := range slices.Sorted(maps.Keys(skipped)) {
		if n := skipped[topic]; n > 0 {
			c.log.Warn("the group has nothing committed and starts at the end of the topic; what is there already it does not read",
				"group", group, "topic", topic, "records", n)
		}
	}
	return nil
}

// endsUnlessCommitted adds the ends of the topic's partitions, and counts the
// records before them, unless the group has anything committed.
func (c *Client) endsUnlessCommitted(ctx context.Context, group, topic string, into map[TopicPartition]Offset) (skipped int64, err error) {
	starts, ends, err := c.Ends(ctx, topic)
	if err != nil {
		return 0, err
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
		return 0, err
	}
	for _, tp := range tps {
		if offset, ok := have[tp]; ok && offset.At >= 0 {
			return 0, nil
		}
	}
	for _, tp := range tps {
		into[tp] = Offset{At: ends[tp.Partition]}
		skipped += ends[tp.Partition] - starts[tp.Partition]
	}
	return skipped, nil
}
