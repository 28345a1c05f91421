package embedded_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/troupedev/troupe/platform/kafka"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// stall makes the next produce request wait until release is called, and then
// be handled.
func stall(t *testing.T, cluster *kfake.Cluster) (begun chan struct{}, release func()) {
	t.Helper()
	begun = make(chan struct{}, 1)
	ctx, release := context.WithCancel(t.Context())
	t.Cleanup(release)
	cluster.ControlKey(int16(kmsg.Produce), func(kmsg.Request) (kmsg.Response, error, bool) {
		cluster.DropControl()
		begun <- struct{}{}
		cluster.SleepControl(func() { <-ctx.Done() })
		return nil, nil, false
	})
	return begun, release
}

// send sends one record, and is what becomes of it.
func send(ctx context.Context, p *kafka.Producer, value string) chan error {
	result := make(chan error, 1)
	p.Send(ctx, []kafka.Record{{Topic: "orders", Value: []byte(value)}}, func(err error) { result <- err })
	return result
}

func TestContextThatEndsSparesOnlyWhatIsInFlight(t *testing.T) {
	cluster, c := cluster(t)
	p, err := c.Producer(kafka.ProducerConfig{})
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close(t.Context())
	begun, release := stall(t, cluster)
	ctx, cancel := context.WithCancel(t.Context())
	flying := send(ctx, p, "flying")
	receive(t, begun)
	queued := send(ctx, p, "queued")
	other := send(t.Context(), p, "other")
	cancel()
	if err := receive(t, queued); !errors.Is(err, context.Canceled) || !strings.Contains(err.Error(), "was not sent") {
		t.Errorf("what was queued: %v", err)
	}
	select {
	case err := <-flying:
		t.Errorf("what is in flight was reported before its answer came: %v", err)
	default:
	}
	release()
	if err := receive(t, flying); err != nil {
		t.Errorf("what was in flight and is written: %v", err)
	}
	if err := receive(t, other); err != nil {
		t.Error(err)
	}
	if got := strings.Join(values(t, c, 0, 2), " "); got != "0:flying 1:other" {
		t.Errorf("written: %s", got)
	}
}

func TestWhatWasInFlightIsNotTriedAgainAfterItsContext(t *testing.T) {
	cluster, c := cluster(t)
	p, err := c.Producer(kafka.ProducerConfig{})
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close(t.Context())
	begun, release := stall(t, cluster)
	refused := cluster.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Produce}, Err: kerr.NotEnoughReplicasAfterAppend, Count: 1})
	ctx, cancel := context.WithCancel(t.Context())
	flying := send(ctx, p, "flying")
	receive(t, begun)
	cancel()
	release()
	err = receive(t, flying)
	if !errors.Is(err, context.Canceled) || !strings.Contains(err.Error(), "may be written") || !strings.Contains(err.Error(), "[20]") {
		t.Errorf("got %v, want the context's error and the refusal", err)
	}
	if n := refused.Hits(); n != 1 {
		t.Errorf("refused %d times", n)
	}
	produce(t, c, "later")
	if got := strings.Join(values(t, c, 0, 2), " "); got != "0:flying 1:later" { // the refusal came after it was written
		t.Errorf("written: %s", got)
	}
}

func TestCloseDoesNotWaitForAnAnswerThatNobodyWaitsFor(t *testing.T) {
	cluster, c := cluster(t)
	p, err := c.Producer(kafka.ProducerConfig{})
	if err != nil {
		t.Fatal(err)
	}
	begun, _ := stall(t, cluster)
	ctx, cancel := context.WithCancel(t.Context())
	flying := send(ctx, p, "flying")
	receive(t, begun)
	cancel()
	closed := make(chan error, 1)
	go func() { closed <- p.Close(context.Background()) }()
	if err := receive(t, closed); err != nil {
		t.Errorf("Close: %v", err)
	}
	if err := receive(t, flying); err == nil {
		t.Error("acknowledged without an answer")
	}
}

func TestProducerUsesPartitionsThatWereAdded(t *testing.T) {
	t.Parallel()
	cluster, c := cluster(t)
	p, err := c.Producer(kafka.ProducerConfig{})
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close(t.Context())
	record := kafka.Record{Topic: "orders", Value: make([]byte, 20_000)} // without a key; each goes on to the next partition
	if err := p.Produce(t.Context(), record); err != nil {
		t.Fatal(err)
	}
	raise(t, cluster, "orders", 2)
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	again := time.NewTicker(100 * time.Millisecond)
	defer again.Stop()
	for cluster.PartitionInfo("orders", 1).HighWatermark == 0 {
		select {
		case <-again.C:
		case <-ctx.Done():
			t.Fatal("nothing goes to the new partition")
		}
		if err := p.Produce(ctx, record); err != nil {
			t.Fatal(err)
		}
	}
}

// raise gives a topic more partitions.
func raise(t *testing.T, cluster *kfake.Cluster, topic string, partitions int32) {
	t.Helper()
	cl, err := kgo.NewClient(kgo.SeedBrokers(cluster.ListenAddrs()...))
	if err != nil {
		t.Fatal(err)
	}
	defer cl.Close()
	raised := kmsg.NewCreatePartitionsRequestTopic()
	raised.Topic, raised.Count = topic, partitions
	req := kmsg.NewPtrCreatePartitionsRequest()
	req.Topics = []kmsg.CreatePartitionsRequestTopic{raised}
	resp, err := req.RequestWith(t.Context(), cl)
	if err != nil {
		t.Fatal(err)
	}
	if err := kerr.ErrorForCode(resp.Topics[0].ErrorCode); err != nil {
		t.Fatal(err)
	}
}
