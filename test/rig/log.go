package rig

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// Record is one record as it lies in a topic.
type Record struct {
	Topic     string
	Partition int32
	Offset    int64
	Time      time.Time
	Key       []byte
	Value     []byte
	Headers   map[string]string
}

func (r *Record) String() string {
	return fmt.Sprintf("%s/%d@%d", r.Topic, r.Partition, r.Offset)
}

// Event is a [Record] of a domain's topic that holds an event.
type Event struct {
	Record
	Type    string // full name: "orders.OrderPlaced"
	Version int
	Fields  map[string]any
}

// ID is the event's own id; Flow that of the flow's first event; Cause that of
// the event that led to it.
func (e *Event) ID() string    { return e.Headers["ce_id"] }
func (e *Event) Flow() string  { return e.Headers["ce_correlationid"] }
func (e *Event) Cause() string { return e.Headers["ce_causationid"] }

// Log is everything that lies in the topics of the domains and in the dead
// letter topics, read from their start, as it comes.
type Log struct {
	schemas *Schemas
	client  *kgo.Client
	stop    context.CancelFunc
	ended   chan struct{}

	mu      sync.Mutex
	first   map[string]*Event   // by id: the first record of it
	flows   map[string][]*Event // by flow: first records, as they came
	again   map[string]int      // by source: records of an event that lay there already
	strange []Record            // in a domain's topic, but no event
	dead    []Record            // in dead letter topics
	err     error               // of the last poll
}

// Follow reads a broker's topics until Close.
func Follow(brokers string, schemas *Schemas) (*Log, error) {
	domains := make([]string, 0, len(schemas.domains))
	for _, d := range schemas.domains {
		domains = append(domains, regexp.QuoteMeta(d))
	}
	client, err := kgo.NewClient(
		kgo.SeedBrokers(brokers),
		kgo.ConsumeRegex(),
		kgo.ConsumeTopics(`^(dlq\.[a-z]+\.)?(`+strings.Join(domains, "|")+`)$`),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()),
		kgo.MetadataMinAge(100*time.Millisecond),
		kgo.MetadataMaxAge(500*time.Millisecond), // new topics are found by it
		kgo.FetchMaxWait(500*time.Millisecond),
	)
	if err != nil {
		return nil, err
	}
	ctx, stop := context.WithCancel(context.Background())
	l := &Log{
		schemas: schemas, client: client, stop: stop, ended: make(chan struct{}),
		first: map[string]*Event{}, flows: map[string][]*Event{}, again: map[string]int{},
	}
	go l.read(ctx)
	return l, nil
}

// Close ends the reading.
func (l *Log) Close() {
	l.stop()
	<-l.ended
	l.client.Close()
}

func (l *Log) read(ctx context.Context) {
	defer close(l.ended)
	for ctx.Err() == nil {
		fetches := l.client.PollFetches(ctx)
		l.mu.Lock()
		l.err = fetches.Err()
		fetches.EachRecord(l.add)
		l.mu.Unlock()
	}
}

func (l *Log) add(k *kgo.Record) {
	r := Record{
		Topic: k.Topic, Partition: k.Partition, Offset: k.Offset, Time: k.Timestamp,
		Key: k.Key, Value: k.Value, Headers: make(map[string]string, len(k.Headers)),
	}
	for _, h := range k.Headers {
		r.Headers[h.Key] = string(h.Value)
	}
	if strings.HasPrefix(r.Topic, "dlq.") {
		l.dead = append(l.dead, r)
		return
	}
	s, fields, err := l.schemas.Decode(r.Value)
	if err != nil || r.Headers["ce_id"] == "" {
		l.strange = append(l.strange, r)
		return
	}
	e := &Event{Record: r, Type: s.Type, Version: s.Version, Fields: fields}
	if _, known := l.first[e.ID()]; known {
		l.again[strings.TrimPrefix(e.Headers["ce_source"], "/services/")]++
		return
	}
	l.first[e.ID()] = e
	l.flows[e.Flow()] = append(l.flows[e.Flow()], e)
}

// Flow returns the events of a flow, each once however often it was written, as
// they came to this reader: in order within a topic's partition, not across.
func (l *Log) Flow(id string) []*Event {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.flows[id])
}

// Flows returns the number of flows that have begun.
func (l *Log) Flows() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.flows)
}

// Events returns every event once, by topic, partition and offset.
func (l *Log) Events() []*Event {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.SortedFunc(maps.Values(l.first), func(a, b *Event) int {
		return cmp.Or(cmp.Compare(a.Topic, b.Topic), cmp.Compare(a.Partition, b.Partition), cmp.Compare(a.Offset, b.Offset))
	})
}

// Event returns the event of an id, nil where there is none.
func (l *Log) Event(id string) *Event {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.first[id]
}

// Repeated is how many records repeat an event that lay there already, by the
// service that wrote them.
func (l *Log) Repeated() map[string]int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return maps.Clone(l.again)
}

// Strange returns the records of the domains' topics that are no events.
func (l *Log) Strange() []Record {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.strange)
}

// DeadLetters returns the records of every dead letter topic.
func (l *Log) DeadLetters() []Record {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.dead)
}

// Err is what the last attempt at reading failed with, nil where it did not.
func (l *Log) Err() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.err
}

// Partitions asks the broker how many partitions each topic has.
func Partitions(ctx context.Context, brokers string) (map[string]int, error) {
	client, err := kgo.NewClient(kgo.SeedBrokers(brokers))
	if err != nil {
		return nil, err
	}
	defer client.Close()
	resp, err := kmsg.NewPtrMetadataRequest().RequestWith(ctx, client)
	if err != nil {
		return nil, err
	}
	counts := map[string]int{}
	for _, t := range resp.Topics {
		if t.Topic != nil {
			counts[*t.Topic] = len(t.Partitions)
		}
	}
	return counts, nil
}

// Writer writes records as some other producer would: any bytes, with any
// headers, to the partition that Java's producer would choose for the key.
type Writer struct{ client *kgo.Client }

// NewWriter returns a writer to a broker; Close ends it.
func NewWriter(brokers string) (*Writer, error) {
	client, err := kgo.NewClient(
		kgo.SeedBrokers(brokers),
		kgo.RecordPartitioner(kgo.StickyKeyPartitioner(nil)),
		kgo.ProducerBatchMaxBytes(2<<20),
		kgo.MaxBufferedRecords(10_000),
	)
	return &Writer{client}, err
}

// Write writes records in order, and returns once the broker has them all. Each
// is told the partition and offset that it got.
func (w *Writer) Write(ctx context.Context, records ...*Record) error {
	batch := make([]*kgo.Record, len(records))
	for i, r := range records {
		batch[i] = &kgo.Record{Topic: r.Topic, Key: r.Key, Value: r.Value}
		for _, name := range slices.Sorted(maps.Keys(r.Headers)) {
			batch[i].Headers = append(batch[i].Headers, kgo.RecordHeader{Key: name, Value: []byte(r.Headers[name])})
		}
	}
	var errs []error
	for i, result := range w.client.ProduceSync(ctx, batch...) {
		if result.Err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", records[i].Topic, result.Err))
		}
	}
	for i, k := range batch {
		records[i].Partition, records[i].Offset = k.Partition, k.Offset
	}
	return errors.Join(errs...)
}

// Close ends the writer.
func (w *Writer) Close() { w.client.Close() }
