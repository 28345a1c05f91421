package kafka

import (
	"context"
	"fmt"
	"time"

	kgo "github.com/segmentio/kafka-go"
)

// partitionOf is the partition of a key among n, as the Java client has it, so
// that every producer of a topic agrees.
func partitionOf(key []byte, n int32) int32 {
	return int32((murmur2(key) & 0x7fffffff) % uint32(n))
}

// murmur2 is the hash of org.apache.kafka.common.utils.Utils.
func murmur2(data []byte) uint32 {
	const (
		seed = 0x9747b28c
		m    = 0x5bd1e995
		r    = 24
	)
	h := uint32(seed) ^ uint32(len(data))
	for ; len(data) >= 4; data = data[4:] {
		k := uint32(data[0]) | uint32(data[1])<<8 | uint32(data[2])<<16 | uint32(data[3])<<24
		k *= m
		k ^= k >> r
		k *= m
		h *= m
		h ^= k
	}
	switch len(data) {
	case 3:
		h ^= uint32(data[2]) << 16
		fallthrough
	case 2:
		h ^= uint32(data[1]) << 8
		fallthrough
	case 1:
		h ^= uint32(data[0])
		h *= m
	}
	h ^= h >> 13
	h *= m
	h ^= h >> 15
	return h
}

// partitionsAge is how long a producer believes a topic's number of partitions
// before it asks again, in the background.
const partitionsAge = 5 * time.Second

// stickyBytes is how much goes to one partition before records without a key
// move on to the next: enough to fill batches.
const stickyBytes = 16 << 10

// topic is what a producer knows of one topic. Its producer's lock guards it.
type topic struct {
	name       string
	partitions int32 // 0: not known yet
	asked      time.Time
	asking     bool
	waiting    []*item // in order, until partitions is known

	sticky      int32
	stickyBytes int
}

// choose picks the partition of a record.
func (t *topic) choose(r *Record) int32 {
	if r.Key != nil {
		return partitionOf(r.Key, t.partitions)
	}
	if t.stickyBytes > stickyBytes || t.sticky >= t.partitions {
		t.sticky = (t.sticky + 1) % t.partitions
		t.stickyBytes = 0
	}
	t.stickyBytes += encodedSize(r)
	return t.sticky
}

// ask finds out a topic's number of partitions, trying until it is known, does
// not exist for a while, or cannot be known.
func (p *Producer) ask(t *topic, known bool) {
	n, err := p.lookup(t.name, known)
	p.mu.Lock()
	t.asking, t.asked = false, time.Now()
	waiting := t.waiting
	t.waiting = nil
	if err == nil {
		t.partitions = n
	}
	var reports reports
	for _, it := range waiting {
		switch {
		case it.done:
		case t.partitions > 0:
			p.enqueue(t, it)
		default:
			reports.settle(it, err)
		}
	}
	p.mu.Unlock()
	reports.make()
}

// lookup asks once when some number is known already, else until it has one.
func (p *Producer) lookup(name string, known bool) (int32, error) {
	ctx, cancel := context.WithTimeoutCause(p.ctx, p.cfg.DeliveryTimeout,
		fmt.Errorf("producing to %s: its partitions are not known after %s", name, p.cfg.DeliveryTimeout))
	defer cancel()
	var wait backoff
	outage := outage{c: p.c, what: "producing to " + name}
	started := time.Now()
	for {
		n, err := p.c.partitionsOnce(ctx, name)
		switch code, isCode := kgoCode(err); {
		case err == nil:
			outage.work()
			return n, nil
		case known, !retriable(err):
			return 0, err
		case isCode && code == kgo.UnknownTopicOrPartition && time.Since(started) > p.cfg.UnknownTopicTimeout:
			return 0, fmt.Errorf("topic %s does not exist: %w", name, err)
		}
		outage.fail(err)
		if ended := wait.wait(ctx); ended != nil {
			return 0, fmt.Errorf("%w: %w", ended, err)
		}
	}
}
