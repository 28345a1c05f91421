package kafka

import (
	"context"
	"errors"
	"fmt"
	"time"

	kgo "github.com/segmentio/kafka-go"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// ackTime is how long a broker may wait for the other replicas.
const ackTime = 10 * time.Second

// lane is the queue of one partition, and the goroutine that empties it: one
// request at a time, so that order holds. The goroutine ends with the queue.
type lane struct {
	p       *Producer
	tp      TopicPartition
	queue   []*item // the producer's lock guards queue and running
	running bool

	// What follows is the goroutine's.
	maxBytes int // shrinks when the topic allows less than the producer
	buffer   []byte
	outage   outage
}

func newLane(p *Producer, tp TopicPartition) *lane {
	return &lane{
		p: p, tp: tp, maxBytes: p.cfg.MaxBatchBytes,
		outage: outage{c: p.c, what: fmt.Sprintf("producing to %s[%d]", tp.Topic, tp.Partition)},
	}
}

func (l *lane) run() {
	l.linger()
	for {
		batch := l.take()
		if batch == nil {
			return
		}
		l.deliver(batch)
	}
}

func (l *lane) linger() {
	if l.p.cfg.Linger == 0 {
		return
	}
	timer := time.NewTimer(l.p.cfg.Linger)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-l.p.ctx.Done():
	}
}

// take takes the next batch off the queue; nil ends the lane.
func (l *lane) take() []*item {
	l.p.mu.Lock()
	defer l.p.mu.Unlock()
	if len(l.queue) == 0 {
		l.queue = nil
		l.running = false
		return nil
	}
	n := l.fitting(l.queue)
	batch := l.queue[:n:n]
	l.queue = l.queue[n:]
	return batch
}

// fitting is how many items go into one batch; one does, however large.
func (l *lane) fitting(items []*item) int {
	size := batchHeader
	for i, it := range items {
		size += encodedSize(&it.Record)
		if size > l.maxBytes && i > 0 {
			return i
		}
	}
	return len(items)
}

// deliver sends a batch until it is acknowledged or has finally failed. One
// that the topic refuses for its size goes in smaller ones.
func (l *lane) deliver(batch []*item) {
	for len(batch) > 0 {
		n := l.fitting(batch)
		err := l.persist(batch[:n])
		if n > 1 && errors.Is(err, ErrTooLarge) {
			l.maxBytes = max(1, l.size(batch[:n])/2)
			continue
		}
		for _, it := range batch[:n] {
			it.done(err)
		}
		batch = batch[n:]
	}
}

func (l *lane) size(batch []*item) int {
	size := batchHeader
	for _, it := range batch {
		size += encodedSize(&it.Record)
	}
	return size
}

// persist tries again whatever passes, until the batch's oldest record has
// been tried for DeliveryTimeout.
func (l *lane) persist(batch []*item) error {
	records := make([]*Record, len(batch))
	for i, it := range batch {
		records[i] = &it.Record
	}
	l.buffer = encodeBatch(l.buffer[:0], records)
	clean := true // no request was given up
	defer func() { l.trim(clean) }()
	var wait backoff
	var unknown time.Time // since when the broker does not know the topic
	for {
		err := l.request(l.buffer)
		clean = clean && err == nil
		switch {
		case err == nil:
			l.outage.work()
			return nil
		case l.p.ctx.Err() != nil:
			return context.Cause(l.p.ctx)
		case errors.Is(err, kgo.MessageSizeTooLarge), errors.Is(err, kgo.RecordListTooLarge):
			return fmt.Errorf("%w: producing to %s[%d], %d bytes: %w (max.message.bytes of the topic)", ErrTooLarge, l.tp.Topic, l.tp.Partition, len(l.buffer), err)
		case !retriable(err):
			return fmt.Errorf("producing to %s[%d]: %w", l.tp.Topic, l.tp.Partition, err)
		case time.Since(batch[0].sent) > l.p.cfg.DeliveryTimeout:
			return fmt.Errorf("producing to %s[%d]: given up after %s: %w", l.tp.Topic, l.tp.Partition, l.p.cfg.DeliveryTimeout, err)
		case !errors.Is(err, kgo.UnknownTopicOrPartition):
			unknown = time.Time{}
		case unknown.IsZero():
			unknown = time.Now()
		case time.Since(unknown) > l.p.cfg.UnknownTopicTimeout:
			return fmt.Errorf("producing to %s[%d], which does not exist: %w", l.tp.Topic, l.tp.Partition, err)
		}
		l.outage.fail(err)
		if err := wait.wait(l.p.ctx); err != nil {
			return err
		}
	}
}

// trim lets go of a buffer that a rare large record made, or that a connection
// may still be reading.
func (l *lane) trim(clean bool) {
	if !clean || cap(l.buffer) > 2*l.p.cfg.MaxBatchBytes {
		l.buffer = nil
	}
}

// request sends a batch once.
func (l *lane) request(batch []byte) error {
	partition := kmsg.NewProduceRequestTopicPartition()
	partition.Partition = l.tp.Partition
	partition.Records = batch
	topic := kmsg.NewProduceRequestTopic()
	topic.Topic = l.tp.Topic
	topic.Partitions = []kmsg.ProduceRequestTopicPartition{partition}
	req := kmsg.NewPtrProduceRequest()
	req.Acks = -1
	req.TimeoutMillis = int32(ackTime.Milliseconds())
	req.Topics = []kmsg.ProduceRequestTopic{topic}

	resp, err := req.RequestWith(l.p.ctx, l.p.c.leader(l.tp).within(ackTime))
	if err != nil {
		return err
	}
	if len(resp.Topics) != 1 || len(resp.Topics[0].Partitions) != 1 {
		return kgo.UnknownTopicOrPartition
	}
	answer := &resp.Topics[0].Partitions[0]
	return codeError(answer.ErrorCode, answer.ErrorMessage)
}
