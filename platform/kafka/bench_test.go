package kafka_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/troupedev/troupe/platform/kafka"
	"github.com/troupedev/troupe/platform/kafka/kafkatest"
)

// BenchmarkRoundTrip is one record sent, acknowledged and read, at a time.
func BenchmarkRoundTrip(b *testing.B) {
	c := dial(b, kafkatest.Broker(b))
	name := topic(b, c, 1)
	p := producer(b, c, kafka.ProducerConfig{})
	r := c.Read(kafka.TopicPartition{Topic: name}, 0)
	defer r.Close()
	ctx := within(b, 10*time.Minute)
	record := kafka.Record{Topic: name, Key: []byte("order-000000"), Value: make([]byte, 200)}
	for b.Loop() {
		if err := p.Produce(ctx, record); err != nil {
			b.Fatal(err)
		}
		if _, err := r.Next(ctx); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkThroughput sends records as fast as they are acknowledged.
func BenchmarkThroughput(b *testing.B) {
	for _, size := range []int{200, 1024} {
		b.Run(fmt.Sprint(size), func(b *testing.B) {
			c := dial(b, kafkatest.Broker(b))
			name := topic(b, c, 4)
			p := producer(b, c, kafka.ProducerConfig{})
			ctx := within(b, 10*time.Minute)
			value := make([]byte, size)
			const each = 100
			for b.Loop() {
				records := make([]kafka.Record, each)
				for i := range records {
					records[i] = kafka.Record{Topic: name, Key: fmt.Append(nil, i), Value: value}
				}
				p.Send(ctx, records, func(err error) {
					if err != nil {
						b.Error(err)
					}
				})
			}
			if err := p.Close(ctx); err != nil {
				b.Fatal(err)
			}
			b.ReportMetric(float64(b.N*each)/b.Elapsed().Seconds(), "records/s")
		})
	}
}
