package embedded_test

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/troupedev/troupe/platform/kafka"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// member is a member of group g that tells a test what it hears.
type member struct {
	assigned chan assigned
	lost     chan struct{}
	deadline chan time.Duration // what Revoked was given
	leave    func()
}

type assigned struct {
	session    *kafka.Session
	partitions int
}

func (m *member) Assigned(s *kafka.Session, partitions []kafka.Assignment) {
	m.assigned <- assigned{s, len(partitions)}
}

func (m *member) Revoked(ctx context.Context, _ *kafka.Session, _ []kafka.TopicPartition) {
	until, _ := ctx.Deadline()
	m.deadline <- time.Until(until)
}

func (m *member) Lost([]kafka.TopicPartition) { m.lost <- struct{}{} }

// join starts a member that hears soon of what happens to its group.
func join(t *testing.T, c *kafka.Client) *member {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	m := &member{assigned: make(chan assigned, 100), lost: make(chan struct{}, 100), deadline: make(chan time.Duration, 100)}
	ended := make(chan error, 1)
	go func() {
		ended <- c.Join(ctx, kafka.GroupConfig{
			ID: "g", Topics: []string{"orders"}, Heartbeat: 200 * time.Millisecond, WatchPartitions: 100 * time.Millisecond,
		}, m)
	}()
	m.leave = sync.OnceFunc(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(m.leave)
	return m
}

// receive waits for what comes soon, and well before a session ends.
func receive[T any](t *testing.T, from chan T) (v T) {
	t.Helper()
	select {
	case v = <-from:
	case <-time.After(5 * time.Second):
		t.Fatal("nothing came")
	}
	return v
}

func TestCommitErrorNamesThePartitionsThatWereRefused(t *testing.T) {
	cluster, c := cluster(t)
	m := join(t, c)
	s := receive(t, m.assigned).session
	refused := kafka.TopicPartition{Topic: "gone", Partition: 3}
	cluster.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.OffsetCommit}, Topic: "gone", Err: kerr.UnknownTopicOrPartition, Count: -1})
	err := s.Commit(t.Context(), map[kafka.TopicPartition]kafka.Offset{{Topic: "orders"}: {At: 5}, refused: {At: 1}})
	failed, ok := errors.AsType[*kafka.CommitError](err)
	if !ok || len(failed.Partitions) != 1 || failed.Partitions[refused] == nil {
		t.Fatalf("got %v, want an error of %v alone", err, refused)
	}
	if !strings.Contains(err.Error(), "gone[3]: [3] Unknown Topic Or Partition") {
		t.Errorf("got %v", err)
	}
	m.leave()
	if at := committed(t, cluster.ListenAddrs()[0]); at != 5 {
		t.Errorf("committed %d of the other partition, want 5", at)
	}
}

func TestCommitErrorNamesAllWhenTheCoordinatorRefuses(t *testing.T) {
	cluster, c := cluster(t)
	s := receive(t, join(t, c).assigned).session
	loading := kfake.Fault{Keys: []kmsg.Key{kmsg.OffsetCommit}, Group: "g", Err: kerr.CoordinatorLoadInProgress, Count: 3}
	cluster.Fault(loading)
	if err := s.Commit(t.Context(), map[kafka.TopicPartition]kafka.Offset{{Topic: "orders"}: {At: 4}}); err != nil {
		t.Errorf("it passes, and is not waited for: %v", err)
	}
	loading.Count = -1
	cluster.Fault(loading)
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	offsets := map[kafka.TopicPartition]kafka.Offset{{Topic: "orders"}: {At: 5}, {Topic: "orders", Partition: 1}: {At: 6}}
	err := s.Commit(ctx, offsets)
	failed, ok := errors.AsType[*kafka.CommitError](err)
	if !ok || len(failed.Partitions) != 2 || !strings.Contains(err.Error(), "orders[0] and 1 more: ") {
		t.Errorf("got %v, want an error of both partitions", err)
	}
}

func TestRevokedHasTheRebalanceTimeoutLessTwoHeartbeats(t *testing.T) {
	_, c := cluster(t)
	m := join(t, c)
	receive(t, m.assigned)
	m.leave()
	const most = 10*time.Second - 2*200*time.Millisecond
	if got := receive(t, m.deadline); got > most || got < most-2*time.Second {
		t.Errorf("Revoked had %s, want %s", got, most)
	}
	if got := (kafka.GroupConfig{}).DrainTime(); got != 8*time.Second {
		t.Errorf("by default it has %s, want 8s", got)
	}
}

func TestHeartbeatThatIsRefusedForGoodLosesThePartitionsAtOnce(t *testing.T) {
	for _, refusal := range []*kerr.Error{kerr.IllegalGeneration, kerr.GroupMaxSizeReached} {
		t.Run(refusal.Message, func(t *testing.T) {
			cluster, c := cluster(t)
			m := join(t, c)
			receive(t, m.assigned)
			cluster.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Heartbeat}, Group: "g", TopLevel: true, Err: refusal})
			receive(t, m.lost)
			if a := receive(t, m.assigned); a.partitions != 1 {
				t.Errorf("assigned %d partitions after joining again", a.partitions)
			}
		})
	}
}

// A member that was put out is known no more: with its former id it would be
// refused once more before it is let in.
func TestMemberThatWasPutOutJoinsAsANewOne(t *testing.T) {
	cluster, c := cluster(t)
	m := join(t, c)
	receive(t, m.assigned)
	ids := make(chan string, 100)
	cluster.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.JoinGroup}, Observe: true, Count: -1, When: func(req kmsg.Request) bool {
		ids <- req.(*kmsg.JoinGroupRequest).MemberID
		return true
	}})
	putOut(t, cluster)
	receive(t, m.lost)
	if id := receive(t, ids); id != "" {
		t.Errorf("it joins as %q", id)
	}
	if a := receive(t, m.assigned); a.partitions != 1 {
		t.Errorf("assigned %d partitions", a.partitions)
	}
}

// putOut removes the members of group g, as an administrator may.
func putOut(t *testing.T, cluster *kfake.Cluster) {
	t.Helper()
	cl, err := kgo.NewClient(kgo.SeedBrokers(cluster.ListenAddrs()...))
	if err != nil {
		t.Fatal(err)
	}
	defer cl.Close()
	for _, m := range cluster.GroupInfo("g").Members {
		leaver := kmsg.NewLeaveGroupRequestMember()
		leaver.MemberID = m.MemberID
		req := kmsg.NewPtrLeaveGroupRequest()
		req.Group, req.Members = "g", []kmsg.LeaveGroupRequestMember{leaver}
		if _, err := req.RequestWith(t.Context(), cl); err != nil {
			t.Fatal(err)
		}
	}
}

// forget makes the brokers answer n times that there is no topic orders, when
// they are asked for it by name.
func forget(cluster *kfake.Cluster, n int) *kfake.FaultHandle {
	return cluster.Fault(kfake.Fault{
		Keys: []kmsg.Key{kmsg.Metadata}, Topic: "orders", Err: kerr.UnknownTopicOrPartition, Count: n,
		When: func(req kmsg.Request) bool { return len(req.(*kmsg.MetadataRequest).Topics) == 1 },
	})
}

func TestLeaderAsksAgainForATopicThatItIsNotToldOf(t *testing.T) {
	cluster, c := cluster(t)
	forget(cluster, 1)
	if a := receive(t, join(t, c).assigned); a.partitions != 1 {
		t.Errorf("the first generation has %d partitions, want 1", a.partitions)
	}
}

func TestTopicIsGoneOnlyAtASecondLook(t *testing.T) {
	cluster, c := cluster(t)
	m := join(t, c)
	receive(t, m.assigned)
	joins := cluster.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.JoinGroup}, Observe: true, Count: -1})
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	for range 2 { // a second doubt later on is a first one again
		if err := forget(cluster, 1).Wait(ctx, 1); err != nil {
			t.Fatal(err)
		}
		looks := cluster.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Metadata}, Topic: "orders", Observe: true, Count: -1})
		if err := looks.Wait(ctx, 5); err != nil {
			t.Fatal(err)
		}
		looks.Remove()
	}
	if n := joins.Hits(); n > 0 {
		t.Fatalf("the group was assigned anew %d times", n)
	}
	if err := cluster.DeleteTopic("orders"); err != nil {
		t.Fatal(err)
	}
	if a := receive(t, m.assigned); a.partitions != 0 {
		t.Errorf("assigned %d partitions of a topic that is gone", a.partitions)
	}
}
