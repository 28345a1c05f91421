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
	batch    []*item // in flight
	records  []*Record
	buffer   []byte
	maxBytes int // shrinks when the topic allows less than the producer
	wait     backoff
	unknown  time.Time // since when the broker does not know the topic
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
	for l.take() {
		err := l.try()
		switch {
		case err == nil:
			l.outage.work()
			l.wait.reset()
			l.unknown = time.Time{}
			l.settle(nil)
		case len(l.batch) > 1 && errors.Is(err, ErrTooLarge):
			l.maxBytes = max(1, l.size()/2)
			l.putBack(err)
		case l.final(err):
			l.settle(err)
		default:
			l.outage.fail(err)
			l.putBack(err)
			_ = l.wait.wait(l.p.ctx) // when it ends, the next try is the last
		}
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

// take takes the next batch off the queue; none is left when the lane ends.
// One record goes into a batch, however large.
func (l *lane) take() bool {
	var reports reports
	defer func() { reports.make() }()
	l.p.mu.Lock()
	defer l.p.mu.Unlock()
	l.batch = l.batch[:0]
	size, passed := batchHeader, 0
	for _, it := range l.queue {
		if !it.done && it.ended() {
			reports.settle(it, it.withdrawn())
		}
		if !it.done {
			size += encodedSize(&it.Record)
			if size > l.maxBytes && len(l.batch) > 0 {
				break
			}
			it.flying, it.tried = true, true
			l.batch = append(l.batch, it)
		}
		passed++
	}
	l.queue = l.queue[passed:]
	if len(l.batch) > 0 {
		return true
	}
	l.queue, l.running = nil, false
	return false
}

// settle ends the batch with what became of all its records.
func (l *lane) settle(err error) {
	var reports reports
	l.p.mu.Lock()
	for _, it := range l.batch {
		reports.settle(it, err)
	}
	l.p.mu.Unlock()
	clear(l.batch)
	reports.make()
}

// putBack puts the batch back in front of the queue, to be tried again, but for
// the records whose time is over.
func (l *lane) putBack(err error) {
	var reports reports
	l.p.mu.Lock()
	again := make([]*item, 0, len(l.batch)+len(l.queue))
	for _, it := range l.batch {
		switch {
		case it.ended():
			reports.settle(it, fmt.Errorf("%w (%w)", it.withdrawn(), err))
		case time.Since(it.sent) > l.p.cfg.DeliveryTimeout:
			reports.settle(it, fmt.Errorf("given up after %s: %w", l.p.cfg.DeliveryTimeout, err))
		default:
			it.flying = false
			again = append(again, it)
		}
	}
	l.queue = append(again, l.queue...)
	l.p.mu.Unlock()
	clear(l.batch)
	reports.make()
}

// size bounds the bytes of the batch.
func (l *lane) size() int {
	size := batchHeader
	for _, it := range l.batch {
		size += encodedSize(&it.Record)
	}
	return size
}

// try sends the batch once. The error says where it failed.
func (l *lane) try() error {
	if l.p.ctx.Err() != nil {
		return context.Cause(l.p.ctx)
	}
	l.records = l.records[:0]
	for _, it := range l.batch {
		l.records = append(l.records, &it.Record)
	}
	l.buffer = encodeBatch(l.buffer[:0], l.records)
	clear(l.records)
	err := l.request(l.buffer)
	size := len(l.buffer)
	l.trim(err == nil)
	switch {
	case err == nil:
		return nil
	case l.p.ctx.Err() != nil:
		return context.Cause(l.p.ctx)
	case errors.Is(err, kgo.MessageSizeTooLarge), errors.Is(err, kgo.RecordListTooLarge):
		return fmt.Errorf("%w: producing to %s[%d], %d bytes: %w (max.message.bytes of the topic)", ErrTooLarge, l.tp.Topic, l.tp.Partition, size, err)
	default:
		return fmt.Errorf("producing to %s[%d]: %w", l.tp.Topic, l.tp.Partition, err)
	}
}

// final tells whether the batch is not to be tried again.
func (l *lane) final(err error) bool {
	switch {
	case l.p.ctx.Err() != nil, !retriable(err):
		return true
	case !errors.Is(err, kgo.UnknownTopicOrPartition):
		l.unknown = time.Time{}
	case l.unknown.IsZero():
		l.unknown = time.Now()
	}
	return !l.unknown.IsZero() && time.Since(l.unknown) > l.p.cfg.UnknownTopicTimeout
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
