package kafka_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/troupedev/troupe/platform/kafka"
	"github.com/troupedev/troupe/platform/kafka/kafkatest"
)

// filled is a topic of one partition with n records in one batch.
func filled(t *testing.T, c *kafka.Client, n int) kafka.TopicPartition {
	t.Helper()
	name := topic(t, c, 1)
	records := make([]kafka.Record, n)
	for i := range records {
		records[i] = kafka.Record{Topic: name, Value: fmt.Append(nil, i)}
	}
	if err := producer(t, c, kafka.ProducerConfig{}).Produce(within(t, time.Minute), records...); err != nil {
		t.Fatal(err)
	}
	return kafka.TopicPartition{Topic: name}
}

func TestReadFromTheMiddleOfABatch(t *testing.T) {
	c := dial(t, kafkatest.Broker(t))
	tp := filled(t, c, 10)
	r := c.Read(tp, 7)
	defer r.Close()
	batch, err := r.Next(within(t, time.Minute))
	if err != nil {
		t.Fatal(err)
	}
	if batch.From != 7 || batch.Next != 10 || batch.HighWatermark != 10 || len(batch.Records) != 3 || batch.Records[0].Offset != 7 {
		t.Errorf("got %d to %d of %d, %d records", batch.From, batch.Next, batch.HighWatermark, len(batch.Records))
	}
}

func TestReadWaitsForWhatComes(t *testing.T) {
	c := dial(t, kafkatest.Broker(t))
	tp := filled(t, c, 1)
	r := c.Read(tp, 1)
	defer r.Close()
	brief, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancel()
	if _, err := r.Next(brief); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v, want the context's end", err)
	}
	if err := producer(t, c, kafka.ProducerConfig{}).Produce(within(t, time.Minute), kafka.Record{Topic: tp.Topic, Value: []byte("late")}); err != nil {
		t.Fatal(err)
	}
	batch, err := r.Next(within(t, time.Minute))
	if err != nil || batch.From != 1 || string(batch.Records[0].Value) != "late" {
		t.Errorf("got %+v, %v", batch, err)
	}
}

func TestReadBeyondTheEndSaysSo(t *testing.T) {
	c := dial(t, kafkatest.Broker(t))
	tp := filled(t, c, 3)
	r := c.Read(tp, 12)
	defer r.Close()
	for range 2 {
		_, err := r.Next(within(t, time.Minute))
		if !errors.Is(err, kafka.ErrBeyondEnd) || !strings.Contains(err.Error(), tp.Topic+"[0]") || !strings.Contains(err.Error(), "12 is asked for, the end is 3") {
			t.Fatalf("got %v", err)
		}
	}
}

func TestReadSurvivesABrokerThatIsAway(t *testing.T) {
	server := kafkatest.New(t)
	c := dial(t, server.Addr)
	tp := filled(t, c, 1)
	r := c.Read(tp, 0)
	defer r.Close()
	ctx := within(t, 2*time.Minute)
	if _, err := r.Next(ctx); err != nil {
		t.Fatal(err)
	}
	server.Stop(t)
	brief, cancel := context.WithTimeout(ctx, 100*time.Millisecond)
	defer cancel()
	if _, err := r.Next(brief); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v, want the context's end", err)
	}
	server.Start(t)
	if err := producer(t, c, kafka.ProducerConfig{}).Produce(ctx, kafka.Record{Topic: tp.Topic, Value: []byte("back")}); err != nil {
		t.Fatal(err)
	}
	batch, err := r.Next(ctx)
	if err != nil || string(batch.Records[0].Value) != "back" {
		t.Errorf("got %+v, %v", batch, err)
	}
}

func TestReadOfAMissingTopicWaitsForIt(t *testing.T) {
	c := dial(t, kafkatest.Broker(t))
	name := kafkatest.Name(t)
	r := c.Read(kafka.TopicPartition{Topic: name}, 0)
	defer r.Close()
	ctx := within(t, time.Minute)
	brief, cancel := context.WithTimeout(ctx, 50*time.Millisecond)
	defer cancel()
	if _, err := r.Next(brief); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v, want the context's end", err)
	}
	if err := c.Provision(ctx, []kafka.TopicConfig{{Name: name, Partitions: 1}}); err != nil {
		t.Fatal(err)
	}
	if err := producer(t, c, kafka.ProducerConfig{}).Produce(ctx, kafka.Record{Topic: name, Value: []byte("v")}); err != nil {
		t.Fatal(err)
	}
	if _, err := r.Next(ctx); err != nil {
		t.Error(err)
	}
}

func TestCloseEndsAReaderThatWaits(t *testing.T) {
	c := dial(t, kafkatest.Broker(t))
	r := c.Read(filled(t, c, 1), 1)
	result := make(chan error, 1)
	go func() {
		_, err := r.Next(t.Context())
		result <- err
	}()
	r.Close()
	if err := <-result; !errors.Is(err, kafka.ErrClosed) {
		t.Errorf("got %v, want ErrClosed", err)
	}
	if _, err := r.Next(t.Context()); !errors.Is(err, kafka.ErrClosed) {
		t.Errorf("after Close: %v", err)
	}
}
