package embedded_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/troupedev/troupe/platform/kafka"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// What the client does when brokers refuse and things move: kfake, which the
// embedded broker is one node of, can be told to do both.

// cluster is three brokers with a topic of one partition.
func cluster(t *testing.T) (*kfake.Cluster, *kafka.Client) {
	t.Helper()
	c, err := kfake.NewCluster(kfake.NumBrokers(3), kfake.SeedTopics(1, "orders"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c, client(t, c.ListenAddrs()[0])
}

func produce(t *testing.T, c *kafka.Client, values ...string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	p, err := c.Producer(kafka.ProducerConfig{})
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close(t.Context())
	for _, value := range values {
		if err := p.Produce(ctx, kafka.Record{Topic: "orders", Key: []byte("k"), Value: []byte(value)}); err != nil {
			t.Fatalf("%s: %v", value, err)
		}
	}
}

// values reads from an offset on until the offset that ends it.
func values(t *testing.T, c *kafka.Client, from, end int64) []string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	r := c.Read(kafka.TopicPartition{Topic: "orders"}, from)
	defer r.Close()
	var list []string
	for at := from; at < end; {
		batch, err := r.Next(ctx)
		if err != nil {
			t.Fatalf("after %v: %v", list, err)
		}
		for _, record := range batch.Records {
			list = append(list, fmt.Sprintf("%d:%s", record.Offset, record.Value))
		}
		at = batch.Next
	}
	return list
}

func TestOrderHoldsWhileTheLeaderMoves(t *testing.T) {
	cluster, c := cluster(t)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	p, err := c.Producer(kafka.ProducerConfig{})
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close(t.Context())
	r := c.Read(kafka.TopicPartition{Topic: "orders"}, 0)
	defer r.Close()
	const n = 30
	got := 0
	for i := range n {
		if i%10 == 5 {
			next := (cluster.LeaderFor("orders", 0) + 1) % 3
			if err := cluster.MoveTopicPartition("orders", 0, next); err != nil {
				t.Fatal(err)
			}
		}
		if err := p.Produce(ctx, kafka.Record{Topic: "orders", Key: []byte("k"), Value: fmt.Append(nil, i)}); err != nil {
			t.Fatal(err)
		}
		batch, err := r.Next(ctx)
		if err != nil {
			t.Fatal(err)
		}
		for _, record := range batch.Records {
			if string(record.Value) != fmt.Sprint(got) {
				t.Fatalf("read %s, want %d", record.Value, got)
			}
			got++
		}
	}
	if got != n {
		t.Errorf("read %d of %d", got, n)
	}
}

func TestWhatPassesIsTriedAgain(t *testing.T) {
	for _, refusal := range []*kerr.Error{
		kerr.NotEnoughReplicas, kerr.NotLeaderForPartition, kerr.UnknownTopicOrPartition, kerr.KafkaStorageError, kerr.CorruptMessage,
	} {
		t.Run(refusal.Message, func(t *testing.T) {
			cluster, c := cluster(t)
			cluster.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Produce, kmsg.Fetch}, Topic: "orders", Err: refusal, Count: 4})
			produce(t, c, "a", "b")
			if got := values(t, c, 0, 2); !slices.Equal(got, []string{"0:a", "1:b"}) {
				t.Errorf("got %v", got)
			}
		})
	}
}

func TestWhatDoesNotPassFailsAtOnce(t *testing.T) {
	cluster, c := cluster(t)
	cluster.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Produce}, Topic: "orders", Err: kerr.TopicAuthorizationFailed, Count: -1})
	p, err := c.Producer(kafka.ProducerConfig{})
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close(t.Context())
	err = p.Produce(t.Context(), kafka.Record{Topic: "orders", Value: []byte("v")})
	if err == nil || !strings.Contains(err.Error(), "producing to orders[0]: [29] Topic Authorization Failed") {
		t.Errorf("got %v", err)
	}
}

func TestGroupOutlivesItsCoordinatorsTroubles(t *testing.T) {
	cluster, c := cluster(t)
	for _, refusal := range []*kerr.Error{kerr.CoordinatorNotAvailable, kerr.CoordinatorLoadInProgress, kerr.NotCoordinator} {
		cluster.Fault(kfake.Fault{
			Keys:  []kmsg.Key{kmsg.FindCoordinator, kmsg.JoinGroup, kmsg.SyncGroup, kmsg.OffsetFetch, kmsg.OffsetCommit},
			Group: "g", TopLevel: true, Err: refusal, Count: 3,
		})
	}
	addr := cluster.ListenAddrs()[1]
	produce(t, c, "a")
	commit(t, addr, 1)
	cluster.RehashCoordinators()
	if at := committed(t, addr); at != 1 {
		t.Errorf("committed %d, want 1", at)
	}
}

func TestReadGoesOnWhereTheLogStarts(t *testing.T) {
	cluster, c := cluster(t)
	produce(t, c, "a", "b", "c", "d")
	if err := cluster.DeleteRecords("orders", 0, 2); err != nil {
		t.Fatal(err)
	}
	if got := values(t, c, 0, 4); !slices.Equal(got, []string{"2:c", "3:d"}) {
		t.Errorf("got %v", got)
	}
}

func TestReadPassesWhatWasCompacted(t *testing.T) {
	cluster, c := cluster(t)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	err := c.Provision(ctx, []kafka.TopicConfig{{Name: "orders", Partitions: 1, Settings: map[string]string{
		"cleanup.policy": "compact", "min.cleanable.dirty.ratio": "0", "segment.bytes": "1", "min.compaction.lag.ms": "0",
	}}})
	if err != nil {
		t.Fatal(err)
	}
	produce(t, c, "a", "b", "c", "d")
	cluster.Compact()
	got := values(t, c, 0, 4)
	if len(got) == 0 || got[len(got)-1] != "3:d" {
		t.Errorf("got %v", got)
	}
	if len(got) == 4 {
		t.Errorf("nothing was compacted: %v", got)
	}
}

func TestReadSeesOnlyWhatIsCommitted(t *testing.T) {
	cluster, c := cluster(t)
	produce(t, c, "plain")
	cl, err := kgo.NewClient(kgo.SeedBrokers(cluster.ListenAddrs()...), kgo.TransactionalID("tx"), kgo.DefaultProduceTopic("orders"))
	if err != nil {
		t.Fatal(err)
	}
	defer cl.Close()
	for value, end := range map[string]kgo.TransactionEndTry{"no": kgo.TryAbort, "yes": kgo.TryCommit} {
		if err := cl.BeginTransaction(); err != nil {
			t.Fatal(err)
		}
		if err := cl.ProduceSync(t.Context(), kgo.StringRecord(value)).FirstErr(); err != nil {
			t.Fatal(err)
		}
		if err := cl.EndTransaction(t.Context(), end); err != nil {
			t.Fatal(err)
		}
	}
	produce(t, c, "last")
	_, ends, err := c.Ends(t.Context(), "orders")
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, v := range values(t, c, 0, ends[0]) {
		_, value, _ := strings.Cut(v, ":")
		got = append(got, value)
	}
	if !slices.Equal(got, []string{"plain", "yes", "last"}) {
		t.Errorf("got %v", got)
	}
}
