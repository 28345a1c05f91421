package store_test

import (
	"context"
	"database/sql"
	"fmt"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/troupedev/troupe/platform/choreo"
	"github.com/troupedev/troupe/platform/event"
	"github.com/troupedev/troupe/platform/failpoint"
	"github.com/troupedev/troupe/platform/kafka"
	"github.com/troupedev/troupe/platform/kafka/kafkatest"
	"github.com/troupedev/troupe/platform/store"
	"github.com/troupedev/troupe/platform/store/storetest"
)

// benchRate is how many transactions per second BenchmarkOutboxLatency commits,
// of one event each, whatever becomes of the ones before.
const benchRate = 500

// benchBefore are transactions before those that are measured: ten seconds, in
// which connections are opened and a Kafka that has just started compiles itself.
const benchBefore = 10 * benchRate

// BenchmarkOutboxLatency measures the time between the commit of a transaction
// and the broker's acknowledgement of its event. 50 ms are asked of p99. What the
// broker itself takes for a batch is told apart.
// TROUPE_TEST_BROKER=container takes Kafka in a container, else it is the
// embedded broker.
func BenchmarkOutboxLatency(b *testing.B) {
	db, _ := benchOpen(b)
	log := &latencies{at: map[string]time.Time{}}
	publish := benchProducer(b)
	run(b, db.Relay(store.RelayConfig{Publish: func(ctx context.Context, messages []choreo.Message) error {
		started := time.Now()
		err := publish(ctx, messages)
		if err == nil {
			log.published(messages, time.Since(started))
		}
		return err
	}}))
	jobs := make(chan int, 100_000)
	var workers sync.WaitGroup
	for range benchWorkers {
		workers.Go(func() {
			for n := range jobs {
				log.commit(b, db, n)
			}
		})
	}
	pace := func(n int, started time.Time) {
		<-time.After(time.Until(started.Add(time.Duration(n) * time.Second / benchRate)))
	}
	began := time.Now()
	for n := range benchBefore {
		pace(n, began)
		jobs <- -n
	}
	log.await(benchBefore)
	log.forgetBroker()
	started, n := time.Now(), 0
	for b.Loop() {
		n++
		pace(n, started)
		jobs <- n
	}
	close(jobs)
	workers.Wait()
	rate := float64(n) / time.Since(started).Seconds()
	took := log.await(benchBefore + n)[benchBefore:]
	b.ReportMetric(rate, "tx/s")
	b.ReportMetric(quantile(took, 0.5), "p50-ms")
	b.ReportMetric(quantile(took, 0.99), "p99-ms")
	b.ReportMetric(quantile(took, 1), "max-ms")
	b.ReportMetric(quantile(log.broker, 0.5), "broker-p50-ms")
	b.ReportMetric(quantile(log.broker, 0.99), "broker-p99-ms")
	b.ReportMetric(float64(len(took))/float64(len(log.broker)), "events/publish")
}

// quantile is that of durations, in milliseconds.
func quantile(of []time.Duration, q float64) float64 {
	slices.Sort(of)
	return float64(of[int(q*float64(len(of)-1))].Microseconds()) / 1000
}

// BenchmarkOutboxRows lets b.N rows through the outbox, as fast as they go, with
// at most 20,000 that wait, and says how large the table, its index and all that
// belongs to it were at most, and what was left at the end. Run it with
// -benchtime 1000000x.
func BenchmarkOutboxRows(b *testing.B) {
	const each, waiting = 20, 20_000
	db, url := benchOpen(b)
	room := make(chan struct{}, waiting/each)
	var published atomic.Int64
	run(b, db.Relay(store.RelayConfig{Publish: func(_ context.Context, messages []choreo.Message) error {
		before := published.Add(int64(len(messages))) - int64(len(messages))
		for range (before+int64(len(messages)))/each - before/each {
			<-room
		}
		return nil
	}}))
	watch := watchSize(b, url)
	jobs := make(chan int)
	var workers sync.WaitGroup
	for range benchWorkers {
		workers.Go(func() {
			for n := range jobs {
				messages := make([]choreo.Message, each)
				for i := range messages {
					messages[i] = placed(n*each + i)
				}
				emit(b, db, messages...)
			}
		})
	}
	started, rows := time.Now(), 0
	for b.Loop() {
		if rows++; rows%each == 0 {
			room <- struct{}{}
			jobs <- rows / each
		}
	}
	close(jobs)
	workers.Wait()
	for published.Load() < int64(rows/each*each) {
		<-time.After(time.Millisecond)
	}
	b.ReportMetric(float64(published.Load())/time.Since(started).Seconds(), "rows/s")
	largest, last := watch.end()
	b.ReportMetric(float64(largest)/(1<<20), "MiB-max")
	b.ReportMetric(float64(last)/(1<<20), "MiB-after")
	b.ReportMetric(float64(benchCount(b, url, `SELECT count(*) FROM bench.troupe_outbox`)), "rows-left")
}

// placed is an event as services emit them: 200 bytes, with all of its headers.
func placed(n int) choreo.Message {
	m := message(n)
	e := event.Envelope{
		ID: m.ID, Type: benchType.FullName(), Source: choreo.Source("bench"), Time: time.Now(), Subject: string(m.Key), DataSchema: benchType.String(),
		Flow: m.ID, Cause: m.ID, Reaction: "Place", EmitIndex: 1, EmitCount: 1, Hop: 1,
	}
	m.Headers = e.AppendHeaders(nil)
	return m
}

func benchOpen(b *testing.B) (*store.DB, string) {
	b.Helper()
	if storetest.Chosen() == storetest.SQLite {
		b.Fatalf("this benchmark needs Postgres: set %s, or start Docker", storetest.Variable)
	}
	url := storetest.Postgres(b)
	db, err := store.Open(b.Context(), store.Config{URL: url, Service: "bench", Tables: benchTables, Connections: benchWorkers})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = db.Close() })
	return db, url
}

// benchProducer produces to a topic of its own.
func benchProducer(b *testing.B) func(context.Context, []choreo.Message) error {
	b.Helper()
	broker := kafkatest.Broker(b)
	client, err := kafka.New(kafka.Config{Brokers: []string{broker}})
	if err != nil {
		b.Fatal(err)
	}
	topic := kafkatest.Name(b)
	if err := client.Provision(b.Context(), []kafka.TopicConfig{{Name: topic, Partitions: 12, Replication: 1}}); err != nil {
		b.Fatal(err)
	}
	producer, err := client.Producer(kafka.ProducerConfig{})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		_ = producer.Close(context.Background())
		_ = client.Close()
	})
	return func(ctx context.Context, messages []choreo.Message) error {
		records := make([]kafka.Record, len(messages))
		for i, m := range messages {
			records[i] = kafka.Record{Topic: topic, Key: m.Key, Value: m.Value, Headers: m.Headers}
		}
		return producer.Produce(ctx, records...)
	}
}

// latencies are the times between commits and publications, which may become
// known the other way round.
type latencies struct {
	mu     sync.Mutex
	at     map[string]time.Time // of whichever came first
	took   []time.Duration
	broker []time.Duration // for each batch, how long the broker took
}

func (l *latencies) note(id string, of time.Time, published bool) {
	other, both := l.at[id]
	switch {
	case !both:
		l.at[id] = of
		return
	case published:
		l.took = append(l.took, of.Sub(other))
	default:
		l.took = append(l.took, other.Sub(of))
	}
}

func (l *latencies) commit(b *testing.B, db *store.DB, n int) {
	m := placed(n)
	ctx := failpoint.With(b.Context(), func(step string) error {
		if step == failpoint.StoreCommitted {
			now := time.Now()
			l.mu.Lock()
			defer l.mu.Unlock()
			l.note(m.ID, now, false)
		}
		return nil
	})
	e := store.Entry{Reaction: "Take", ID: strconv.Itoa(n)}
	if _, err := db.Handle(ctx, e, func(ctx context.Context) ([]choreo.Message, error) {
		_, err := store.Tx(ctx).ExecContext(ctx, takeOne, n%benchItems)
		return []choreo.Message{m}, err
	}); err != nil {
		b.Error(err)
	}
}

func (l *latencies) published(messages []choreo.Message, broker time.Duration) {
	now := time.Now()
	l.mu.Lock()
	defer l.mu.Unlock()
	l.broker = append(l.broker, broker)
	for _, m := range messages {
		l.note(m.ID, now, true)
	}
}

// forgetBroker begins the broker's times anew.
func (l *latencies) forgetBroker() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.broker = nil
}

// await returns the latencies of n events, once these are published.
func (l *latencies) await(n int) []time.Duration {
	for {
		l.mu.Lock()
		took := l.took
		l.mu.Unlock()
		if len(took) >= n {
			return took
		}
		<-time.After(10 * time.Millisecond)
	}
}

// size watches the size of the outbox on disk.
type size struct {
	b       *testing.B
	url     string
	stop    context.CancelFunc
	ended   chan struct{}
	largest int
}

const sizeQuery = `SELECT pg_total_relation_size('bench.troupe_outbox')`

func watchSize(b *testing.B, url string) *size {
	b.Helper()
	ctx, cancel := context.WithCancel(b.Context())
	s := &size{b: b, url: url, stop: cancel, ended: make(chan struct{})}
	admin, err := sql.Open("pgx", url)
	if err != nil {
		b.Fatal(err)
	}
	go func() {
		defer close(s.ended)
		defer admin.Close()
		tick := time.NewTicker(100 * time.Millisecond)
		defer tick.Stop()
		for {
			var n int
			if err := admin.QueryRowContext(ctx, sizeQuery).Scan(&n); err == nil {
				s.largest = max(s.largest, n)
			}
			select {
			case <-tick.C:
			case <-ctx.Done():
				return
			}
		}
	}()
	return s
}

// end returns the largest size, and that after the relay has had a moment to rest.
func (s *size) end() (largest, last int) {
	<-time.After(3 * time.Second)
	s.stop()
	<-s.ended
	return s.largest, benchCount(s.b, s.url, sizeQuery)
}

func benchCount(b *testing.B, url, query string) (n int) {
	b.Helper()
	admin, err := sql.Open("pgx", url)
	if err != nil {
		b.Fatal(err)
	}
	defer admin.Close()
	if err := admin.QueryRowContext(b.Context(), query).Scan(&n); err != nil {
		b.Fatal(fmt.Errorf("%s: %w", query, err))
	}
	return n
}
