package kafka_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/troupedev/troupe/platform/kafka"
	"github.com/troupedev/troupe/platform/kafka/kafkatest"
)

// member is a handler that tells a test what it hears. What it has to commit
// when its partitions are revoked is set before.
type member struct {
	t        *testing.T
	assigned chan assigned
	revoked  chan revoked
	lost     chan []kafka.TopicPartition
	commit   map[kafka.TopicPartition]kafka.Offset
	drain    chan struct{} // nil, or what Revoked waits for

	cancel context.CancelFunc
	result chan error
}

type assigned struct {
	session    *kafka.Session
	partitions []kafka.Assignment
}

type revoked struct {
	partitions []kafka.TopicPartition
	err        error // of the commit
}

func (m *member) Assigned(s *kafka.Session, partitions []kafka.Assignment) {
	m.assigned <- assigned{s, partitions}
}

func (m *member) Revoked(ctx context.Context, s *kafka.Session, partitions []kafka.TopicPartition) {
	if m.drain != nil {
		<-m.drain
	}
	m.revoked <- revoked{partitions, s.Commit(ctx, m.commit)}
}

func (m *member) Lost(partitions []kafka.TopicPartition) { m.lost <- partitions }

// join starts a member that hears soon of what happens to its group.
func join(t *testing.T, c *kafka.Client, group string, topics ...string) *member {
	t.Helper()
	return joinWith(t, c, kafka.GroupConfig{ID: group, Topics: topics})
}

func joinWith(t *testing.T, c *kafka.Client, cfg kafka.GroupConfig) *member {
	t.Helper()
	cfg.SessionTimeout, cfg.Heartbeat, cfg.WatchPartitions = 6*time.Second, 100*time.Millisecond, 100*time.Millisecond
	m := &member{
		t: t, assigned: make(chan assigned, 100), revoked: make(chan revoked, 100), lost: make(chan []kafka.TopicPartition, 100),
		result: make(chan error, 1),
	}
	var ctx context.Context
	ctx, m.cancel = context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		m.result <- c.Join(ctx, cfg, m)
	}()
	t.Cleanup(func() { m.cancel(); <-ended })
	return m
}

// leave ends the membership and waits until it has ended.
func (m *member) leave() {
	m.t.Helper()
	m.cancel()
	if err := <-m.result; err != nil {
		m.t.Errorf("Join: %v", err)
	}
	m.result <- nil
}

// until waits for an assignment of n partitions.
func (m *member) until(n int) assigned {
	m.t.Helper()
	ctx := within(m.t, time.Minute)
	for {
		select {
		case a := <-m.assigned:
			if len(a.partitions) == n {
				return a
			}
		case err := <-m.result:
			m.t.Fatalf("Join returned %v while %d partitions were waited for", err, n)
		case <-ctx.Done():
			m.t.Fatalf("no assignment of %d partitions", n)
		}
	}
}

func receive[T any](t *testing.T, from chan T) T {
	t.Helper()
	select {
	case v := <-from:
		return v
	case <-within(t, time.Minute).Done():
		t.Fatal("nothing came")
		panic("unreachable")
	}
}

func TestNewMemberOwnsAllAndNothingIsCommitted(t *testing.T) {
	c := dial(t, kafkatest.Broker(t))
	name := topic(t, c, 4)
	m := join(t, c, kafkatest.Name(t), name)
	a := m.until(4)
	for i, p := range a.partitions {
		if p.Topic != name || int(p.Partition) != i || p.Committed != (kafka.Offset{At: -1}) {
			t.Errorf("assignment %d: %+v", i, p)
		}
	}
	m.leave()
	if r := receive(t, m.revoked); len(r.partitions) != 4 || r.err != nil {
		t.Errorf("revoked %v, %v", r.partitions, r.err)
	}
}

func TestTwoMembersShareAndTheOtherTakesOver(t *testing.T) {
	c := dial(t, kafkatest.Broker(t))
	name, group := topic(t, c, 4), kafkatest.Name(t)
	first := join(t, c, group, name)
	first.until(4)
	first.commit = map[kafka.TopicPartition]kafka.Offset{
		{Topic: name, Partition: 0}: {At: 0, Metadata: "of the first"},
		{Topic: name, Partition: 3}: {At: 7},
	}
	second := join(t, dial(t, kafkatest.Broker(t)), group, name)
	got := append(second.until(2).partitions, first.until(2).partitions...)
	if r := receive(t, first.revoked); r.err != nil {
		t.Fatalf("commit while revoked: %v", r.err)
	}
	slices.SortFunc(got, func(a, b kafka.Assignment) int { return int(a.Partition - b.Partition) })
	want := []kafka.Offset{{At: 0, Metadata: "of the first"}, {At: -1}, {At: -1}, {At: 7}}
	for i, a := range got {
		if int(a.Partition) != i || a.Committed != want[i] {
			t.Errorf("partition %d: %+v, want %+v", i, a, want[i])
		}
	}
	first.leave()
	second.until(4) // soon: the first said that it leaves
}

func TestMembersAreCounted(t *testing.T) {
	c := dial(t, kafkatest.Broker(t))
	name, group := topic(t, c, 2), kafkatest.Name(t)
	count := func(want int) {
		t.Helper()
		if n, err := c.Members(t.Context(), group); n != want || err != nil {
			t.Errorf("%d members, %v; want %d", n, err, want)
		}
	}
	count(0) // there is no such group
	first := join(t, c, group, name)
	first.until(2)
	count(1)
	second := join(t, dial(t, kafkatest.Broker(t)), group, name)
	second.until(1)
	count(2)
	first.leave()
	second.leave()
	count(0)
}

func TestCommitOfAFormerGenerationIsFenced(t *testing.T) {
	c := dial(t, kafkatest.Broker(t))
	name, group := topic(t, c, 2), kafkatest.Name(t)
	first := join(t, c, group, name)
	old := first.until(2).session
	second := join(t, c, group, name)
	second.until(1)
	now := first.until(1).session
	offsets := map[kafka.TopicPartition]kafka.Offset{{Topic: name}: {At: 3}}
	if err := old.Commit(t.Context(), offsets); !errors.Is(err, kafka.ErrFenced) {
		t.Errorf("former generation: %v, want ErrFenced", err)
	}
	if err := now.Commit(t.Context(), offsets); err != nil {
		t.Errorf("newest generation: %v", err)
	}
	first.leave()
	if err := now.Commit(t.Context(), offsets); !errors.Is(err, kafka.ErrFenced) {
		t.Errorf("after leaving: %v, want ErrFenced", err)
	}
}

func TestMetadataTooLargeIsToldApart(t *testing.T) {
	if kafkatest.Chosen(kafkatest.Embedded) == kafkatest.Embedded {
		t.Log("the embedded broker takes metadata of any length")
		return
	}
	c := dial(t, kafkatest.Broker(t))
	name := topic(t, c, 1)
	s := join(t, c, kafkatest.Name(t), name).until(1).session
	err := s.Commit(t.Context(), map[kafka.TopicPartition]kafka.Offset{{Topic: name}: {At: 1, Metadata: strings.Repeat("m", 4097)}})
	if !errors.Is(err, kafka.ErrMetadataTooLarge) {
		t.Errorf("got %v, want ErrMetadataTooLarge", err)
	}
}

func TestHeartbeatsGoOnWhileAMemberDrains(t *testing.T) {
	t.Parallel()
	c := dial(t, kafkatest.Broker(t))
	cfg := kafka.GroupConfig{ID: kafkatest.Name(t), Topics: []string{topic(t, c, 2)}, RebalanceTimeout: 20 * time.Second}
	name := cfg.Topics[0]
	first := joinWith(t, c, cfg)
	first.drain = make(chan struct{})
	first.commit = map[kafka.TopicPartition]kafka.Offset{{Topic: name}: {At: 5}}
	first.until(2)
	second := joinWith(t, c, cfg)
	time.AfterFunc(7*time.Second, func() { close(first.drain) }) // longer than the session lasts
	if r := receive(t, first.revoked); r.err != nil {
		t.Errorf("commit after draining: %v", r.err)
	}
	all := append(first.until(1).partitions, second.until(1).partitions...)
	for _, a := range all {
		if a.Partition == 0 && a.Committed.At != 5 {
			t.Errorf("took over from %d, want 5", a.Committed.At)
		}
	}
}

func TestPartitionsThatAreAddedAreAssigned(t *testing.T) {
	c := dial(t, kafkatest.Broker(t))
	name, later := topic(t, c, 1), kafkatest.Name(t)
	m := join(t, c, kafkatest.Name(t), name, later)
	m.until(1)
	if err := c.Provision(within(t, time.Minute), []kafka.TopicConfig{{Name: later, Partitions: 2}}); err != nil {
		t.Fatal(err)
	}
	m.until(3)
}

func TestMembershipSurvivesABrokersRestart(t *testing.T) {
	server := kafkatest.New(t)
	c := dial(t, server.Addr)
	name, group := topic(t, c, 2), kafkatest.Name(t)
	m := join(t, c, group, name)
	s := m.until(2).session
	ctx := within(t, 2*time.Minute)
	tp := kafka.TopicPartition{Topic: name, Partition: 1}
	if err := s.Commit(ctx, map[kafka.TopicPartition]kafka.Offset{tp: {At: 4, Metadata: "kept"}}); err != nil {
		t.Fatal(err)
	}
	server.Stop(t)
	server.Start(t)
	err := errors.New("not tried")
	for err != nil && !errors.Is(err, kafka.ErrFenced) && ctx.Err() == nil { // a broker on a busy machine starts slowly
		err = s.Commit(ctx, map[kafka.TopicPartition]kafka.Offset{tp: {At: 5, Metadata: "kept"}})
	}
	if errors.Is(err, kafka.ErrFenced) { // the broker forgot its members
		a := m.until(2)
		if got := a.partitions[1].Committed; got != (kafka.Offset{At: 4, Metadata: "kept"}) {
			t.Errorf("committed %+v", got)
		}
		err = a.session.Commit(ctx, map[kafka.TopicPartition]kafka.Offset{tp: {At: 5}})
	}
	if err != nil {
		t.Error(err)
	}
}

func TestPartitionsAreLostWhenTheSessionEnds(t *testing.T) {
	t.Parallel()
	server := kafkatest.New(t)
	c := dial(t, server.Addr)
	m := join(t, c, kafkatest.Name(t), topic(t, c, 3))
	m.until(3)
	server.Stop(t)
	if lost := receive(t, m.lost); len(lost) != 3 {
		t.Errorf("lost %v", lost)
	}
	server.Start(t)
	m.until(3)
	m.leave()
	if r := receive(t, m.revoked); len(r.partitions) != 3 || r.err != nil {
		t.Errorf("revoked %v, %v", r.partitions, r.err)
	}
}

func TestStartAtEndSkipsWhatIsThereOnce(t *testing.T) {
	c := dial(t, kafkatest.Broker(t))
	tp := filled(t, c, 10)
	group := kafkatest.Name(t)
	ctx := within(t, time.Minute)
	both := make(chan error, 2)
	for range 2 {
		go func() { both <- c.StartAtEnd(ctx, group, []string{tp.Topic}) }()
	}
	for range 2 {
		if err := <-both; err != nil {
			t.Fatal(err)
		}
	}
	p := producer(t, c, kafka.ProducerConfig{})
	if err := p.Produce(ctx, kafka.Record{Topic: tp.Topic, Value: []byte("new")}); err != nil {
		t.Fatal(err)
	}
	if err := c.StartAtEnd(ctx, group, []string{tp.Topic}); err != nil {
		t.Fatal(err)
	}
	m := join(t, c, group, tp.Topic)
	if at := m.until(1).partitions[0].Committed.At; at != 10 {
		t.Errorf("starts at %d, want 10", at)
	}
}

// A group whose offsets expired looks like a new one, so somebody has to hear
// what it skips.
func TestStartAtEndTellsWhatItSkips(t *testing.T) {
	var out bytes.Buffer
	c, err := kafka.New(kafka.Config{Brokers: []string{kafkatest.Broker(t)}, Logger: slog.New(slog.NewTextHandler(&out, nil))})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	tp, empty, group := filled(t, c, 10), topic(t, c, 1), kafkatest.Name(t)
	for range 2 { // the second time the group has begun
		if err := c.StartAtEnd(within(t, time.Minute), group, []string{tp.Topic, empty}); err != nil {
			t.Fatal(err)
		}
	}
	if got := out.String(); strings.Count(got, "\n") != 1 || !strings.Contains(got, "group="+group+" topic="+tp.Topic+" records=10") {
		t.Errorf("logged:\n%s", got)
	}
}

func TestReachableFollowsTheBroker(t *testing.T) {
	server := kafkatest.New(t)
	c := dial(t, server.Addr)
	join(t, c, kafkatest.Name(t), topic(t, c, 1)).until(1)
	if !c.Reachable() {
		t.Error("not reachable while all is well")
	}
	server.Stop(t)
	await(t, "the outage to be noticed", func() bool { return !c.Reachable() })
	server.Start(t)
	await(t, "the broker to be noticed", c.Reachable)
}

// await asks until it is so.
func await(t *testing.T, what string, so func() bool) {
	t.Helper()
	ctx := within(t, time.Minute)
	again := time.NewTicker(20 * time.Millisecond)
	defer again.Stop()
	for !so() {
		select {
		case <-again.C:
		case <-ctx.Done():
			t.Fatalf("waited for %s", what)
		}
	}
}

func TestStartAtEndLeavesAGroupWithMembersAlone(t *testing.T) {
	c := dial(t, kafkatest.Broker(t))
	tp := filled(t, c, 10)
	group := kafkatest.Name(t)
	first := join(t, c, group, tp.Topic)
	first.until(1)
	if err := c.StartAtEnd(within(t, time.Minute), group, []string{tp.Topic}); err != nil {
		t.Fatal(err)
	}
	first.leave()
	if at := join(t, c, group, tp.Topic).until(1).partitions[0].Committed.At; at != -1 {
		t.Errorf("committed %d, want nothing", at)
	}
}

func TestJoinReturnsWhatCannotHeal(t *testing.T) {
	c := dial(t, kafkatest.Broker(t))
	err := c.Join(within(t, time.Minute), kafka.GroupConfig{ID: kafkatest.Name(t), Topics: []string{"x"}, SessionTimeout: 3 * time.Hour}, &member{})
	if err == nil || !strings.Contains(err.Error(), "Session Timeout") {
		t.Errorf("got %v, want a refused session timeout", err)
	}
	err = c.Join(t.Context(), kafka.GroupConfig{Heartbeat: time.Minute}, &member{})
	for _, want := range []string{"no ID", "no topics", "Heartbeat"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v does not say %q", err, want)
		}
	}
}

func TestJoinWaitsForABrokerAndEndsWithItsContext(t *testing.T) {
	c := dial(t, "127.0.0.1:1")
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	if err := c.Join(ctx, kafka.GroupConfig{ID: "g", Topics: []string{"x"}}, &member{}); err != nil {
		t.Errorf("got %v", err)
	}
}

func TestPingNamesTheAddressAndTheReason(t *testing.T) {
	c := dial(t, "127.0.0.1:1")
	err := c.Ping(within(t, time.Minute))
	want := "cannot reach Kafka at 127.0.0.1:1: connection refused; is it running? (--brokers)"
	if fmt.Sprint(err) != want {
		t.Errorf("got  %v\nwant %s", err, want)
	}
}
