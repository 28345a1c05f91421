package kafka

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/semaphore"
)

// MaxRecordBytes is the largest record that a Producer sends unless it is told
// otherwise: key, value, headers and what their encoding adds, as brokers count
// it. A topic whose max.message.bytes is this takes whatever such a Producer
// sends.
const MaxRecordBytes = 16 << 20

// ProducerConfig tunes a Producer. The zero value is good.
type ProducerConfig struct {
	// DeliveryTimeout is how long a record is tried, from when it was sent.
	// Default 2 min; more than 30 s, which a cluster may take to replace a
	// broker that died.
	DeliveryTimeout time.Duration

	// UnknownTopicTimeout is how long a topic may be unknown before its records
	// fail. Default 30 s: brokers that start know their topics late.
	UnknownTopicTimeout time.Duration

	// Linger is how long a batch waits for more records. Default 0: a batch is
	// what came while the one before it was under way.
	Linger time.Duration

	// MaxBatchBytes bounds a batch, but for a record that is larger alone.
	// Default 1,000,000, which brokers allow by default. At most 64 MiB.
	MaxBatchBytes int

	// MaxRecordBytes bounds a record. A larger one is refused before it is sent,
	// with ErrTooLarge. Default 16 MiB, the constant MaxRecordBytes. What a
	// topic itself allows (max.message.bytes, 1 MiB by default) counts as well.
	MaxRecordBytes int

	// MaxMemory bounds the bytes of all records that are not acknowledged yet;
	// Send waits above it. Default 64 MiB.
	MaxMemory int64
}

func (cfg *ProducerConfig) validate() error {
	var errs []error
	fault := func(bad bool, format string, args ...any) {
		if bad {
			errs = append(errs, fmt.Errorf("kafka: producer: "+format, args...))
		}
	}
	fault(cfg.DeliveryTimeout <= 30*time.Second, "DeliveryTimeout %s: more than 30s is needed", cfg.DeliveryTimeout)
	fault(cfg.UnknownTopicTimeout < 0, "UnknownTopicTimeout is negative: %s", cfg.UnknownTopicTimeout)
	fault(cfg.Linger < 0, "Linger is negative: %s", cfg.Linger)
	fault(cfg.MaxBatchBytes < 1 || cfg.MaxBatchBytes > fetchBytesLimit, "MaxBatchBytes %d: 1 to %d", cfg.MaxBatchBytes, fetchBytesLimit)
	fault(cfg.MaxRecordBytes < 1 || cfg.MaxRecordBytes > fetchBytesLimit, "MaxRecordBytes %d: 1 to %d", cfg.MaxRecordBytes, fetchBytesLimit)
	fault(cfg.MaxMemory < 1, "MaxMemory %d", cfg.MaxMemory)
	return errors.Join(errs...)
}

func (cfg *ProducerConfig) setDefaults() {
	setDefault(&cfg.DeliveryTimeout, 2*time.Minute)
	setDefault(&cfg.UnknownTopicTimeout, 30*time.Second)
	setDefault(&cfg.MaxBatchBytes, 1_000_000)
	setDefault(&cfg.MaxRecordBytes, MaxRecordBytes)
	setDefault(&cfg.MaxMemory, 64<<20)
}

// Producer sends records, acknowledged by all replicas. Records of one
// partition are written in the order in which they were sent, also when they
// are tried again; a record may then be there twice. One per process is enough.
type Producer struct {
	c      *Client
	cfg    ProducerConfig
	memory *semaphore.Weighted
	ctx    context.Context // ends when nobody waits for a record any more
	stop   context.CancelCauseFunc

	mu      sync.Mutex // guards what follows, and every topic, lane and send
	topics  map[string]*topic
	lanes   map[TopicPartition]*lane
	waiting int            // sends that somebody waits for
	closed  bool           // by Close
	lost    map[string]int // by topic: records that failed after that
	working sync.WaitGroup // lanes, lookups and reports
}

// Producer starts a producer. Close it before the Client.
func (c *Client) Producer(cfg ProducerConfig) (*Producer, error) {
	cfg.setDefaults()
	if err := cfg.validate(); err != nil {
		return nil, err
	}
	ctx, stop := context.WithCancelCause(context.Background())
	return &Producer{
		c: c, cfg: cfg,
		memory: semaphore.NewWeighted(cfg.MaxMemory),
		ctx:    ctx,
		stop:   stop,
		topics: make(map[string]*topic),
		lanes:  make(map[TopicPartition]*lane),
		lost:   make(map[string]int),
	}, nil
}

// Produce returns when every record is acknowledged or has finally failed,
// with the first failure. When ctx ends first, Produce returns its cause at
// once: records that are in flight at that moment, or were before, may be
// written; all others are not, now or later.
func (p *Producer) Produce(ctx context.Context, records ...Record) error {
	result := make(chan error, 1)
	p.Send(ctx, records, func(err error) { result <- err })
	select {
	case err := <-result:
		return err
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// Send queues records and calls done once, from a goroutine of the producer,
// when every one is acknowledged or has finally failed, with the first
// failure. It waits only while the producer's memory is full. If one record is
// refused at once (too large, no topic), none is sent. The producer keeps the
// bytes of the records until done. Once the producer is closed, done is called
// before Send returns.
//
// When ctx ends, at its deadline or before, the records of this call that are
// not in flight leave the queue and have failed with ctx's cause. One is in
// flight from when a request with it is begun until that is answered or given
// up (20 s by default). A record that is in flight when ctx ends is resolved by
// its request, and not tried again: it is acknowledged, or it has failed and
// may have been written all the same.
func (p *Producer) Send(ctx context.Context, records []Record, done func(error)) {
	s := &send{p: p, ctx: ctx, report: done, left: len(records)}
	size, err := p.check(records)
	if err != nil {
		p.refuse(s, err)
		return
	}
	s.memory = min(size, p.cfg.MaxMemory)
	if err := p.memory.Acquire(ctx, s.memory); err != nil {
		s.memory = 0
		p.refuse(s, fmt.Errorf("waiting for the producer's memory: %w", context.Cause(ctx)))
		return
	}
	now := time.Now()
	s.items = make([]item, len(records))

	p.mu.Lock()
	if p.closed || len(records) == 0 {
		closed := p.closed
		p.mu.Unlock()
		p.refuse(s, closedError(closed))
		return
	}
	defer p.mu.Unlock()
	p.waiting++
	for i := range records {
		it := &s.items[i]
		*it = item{Record: records[i], sent: now, send: s}
		if it.Time.IsZero() {
			it.Time = now
		}
		p.route(it)
	}
	if ctx.Done() != nil {
		s.unwatch = context.AfterFunc(ctx, s.withdraw)
	}
}

func closedError(closed bool) error {
	if closed {
		return fmt.Errorf("producer: %w", ErrClosed)
	}
	return nil
}

// check sizes the records up and refuses what can never be sent.
func (p *Producer) check(records []Record) (size int64, err error) {
	for i := range records {
		r := &records[i]
		n := batchHeader + encodedSize(r)
		switch {
		case r.Topic == "":
			return 0, fmt.Errorf("record %d has no topic", i)
		case n > p.cfg.MaxRecordBytes:
			return 0, fmt.Errorf("%w: %s, key %.40q: %d bytes, at most %d are sent (MaxRecordBytes)", ErrTooLarge, r.Topic, r.Key, n, p.cfg.MaxRecordBytes)
		}
		size += int64(n)
	}
	return size, nil
}

// refuse reports a send that was never queued.
func (p *Producer) refuse(s *send, err error) {
	s.err = err
	p.mu.Lock()
	closed := p.closed
	if !closed {
		p.working.Go(s.finish)
	}
	p.mu.Unlock()
	if closed { // nobody waits for goroutines any more
		s.finish()
	}
}

// route puts an item on the lane of its partition, or lets it wait until the
// partitions of its topic are known. The lock is held.
func (p *Producer) route(it *item) {
	t, ok := p.topics[it.Topic]
	if !ok {
		t = &topic{name: it.Topic}
		p.topics[it.Topic] = t
	}
	if !t.asking && (t.partitions == 0 || time.Since(t.asked) > partitionsAge) {
		t.asking = true
		known := t.partitions > 0
		p.working.Go(func() { p.ask(t, known) })
	}
	if t.partitions == 0 {
		t.waiting = append(t.waiting, it)
		return
	}
	p.enqueue(t, it)
}

// enqueue puts an item on its lane, and sets the lane going. The lock is held.
func (p *Producer) enqueue(t *topic, it *item) {
	it.Partition = t.choose(&it.Record)
	tp := TopicPartition{t.name, it.Partition}
	l, ok := p.lanes[tp]
	if !ok {
		l = newLane(p, tp)
		p.lanes[tp] = l
	}
	l.queue = append(l.queue, it)
	if !l.running {
		l.running = true
		p.working.Go(l.run)
	}
}

// Close waits until every send is acknowledged or has failed, but not for one
// whose context has ended. When ctx ends, what is left fails with ErrClosed.
// The error says how many records failed since Close was called, and of which
// topics, those that were withdrawn aside: nobody waits for them.
func (p *Producer) Close(ctx context.Context) error {
	p.mu.Lock()
	p.closed = true
	p.stopWhenDone()
	p.mu.Unlock()
	defer context.AfterFunc(ctx, p.giveUp)()
	p.working.Wait()
	return p.lostError()
}

func (p *Producer) giveUp() { p.stop(closedError(true)) }

// stopWhenDone ends what goes on for nobody's sake. The lock is held.
func (p *Producer) stopWhenDone() {
	if p.closed && p.waiting == 0 {
		p.giveUp()
	}
}

func (p *Producer) lostError() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.lost) == 0 {
		return nil
	}
	total := 0
	var topics []string
	for _, name := range slices.Sorted(maps.Keys(p.lost)) {
		total += p.lost[name]
		topics = append(topics, fmt.Sprintf("%d of %s", p.lost[name], name))
	}
	return fmt.Errorf("kafka: producer closed with %d records not acknowledged (%s)", total, strings.Join(topics, ", "))
}
