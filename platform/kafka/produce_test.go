package kafka_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/troupedev/troupe/platform/kafka"
	"github.com/troupedev/troupe/platform/kafka/kafkatest"
)

func TestRecordsArriveAsTheyWereSent(t *testing.T) {
	c := dial(t, kafkatest.Broker(t))
	name := topic(t, c, 1)
	at := time.UnixMilli(1_700_000_000_123)
	sent := []kafka.Record{
		{Topic: name, Key: []byte("key"), Value: []byte("value"), Time: at},
		{Topic: name, Key: nil, Value: []byte("no key"), Time: at.Add(-time.Hour)},
		{Topic: name, Key: []byte{}, Value: []byte("empty key"), Time: at.Add(time.Hour)},
		{Topic: name, Key: []byte("tombstone"), Value: nil, Time: at},
		{Topic: name, Key: []byte("empty value"), Value: []byte{}, Time: at},
		{Topic: name, Key: []byte("headers"), Value: []byte("v"), Time: at, Headers: []kafka.Header{
			{Key: "a", Value: []byte("1")}, {Key: "a", Value: []byte("2")}, {Key: "", Value: nil}, {Key: "e", Value: []byte{}},
		}},
		{Topic: name, Key: []byte("large"), Value: bytes.Repeat([]byte("x"), 900_000), Time: at},
	}
	p := producer(t, c, kafka.ProducerConfig{})
	if err := p.Produce(within(t, time.Minute), sent...); err != nil {
		t.Fatal(err)
	}
	got := read(t, c, kafka.TopicPartition{Topic: name}, len(sent))
	for i, want := range sent {
		want.Offset = int64(i)
		if g, w := describe(got[i]), describe(want); g != w {
			t.Errorf("record %d:\n got %.300s\nwant %.300s", i, g, w)
		}
	}
}

// describe tells nil from empty.
func describe(r kafka.Record) string {
	return fmt.Sprintf("%s[%d]@%d %s %#v %#v %#v", r.Topic, r.Partition, r.Offset, r.Time.UTC(), r.Key, r.Value, r.Headers)
}

func TestRecordWithoutTimeGetsTheTimeOfSending(t *testing.T) {
	c := dial(t, kafkatest.Broker(t))
	name := topic(t, c, 1)
	before := time.Now().Add(-time.Millisecond)
	if err := producer(t, c, kafka.ProducerConfig{}).Produce(within(t, time.Minute), kafka.Record{Topic: name, Value: []byte("v")}); err != nil {
		t.Fatal(err)
	}
	got := read(t, c, kafka.TopicPartition{Topic: name}, 1)[0].Time
	if got.Before(before) || got.After(time.Now()) {
		t.Errorf("time %s, sent at %s", got, before)
	}
}

func TestKeysKeepTheirPartitionAndOrder(t *testing.T) {
	const keys, perKey, partitions = 20, 50, 4
	c := dial(t, kafkatest.Broker(t))
	name := topic(t, c, partitions)
	p := producer(t, c, kafka.ProducerConfig{MaxBatchBytes: 2000})
	ctx := within(t, time.Minute)
	var sends sync.WaitGroup
	for i := range perKey {
		for k := range keys {
			sends.Add(1)
			p.Send(ctx, []kafka.Record{{Topic: name, Key: fmt.Appendf(nil, "key-%d", k), Value: fmt.Append(nil, i)}}, func(err error) {
				if err != nil {
					t.Error(err)
				}
				sends.Done()
			})
		}
	}
	sends.Wait()

	seen := make(map[string]int)
	home := make(map[string]int32)
	_, ends, err := c.Ends(ctx, name)
	if err != nil {
		t.Fatal(err)
	}
	for partition, end := range ends {
		for _, r := range read(t, c, kafka.TopicPartition{Topic: name, Partition: int32(partition)}, int(end)) {
			key := string(r.Key)
			if want := fmt.Sprint(seen[key]); string(r.Value) != want {
				t.Fatalf("%s: got %s, want %s", key, r.Value, want)
			}
			if before, ok := home[key]; ok && before != r.Partition {
				t.Fatalf("%s in partitions %d and %d", key, before, r.Partition)
			}
			seen[key]++
			home[key] = r.Partition
		}
	}
	for k := range keys {
		if n := seen[fmt.Sprintf("key-%d", k)]; n != perKey {
			t.Errorf("key-%d: %d of %d records", k, n, perKey)
		}
	}
}

func TestRecordsWithoutKeySpread(t *testing.T) {
	c := dial(t, kafkatest.Broker(t))
	name := topic(t, c, 3)
	p := producer(t, c, kafka.ProducerConfig{})
	ctx := within(t, time.Minute)
	for range 60 {
		if err := p.Produce(ctx, kafka.Record{Topic: name, Value: make([]byte, 2000)}); err != nil {
			t.Fatal(err)
		}
	}
	_, ends, err := c.Ends(ctx, name)
	if err != nil {
		t.Fatal(err)
	}
	for partition, end := range ends {
		if end == 0 {
			t.Errorf("partition %d got none of 60 records: %v", partition, ends)
		}
	}
}

func TestRecordTooLargeIsRefusedBeforeItIsSent(t *testing.T) {
	c := dial(t, kafkatest.Broker(t))
	name := topic(t, c, 1)
	p := producer(t, c, kafka.ProducerConfig{MaxRecordBytes: 1000})
	ctx := within(t, time.Minute)
	err := p.Produce(ctx, kafka.Record{Topic: name, Value: []byte("small")}, kafka.Record{Topic: name, Key: []byte("big"), Value: make([]byte, 1001)})
	if !errors.Is(err, kafka.ErrTooLarge) || !strings.Contains(err.Error(), `"big"`) {
		t.Errorf("got %v, want ErrTooLarge that names the key", err)
	}
	if _, ends, err := c.Ends(ctx, name); err != nil || ends[0] != 0 {
		t.Errorf("ends %v, %v; want nothing sent", ends, err)
	}
}

func TestBatchThatTheTopicRefusesGoesInSmallerOnes(t *testing.T) {
	c := dial(t, kafkatest.Broker(t))
	ctx := within(t, time.Minute)
	name := kafkatest.Name(t)
	err := c.Provision(ctx, []kafka.TopicConfig{{Name: name, Partitions: 1, Settings: map[string]string{"max.message.bytes": "5000"}}})
	if err != nil {
		t.Fatal(err)
	}
	p := producer(t, c, kafka.ProducerConfig{})
	var records []kafka.Record
	for i := range 50 {
		records = append(records, kafka.Record{Topic: name, Key: []byte("k"), Value: fmt.Appendf(nil, "%02d%01000d", i, 0)})
	}
	if err := p.Produce(ctx, records...); err != nil {
		t.Fatal(err)
	}
	for i, r := range read(t, c, kafka.TopicPartition{Topic: name}, len(records)) {
		if !bytes.Equal(r.Value, records[i].Value) {
			t.Fatalf("record %d is %.2s", i, r.Value)
		}
	}
	err = p.Produce(ctx, kafka.Record{Topic: name, Value: make([]byte, 6000)}, kafka.Record{Topic: name, Value: []byte("fits")})
	if !errors.Is(err, kafka.ErrTooLarge) || !strings.Contains(err.Error(), "max.message.bytes") {
		t.Errorf("got %v, want ErrTooLarge that names the setting", err)
	}
	if got := read(t, c, kafka.TopicPartition{Topic: name}, 51); string(got[50].Value) != "fits" {
		t.Errorf("what came with a record too large is %.10q", got[50].Value)
	}
}

func TestUnknownTopicFailsInTheEndAndIsNotCreated(t *testing.T) {
	c := dial(t, kafkatest.Broker(t))
	name := kafkatest.Name(t)
	p := producer(t, c, kafka.ProducerConfig{UnknownTopicTimeout: 200 * time.Millisecond})
	err := p.Produce(within(t, time.Minute), kafka.Record{Topic: name, Value: []byte("v")})
	if err == nil || !strings.Contains(err.Error(), "topic "+name+" does not exist") {
		t.Errorf("got %v", err)
	}
	if n, err := c.Partitions(within(t, time.Minute), name); err == nil {
		t.Errorf("the topic was created, with %d partitions", n)
	}
}

func TestNothingIsLostWhileTheBrokerIsAway(t *testing.T) {
	const n = 200
	server := kafkatest.New(t)
	c := dial(t, server.Addr)
	name := topic(t, c, 1)
	p := producer(t, c, kafka.ProducerConfig{MaxBatchBytes: 1000})
	ctx := within(t, 2*time.Minute)
	var sends sync.WaitGroup
	send := func(from, to int) {
		for i := from; i < to; i++ {
			sends.Add(1)
			p.Send(ctx, []kafka.Record{{Topic: name, Key: []byte("k"), Value: fmt.Append(nil, i)}}, func(err error) {
				if err != nil {
					t.Errorf("record %d: %v", i, err)
				}
				sends.Done()
			})
		}
	}
	send(0, n/2)
	server.Stop(t)
	send(n/2, n)
	server.Start(t)
	sends.Wait()

	// A record may be there twice: a batch was written, and its answer lost.
	next := 0
	_, ends, err := c.Ends(ctx, name)
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range read(t, c, kafka.TopicPartition{Topic: name}, int(ends[0])) {
		switch i := string(r.Value); {
		case i == fmt.Sprint(next):
			next++
		case len(i) <= len(fmt.Sprint(next)): // written before
		default:
			t.Fatalf("record %s where %d is missing", i, next)
		}
	}
	if next != n {
		t.Errorf("%d of %d records", next, n)
	}
}

func TestSendWaitsForMemory(t *testing.T) {
	server := kafkatest.New(t)
	c := dial(t, server.Addr)
	name := topic(t, c, 1)
	p := producer(t, c, kafka.ProducerConfig{MaxMemory: 5000})
	server.Stop(t)
	first := make(chan error, 1)
	p.Send(within(t, time.Minute), []kafka.Record{{Topic: name, Value: make([]byte, 4900)}}, func(err error) { first <- err })

	ctx, cancel := context.WithCancelCause(t.Context())
	stop := errors.New("the test has waited enough")
	refused := make(chan error, 1)
	go cancel(stop)
	p.Send(ctx, []kafka.Record{{Topic: name, Value: make([]byte, 4900)}}, func(err error) { refused <- err })
	if err := <-refused; !errors.Is(err, stop) {
		t.Errorf("got %v, want the context's cause", err)
	}
	server.Start(t)
	if err := <-first; err != nil {
		t.Error(err)
	}
	if err := p.Produce(within(t, time.Minute), kafka.Record{Topic: name, Value: make([]byte, 6000)}); err != nil {
		t.Errorf("a record larger than the memory goes alone: %v", err)
	}
}

func TestCloseFlushesAndEndsTheProducer(t *testing.T) {
	c := dial(t, kafkatest.Broker(t))
	name := topic(t, c, 1)
	p := producer(t, c, kafka.ProducerConfig{Linger: 20 * time.Millisecond})
	ctx := within(t, time.Minute)
	var mu sync.Mutex
	done := 0
	for range 10 {
		p.Send(ctx, []kafka.Record{{Topic: name, Value: []byte("v")}}, func(err error) {
			mu.Lock()
			defer mu.Unlock()
			if err != nil {
				t.Error(err)
			}
			done++
		})
	}
	if err := p.Close(ctx); err != nil {
		t.Error(err)
	}
	if done != 10 {
		t.Errorf("%d of 10 sends were reported when Close returned", done)
	}
	if err := p.Produce(ctx, kafka.Record{Topic: name, Value: []byte("v")}); !errors.Is(err, kafka.ErrClosed) {
		t.Errorf("after Close: %v", err)
	}
}

func TestCloseGivesUpWithItsContextAndTellsWhatIsLost(t *testing.T) {
	server := kafkatest.New(t)
	c := dial(t, server.Addr)
	known, unknown := topic(t, c, 1), kafkatest.Name(t)
	p := producer(t, c, kafka.ProducerConfig{})
	if err := p.Produce(within(t, time.Minute), kafka.Record{Topic: known, Value: []byte("v")}); err != nil {
		t.Fatal(err)
	}
	server.Stop(t)
	result := make(chan error, 2)
	report := func(err error) { result <- err }
	p.Send(t.Context(), []kafka.Record{{Topic: known, Value: []byte("v")}, {Topic: known, Value: []byte("w")}}, report)
	p.Send(t.Context(), []kafka.Record{{Topic: unknown, Value: []byte("v")}}, report)
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	err := p.Close(ctx)
	if err == nil || !strings.Contains(err.Error(), fmt.Sprintf("3 records not acknowledged (2 of %s, 1 of %s)", known, unknown)) {
		t.Errorf("Close: %v", err)
	}
	for range 2 {
		if err := <-result; !errors.Is(err, kafka.ErrClosed) {
			t.Errorf("got %v, want ErrClosed", err)
		}
	}
	server.Start(t)
}

func TestCloseDoesNotWaitForWhatWasWithdrawn(t *testing.T) {
	server := kafkatest.New(t)
	c := dial(t, server.Addr)
	name := topic(t, c, 1)
	p := producer(t, c, kafka.ProducerConfig{})
	server.Stop(t)
	ctx, cancel := context.WithCancel(t.Context())
	result := make(chan error, 1)
	p.Send(ctx, []kafka.Record{{Topic: name, Value: []byte("v")}}, func(err error) { result <- err })
	cancel()
	if err := <-result; !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want the context's cause", err)
	}
	patience := within(t, 20*time.Second)
	if err := p.Close(patience); err != nil || patience.Err() != nil {
		t.Errorf("Close: %v, %v", err, patience.Err())
	}
	server.Start(t)
}

// What a context's end took out of the queue must not be written later.
func TestRecordsLeaveTheQueueWithTheirContext(t *testing.T) {
	server := kafkatest.New(t)
	c := dial(t, server.Addr)
	name := topic(t, c, 1)
	p := producer(t, c, kafka.ProducerConfig{MaxBatchBytes: 500})
	ctx := within(t, time.Minute)
	if err := p.Produce(ctx, kafka.Record{Topic: name, Value: []byte("before")}); err != nil {
		t.Fatal(err)
	}
	server.Stop(t)
	kept := make(chan error, 20)
	short, cancel := context.WithTimeout(ctx, 300*time.Millisecond)
	defer cancel()
	var withdrawn sync.WaitGroup
	for i := range 20 { // more than one batch; each other one stays
		p.Send(ctx, []kafka.Record{{Topic: name, Value: fmt.Appendf(nil, "%02d kept %0100d", i, 0)}}, func(err error) { kept <- err })
		withdrawn.Go(func() {
			err := p.Produce(short, kafka.Record{Topic: name, Value: fmt.Appendf(nil, "%02d withdrawn", i)})
			if !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("got %v, want the deadline", err)
			}
		})
	}
	withdrawn.Wait()
	server.Start(t)
	for range 20 {
		if err := <-kept; err != nil {
			t.Error(err)
		}
	}
	_, ends, err := c.Ends(ctx, name)
	if err != nil {
		t.Fatal(err)
	}
	if ends[0] != 21 {
		t.Errorf("%d records, want 21", ends[0])
	}
	for i, r := range read(t, c, kafka.TopicPartition{Topic: name}, int(ends[0]))[1:] {
		if !strings.HasPrefix(string(r.Value), fmt.Sprintf("%02d kept", i)) {
			t.Errorf("record %d is %.20s", i, r.Value)
		}
	}
}

func TestSendWithAnEndedContextSendsNothing(t *testing.T) {
	c := dial(t, kafkatest.Broker(t))
	name := topic(t, c, 1)
	p := producer(t, c, kafka.ProducerConfig{})
	ctx, cancel := context.WithCancelCause(t.Context())
	cause := errors.New("too late")
	cancel(cause)
	for range 20 {
		if err := p.Produce(ctx, kafka.Record{Topic: name, Value: []byte("v")}); !errors.Is(err, cause) {
			t.Errorf("got %v", err)
		}
	}
	if err := p.Close(within(t, time.Minute)); err != nil {
		t.Error(err)
	}
	if _, ends, err := c.Ends(within(t, time.Minute), name); err != nil || ends[0] != 0 {
		t.Errorf("ends %v, %v; want nothing written", ends, err)
	}
}

func TestTopicOfMaxRecordBytesTakesTheLargestRecord(t *testing.T) {
	c := dial(t, kafkatest.Broker(t))
	ctx := within(t, time.Minute)
	name := kafkatest.Name(t)
	err := c.Provision(ctx, []kafka.TopicConfig{{Name: name, Partitions: 1, Settings: map[string]string{"max.message.bytes": fmt.Sprint(kafka.MaxRecordBytes)}}})
	if err != nil {
		t.Fatal(err)
	}
	p := producer(t, c, kafka.ProducerConfig{})
	const rest = 200 // more than what the encoding adds
	if err := p.Produce(ctx, kafka.Record{Topic: name, Value: make([]byte, kafka.MaxRecordBytes-rest)}); err != nil {
		t.Fatal(err)
	}
	if got := read(t, c, kafka.TopicPartition{Topic: name}, 1)[0]; len(got.Value) != kafka.MaxRecordBytes-rest {
		t.Errorf("read back %d bytes", len(got.Value))
	}
	err = p.Produce(ctx, kafka.Record{Topic: name, Value: make([]byte, kafka.MaxRecordBytes)})
	if !errors.Is(err, kafka.ErrTooLarge) || !strings.Contains(err.Error(), "MaxRecordBytes") {
		t.Errorf("got %v, want ErrTooLarge from the producer itself", err)
	}
}

func TestProducerConfigFaultsComeTogether(t *testing.T) {
	c := dial(t, "127.0.0.1:1")
	_, err := c.Producer(kafka.ProducerConfig{DeliveryTimeout: 30 * time.Second, Linger: -1, MaxMemory: -1})
	for _, want := range []string{"DeliveryTimeout 30s: more than 30s", "Linger", "MaxMemory"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v does not say %q", err, want)
		}
	}
}
