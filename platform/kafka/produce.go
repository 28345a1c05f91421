package kafka

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/semaphore"
)

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

	// MaxRecordBytes bounds a record: key, value and headers. A larger one is
	// refused before it is sent, with ErrTooLarge. Default 2 MiB. What a topic
	// itself allows (max.message.bytes, 1 MiB by default) counts as well.
	MaxRecordBytes int

	// MaxMemory bounds the bytes of all records that are not acknowledged yet;
	// Send waits above it. Default 64 MiB.
	MaxMemory int64

	// CloseTimeout is how long Close waits for what is queued. Default 30 s.
	CloseTimeout time.Duration
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
	fault(cfg.CloseTimeout < 0, "CloseTimeout is negative: %s", cfg.CloseTimeout)
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
	setDefault(&cfg.MaxRecordBytes, 2<<20)
	setDefault(&cfg.MaxMemory, 64<<20)
	setDefault(&cfg.CloseTimeout, 30*time.Second)
}

// Producer sends records, acknowledged by all replicas. Records of one
// partition are written in the order in which they were sent, also when they
// are tried again; a record may then be there twice. One per process is enough.
type Producer struct {
	c      *Client
	cfg    ProducerConfig
	memory *semaphore.Weighted
	ctx    context.Context // ends when Close gives up waiting
	stop   context.CancelCauseFunc

	mu      sync.Mutex // guards what follows, and every topic and lane
	topics  map[string]*topic
	lanes   map[TopicPartition]*lane
	closed  bool
	working sync.WaitGroup // lanes, lookups and reports
	failed  atomic.Int64   // sends that were not acknowledged in full
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
	}, nil
}

// Produce returns when every record is acknowledged or has finally failed,
// with the first failure. When ctx ends first, its error is returned and the
// records may be written all the same.
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
// failure. It waits, until ctx ends, only while the producer's memory is full.
// If one record is refused at once (too large, no topic), none is sent. The
// producer keeps the bytes of the records until done. Once the producer is
// closed, done is called before Send returns.
func (p *Producer) Send(ctx context.Context, records []Record, done func(error)) {
	s := &send{p: p, report: done}
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
	s.left.Store(int64(len(records)))
	now := time.Now()
	items := make([]item, len(records))

	p.mu.Lock()
	if p.closed || len(records) == 0 {
		closed := p.closed
		p.mu.Unlock()
		p.refuse(s, closedError(closed))
		return
	}
	defer p.mu.Unlock()
	for i := range records {
		items[i] = item{Record: records[i], sent: now, send: s}
		if items[i].Time.IsZero() {
			items[i].Time = now
		}
		p.route(&items[i])
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
		n := encodedSize(r)
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
	p.mu.Lock()
	closed := p.closed
	if !closed {
		p.working.Go(func() { s.finish(err) })
	}
	p.mu.Unlock()
	if closed { // nobody waits for goroutines any more
		s.finish(err)
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

// Close waits until what was queued is acknowledged or failed, for
// CloseTimeout at most; what is left then fails with ErrClosed. The error says
// how many sends failed while it waited.
func (p *Producer) Close() error {
	p.mu.Lock()
	if p.closed {
		p.mu.Unlock()
		p.working.Wait()
		return nil
	}
	p.closed = true
	p.mu.Unlock()
	before := p.failed.Load()
	patience := time.AfterFunc(p.cfg.CloseTimeout, func() { p.stop(fmt.Errorf("producer: %w", ErrClosed)) })
	p.working.Wait()
	patience.Stop()
	p.stop(ErrClosed)
	if lost := p.failed.Load() - before; lost > 0 {
		return fmt.Errorf("kafka: producer closed with %d sends not acknowledged", lost)
	}
	return nil
}

// send is one call of Send.
type send struct {
	p      *Producer
	report func(error)
	memory int64
	left   atomic.Int64
	mu     sync.Mutex
	err    error // the first failure
}

// item is one record on its way.
type item struct {
	Record
	sent time.Time
	send *send
}

// done says what became of the record.
func (it *item) done(err error) {
	s := it.send
	if err != nil {
		s.mu.Lock()
		if s.err == nil {
			s.err = err
		}
		s.mu.Unlock()
	}
	if s.left.Add(-1) == 0 {
		s.mu.Lock()
		err := s.err
		s.mu.Unlock()
		s.finish(err)
	}
}

func (s *send) finish(err error) {
	s.p.memory.Release(s.memory)
	if err != nil {
		s.p.failed.Add(1)
	}
	s.report(err)
}
