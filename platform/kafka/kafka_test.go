package kafka_test

import (
	"context"
	"log/slog"
	"testing"
	"time"

	"github.com/troupedev/troupe/platform/kafka"
	"github.com/troupedev/troupe/platform/kafka/kafkatest"
	"github.com/troupedev/troupe/platform/testmain"
)

func TestMain(m *testing.M) { testmain.Run(m) }

// dial is a client of the broker at addr, closed when the test ends.
func dial(t testing.TB, addr string) *kafka.Client {
	t.Helper()
	c, err := kafka.New(kafka.Config{Brokers: []string{addr}, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

// within is a context that ends with the test, or after a time that only a
// fault makes it reach.
func within(t testing.TB, d time.Duration) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), d)
	t.Cleanup(cancel)
	return ctx
}

// topic provisions a topic of its own for the test.
func topic(t testing.TB, c *kafka.Client, partitions int) string {
	t.Helper()
	name := kafkatest.Name(t)
	err := c.Provision(within(t, 30*time.Second), []kafka.TopicConfig{{Name: name, Partitions: partitions}})
	if err != nil {
		t.Fatal(err)
	}
	return name
}

func producer(t testing.TB, c *kafka.Client, cfg kafka.ProducerConfig) *kafka.Producer {
	t.Helper()
	p, err := c.Producer(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.Close(t.Context()) })
	return p
}

// read reads the first n records of a partition.
func read(t testing.TB, c *kafka.Client, tp kafka.TopicPartition, n int) []kafka.Record {
	t.Helper()
	r := c.Read(tp, 0)
	defer r.Close()
	ctx := within(t, time.Minute)
	var records []kafka.Record
	for len(records) < n {
		batch, err := r.Next(ctx)
		if err != nil {
			t.Fatalf("after %d of %d records: %v", len(records), n, err)
		}
		records = append(records, batch.Records...)
	}
	return records
}
