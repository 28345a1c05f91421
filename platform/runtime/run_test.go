package runtime

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/troupedev/troupe/platform/choreo"
	"github.com/troupedev/troupe/platform/contract"
	"github.com/troupedev/troupe/platform/event"
	"github.com/troupedev/troupe/platform/kafka"
	"github.com/troupedev/troupe/platform/kafka/kafkatest"
)

// patience is how long a test waits for what must come.
const patience = 30 * time.Second

// site is a broker with a prefix of its own, and services that run on it.
type site struct {
	testing.TB
	client   *kafka.Client
	producer *kafka.Producer
	prefix   string
}

func newSite(t testing.TB, broker string) *site {
	t.Helper()
	client, err := kafka.New(kafka.Config{Brokers: []string{broker}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { client.Close() })
	producer, err := client.Producer(kafka.ProducerConfig{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { producer.Close(context.Background()) })
	return &site{t, client, producer, kafkatest.Name(t) + "."}
}

// run runs the services until the function that it returns is called.
func (s *site) run(topology choreo.Topology, change ...func(*Options)) (stop func()) {
	s.Helper()
	return s.runIn(context.Background(), topology, change...)
}

func (s *site) runIn(ctx context.Context, topology choreo.Topology, change ...func(*Options)) (stop func()) {
	s.Helper()
	ready := make(chan struct{})
	o := Options{Client: s.client, Prefix: s.prefix, Ready: func() { close(ready) }}
	for _, c := range change {
		c(&o)
	}
	ctx, cancel := context.WithCancel(ctx)
	ended := make(chan error, 1)
	go func() { ended <- Run(ctx, topology, o) }()
	stop = sync.OnceFunc(func() {
		cancel()
		if err := <-ended; err != nil {
			s.Error(err)
		}
	})
	s.Cleanup(stop)
	select {
	case <-ready:
	case err := <-ended:
		ended <- nil
		s.Fatal(err)
	case <-time.After(patience):
		s.Fatal("not ready")
	}
	return stop
}

// only runs just the services named.
func only(names ...string) func(*Options) { return func(o *Options) { o.Services = names } }

// oneByOne runs one handler at a time.
func oneByOne(o *Options) { o.Concurrency = 1 }

// publish produces events and returns when they are acknowledged.
func (s *site) publish(records ...kafka.Record) {
	s.Helper()
	for i := range records {
		records[i].Topic = s.prefix + records[i].Topic
	}
	ctx, cancel := context.WithTimeout(s.Context(), patience)
	defer cancel()
	if err := s.producer.Produce(ctx, records...); err != nil {
		s.Fatal(err)
	}
}

// read returns the records of a topic of n partitions as soon as enough of
// them are there.
func (s *site) read(topic string, partitions int32, enough func(kafka.Record) bool) []kafka.Record {
	s.Helper()
	ctx, cancel := context.WithTimeout(s.Context(), patience)
	defer cancel()
	var reading sync.WaitGroup
	defer reading.Wait()
	batches := make(chan kafka.Batch)
	reading.Add(int(partitions))
	for p := range partitions {
		go func() {
			defer reading.Done()
			r := s.client.Read(kafka.TopicPartition{Topic: topic, Partition: p}, 0)
			defer r.Close()
			for {
				b, err := r.Next(ctx)
				if err != nil {
					return
				}
				select {
				case batches <- b:
				case <-ctx.Done():
					return
				}
			}
		}()
	}
	defer cancel()
	var all []kafka.Record
	for {
		select {
		case b := <-batches:
			for _, r := range b.Records {
				all = append(all, r)
				if enough(r) {
					return all
				}
			}
		case <-ctx.Done():
			s.Fatalf("%s: only %d records came", topic, len(all))
		}
	}
}

// count is enough when n records are there.
func count(n int) func(kafka.Record) bool {
	return func(kafka.Record) bool { n--; return n <= 0 }
}

// depotServices pack what is sold and ship what is packed.
func depotServices(pack func(context.Context, sold) error) choreo.Topology {
	return choreo.Topology{
		{Name: "packer", Reactions: []choreo.Reaction{choreo.On(func(ctx context.Context, e sold) (choreo.Events, error) {
			if err := pack(ctx, e); err != nil {
				return nil, err
			}
			return choreo.Emit(packed{e.ID, e.How}), nil
		}, choreo.Emits(packed{}), choreo.Retries(choreo.Retry{Attempts: 2, First: 10 * time.Millisecond}))}},
		{Name: "shipper", Reactions: []choreo.Reaction{choreo.On(func(_ context.Context, e packed) (choreo.Events, error) {
			return choreo.Emit(shipped{e.ID}), nil
		}, choreo.Emits(shipped{}))}},
	}
}

func isShipped(r kafka.Record) bool {
	e, err := event.ParseHeaders(r.Headers)
	return err == nil && e.Type == typesShipped[0].FullName()
}

// shippedIDs is enough when the events of all ids are shipped.
func shippedIDs(ids ...string) func(kafka.Record) bool {
	missing := map[string]bool{}
	for _, id := range ids {
		missing[id] = true
	}
	return func(r kafka.Record) bool {
		if isShipped(r) {
			delete(missing, string(r.Key))
		}
		return len(missing) == 0
	}
}

func ids(prefix string, n int) []string {
	out := make([]string, n)
	for i := range out {
		out[i] = fmt.Sprint(prefix, i)
	}
	return out
}

func TestRunCarriesAFlowFromServiceToService(t *testing.T) {
	s := newSite(t, kafkatest.Broker(t))
	stop := s.run(depotServices(func(context.Context, sold) error { return nil }))
	var records []kafka.Record
	for _, id := range ids("order-", 50) {
		records = append(records, record(t, sold{id, "web"}))
	}
	began := time.Now()
	s.publish(records...)
	last := s.read(s.prefix+"depot", 2, shippedIDs(ids("order-", 50)...))
	t.Logf("50 flows of three events in %v", time.Since(began))
	for _, r := range last {
		e, err := event.ParseHeaders(r.Headers)
		if err != nil {
			t.Fatal(err)
		}
		if want := "flow-" + string(r.Key); e.Flow != want || isShipped(r) && e.Hop != 2 {
			t.Errorf("%s of %s: flow %s, hop %d", e.Type, r.Key, e.Flow, e.Hop)
		}
	}
	began = time.Now()
	s.publish(record(t, sold{"single", "web"}))
	s.read(s.prefix+"depot", 2, shippedIDs("single"))
	t.Logf("one flow of three events in %v", time.Since(began))
	began = time.Now()
	stop()
	t.Logf("drained in %v", time.Since(began))
}

func TestRunMakesDeadLettersOfWhatCannotBeHandled(t *testing.T) {
	s := newSite(t, kafkatest.Broker(t))
	s.run(depotServices(func(_ context.Context, e sold) error {
		if e.How == "broken" {
			return errors.New("no such thing")
		}
		return nil
	}))
	good := record(t, sold{"good", "web"})
	big := kafka.Record{Topic: "shop", Value: make([]byte, 1_000_000)}
	s.publish(
		kafka.Record{Topic: "shop"},
		kafka.Record{Topic: "shop", Key: []byte("x"), Value: []byte{}},
		kafka.Record{Topic: "shop", Value: []byte(`{"id":"1"}`)},
		kafka.Record{Topic: "shop", Value: good.Value},
		kafka.Record{Topic: "shop", Value: []byte{0, 0, 0, 0, 99}, Headers: good.Headers},
		kafka.Record{Topic: "shop", Value: good.Value[:7], Headers: good.Headers},
		big,
		record(t, sold{"bad", "broken"}),
		good,
	)
	s.read(s.prefix+"depot", 2, shippedIDs("good"))
	var got []string
	for _, r := range s.read("dlq.packer."+s.prefix+"shop", 3, count(8)) {
		d, err := ParseDeadLetter(r.Headers)
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, fmt.Sprintf("%s %s %d", d.Cause, d.Reaction, d.Attempts))
	}
	slices.Sort(got)
	want := []string{
		"attempts Sold 2", "bad-magic  0", "empty  0", "not-an-event  0", "tombstone  0",
		"truncated  0", "unknown-schema  0", "unknown-schema  0",
	}
	if !slices.Equal(got, want) {
		t.Errorf("dead letters\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

func TestRunShortensADeadLetterThatNoTopicTakes(t *testing.T) {
	const size = kafka.MaxRecordBytes + 1<<20
	s := newSite(t, kafkatest.Broker(t))
	topology := depotServices(func(context.Context, sold) error { return nil })
	domains := Topics(topology, topology, s.prefix)
	for i := range domains {
		if domains[i].Name == s.prefix+"shop" {
			domains[i].Settings["max.message.bytes"] = strconv.Itoa(2 * size)
		}
	}
	if err := s.client.Provision(t.Context(), domains); err != nil {
		t.Fatal(err)
	}
	s.run(topology)
	big, err := s.client.Producer(kafka.ProducerConfig{MaxRecordBytes: 2 * size})
	if err != nil {
		t.Fatal(err)
	}
	defer big.Close(context.Background())
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	good := record(t, sold{"good", "web"})
	good.Topic = s.prefix + "shop"
	if err := big.Produce(ctx, kafka.Record{Topic: good.Topic, Key: good.Key, Value: make([]byte, size)}, good); err != nil {
		t.Fatal(err)
	}
	s.read(s.prefix+"depot", 2, shippedIDs("good"))
	for _, r := range s.read("dlq.packer."+s.prefix+"shop", 3, count(1)) {
		d, err := ParseDeadLetter(r.Headers)
		if err != nil || d.ValueSize != size || d.Cause != CauseHostile {
			t.Errorf("dead letter %+v, %v", d, err)
		}
	}
}

func TestRunGoesOnWhereItStopped(t *testing.T) {
	var ran calls
	topology := depotServices(func(_ context.Context, e sold) error { ran.add("%s", e.ID); return nil })
	s := newSite(t, kafkatest.Broker(t))
	for life := range 3 {
		stop := s.run(topology)
		id := fmt.Sprint("order-", life)
		s.publish(record(t, sold{id, "web"}))
		s.read(s.prefix+"depot", 2, shippedIDs(id))
		stop()
	}
	if got := ran.String(); got != "order-0 order-1 order-2" {
		t.Errorf("handled %s", got)
	}
}

func TestRunStartsAtTheEndOfWhatWasThere(t *testing.T) {
	var ran calls
	topology := depotServices(func(_ context.Context, e sold) error { ran.add("%s", e.ID); return nil })
	s := newSite(t, kafkatest.Broker(t))
	if err := s.client.Provision(t.Context(), Topics(topology, topology, s.prefix)); err != nil {
		t.Fatal(err)
	}
	s.publish(record(t, sold{"before", "web"}))
	s.run(topology)
	s.publish(record(t, sold{"after", "web"}))
	s.read(s.prefix+"depot", 2, shippedIDs("after"))
	if got := ran.String(); got != "after" {
		t.Errorf("handled %s", got)
	}
}

func TestPartitionsMoveWithoutLossAndInOrder(t *testing.T) {
	s := newSite(t, kafkatest.Broker(t))
	topology := depotServices(func(context.Context, sold) error { return nil })
	s.run(topology)
	const keys, rounds = 10, 60
	var publishing sync.WaitGroup
	publishing.Go(func() {
		for n := range rounds {
			var records []kafka.Record
			for _, key := range ids("key-", keys) {
				records = append(records, record(t, sold{key, fmt.Sprint(n)}))
			}
			s.publish(records...)
		}
	})
	second := s.run(topology) // takes some partitions
	second()                  // and gives them back
	publishing.Wait()
	first := map[string][]string{} // by key: what was packed, each at its first time
	s.read(s.prefix+"depot", 2, func(r kafka.Record) bool {
		if isShipped(r) {
			return false
		}
		e := packed{}
		if err := contract.Decode(r.Value, typesPacked[0], &e); err != nil {
			t.Fatal(err)
		}
		if !slices.Contains(first[e.ID], e.What) {
			first[e.ID] = append(first[e.ID], e.What)
		}
		total := 0
		for _, seen := range first {
			total += len(seen)
		}
		return total == keys*rounds
	})
	for key, seen := range first {
		for n, what := range seen {
			if what != fmt.Sprint(n) {
				t.Fatalf("%s: at %d came %s: %v", key, n, what, seen)
			}
		}
	}
}

func TestRunOutlivesTheBroker(t *testing.T) {
	broker := kafkatest.New(t)
	s := newSite(t, broker.Addr)
	began := make(chan struct{}, 100)
	s.run(depotServices(func(context.Context, sold) error { began <- struct{}{}; return nil }))
	var records []kafka.Record
	for _, id := range ids("order-", 20) {
		records = append(records, record(t, sold{id, "web"}))
	}
	s.publish(records...)
	<-began
	broker.Stop(t)
	broker.Start(t)
	s.read(s.prefix+"depot", 2, shippedIDs(ids("order-", 20)...))
}

func TestRunNeedsValidOptions(t *testing.T) {
	err := Run(t.Context(), choreo.Topology{}, Options{Services: []string{"nobody"}, Concurrency: -1, Window: Window{Records: -1}, Drain: MaxDrain + 1})
	for _, part := range []string{"nobody", "Client", "Concurrency", "Window.Records", "Drain is"} {
		if err == nil || !strings.Contains(err.Error(), part) {
			t.Errorf("%v does not name %s", err, part)
		}
	}
}

// BenchmarkRun is one of many events' way through the broker, a handler that emits
// one event, and a second handler that does the same.
func BenchmarkRun(b *testing.B) {
	s := newSite(b, kafkatest.Broker(b))
	s.run(depotServices(func(context.Context, sold) error { return nil }))
	records := make([]kafka.Record, b.N)
	for i := range records {
		records[i] = record(b, sold{fmt.Sprint(i), "web"})
	}
	b.ResetTimer()
	s.publish(records...)
	s.read(s.prefix+"depot", 2, count(2*b.N))
}
