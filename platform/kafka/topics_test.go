package kafka_test

import (
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/troupedev/troupe/platform/kafka"
	"github.com/troupedev/troupe/platform/kafka/kafkatest"
)

func TestProvisionTwiceChangesNothing(t *testing.T) {
	c := dial(t, kafkatest.Broker(t))
	topics := []kafka.TopicConfig{
		{Name: kafkatest.Name(t), Partitions: 3, Replication: 1, Settings: map[string]string{"retention.ms": "3600000"}},
		{Name: kafkatest.Name(t), Partitions: 1},
	}
	for range 2 {
		if err := c.Provision(within(t, time.Minute), topics); err != nil {
			t.Fatal(err)
		}
	}
	if n, err := c.Partitions(within(t, time.Minute), topics[0].Name); n != 3 || err != nil {
		t.Errorf("%d partitions, %v", n, err)
	}
}

func TestProvisionByManyAtOnce(t *testing.T) {
	name := kafkatest.Name(t)
	var all sync.WaitGroup
	for range 4 {
		c := dial(t, kafkatest.Broker(t))
		all.Go(func() {
			if err := c.Provision(t.Context(), []kafka.TopicConfig{{Name: name, Partitions: 2}}); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
}

func TestProvisionBringsSettingsInLine(t *testing.T) {
	c := dial(t, kafkatest.Broker(t))
	ctx := within(t, time.Minute)
	name := kafkatest.Name(t)
	provision := func(limit string) {
		t.Helper()
		err := c.Provision(ctx, []kafka.TopicConfig{{Name: name, Partitions: 1, Settings: map[string]string{"max.message.bytes": limit}}})
		if err != nil {
			t.Fatal(err)
		}
	}
	p := producer(t, c, kafka.ProducerConfig{})
	record := kafka.Record{Topic: name, Value: make([]byte, 1500)}
	provision("1000")
	if err := p.Produce(ctx, record); err == nil {
		t.Error("1,500 bytes were taken where 1,000 are allowed")
	}
	provision("2000")
	if err := p.Produce(ctx, record); err != nil {
		t.Error(err)
	}
}

func TestProvisionNamesEveryDifferenceItWillNotMend(t *testing.T) {
	c := dial(t, kafkatest.Broker(t))
	few, many, odd, own := kafkatest.Name(t), kafkatest.Name(t), kafkatest.Name(t), kafkatest.Name(t)
	ctx := within(t, time.Minute)
	err := c.Provision(ctx, []kafka.TopicConfig{{Name: few, Partitions: 2}, {Name: many, Partitions: 4}, {Name: odd, Partitions: 1}, {Name: own, Partitions: 2}})
	if err != nil {
		t.Fatal(err)
	}
	err = c.Provision(ctx, []kafka.TopicConfig{
		{Name: few, Partitions: 4},
		{Name: many, Partitions: 2, Replication: 3},
		{Name: odd, Partitions: 1, Settings: map[string]string{"retention.ms": "soon"}},
		{Name: own, Partitions: 1, DeleteByHand: true},
	})
	wants := []string{
		"topic " + few + " has 2 partitions, domain.yaml says 4: raise them (kafka-topics.sh --alter --topic " + few + " --partitions 4;",
		"topic " + many + " has 4 partitions, domain.yaml says 2",
		"topic " + many + " has replication 1, domain.yaml says 3",
		"topic " + own + " has 2 partitions and has to have 1: stop what uses it and delete it",
	}
	if kafkatest.Chosen(kafkatest.Embedded) == kafkatest.Container { // the embedded broker takes any value
		wants = append(wants, "settings of topic "+odd)
	}
	for _, want := range wants {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error does not say %q:\n%v", want, err)
		}
	}
	if n, err := c.Partitions(ctx, few); n != 2 || err != nil {
		t.Errorf("%s has %d partitions now, %v", few, n, err)
	}
}

func TestProvisionRefusesWhatCannotBe(t *testing.T) {
	c := dial(t, "127.0.0.1:1")
	err := c.Provision(t.Context(), []kafka.TopicConfig{{Partitions: 1}, {Name: "a"}, {Name: "b", Partitions: 1, Replication: -2}})
	for _, want := range []string{"without a name", "topic a: 0 partitions", "topic b: replication -2"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v does not say %q", err, want)
		}
	}
}

func TestEndsOfATopic(t *testing.T) {
	c := dial(t, kafkatest.Broker(t))
	tp := filled(t, c, 5)
	starts, ends, err := c.Ends(within(t, time.Minute), tp.Topic)
	if err != nil || len(starts) != 1 || starts[0] != 0 || ends[0] != 5 {
		t.Errorf("%v to %v, %v", starts, ends, err)
	}
	if _, _, err := c.Ends(within(t, time.Minute), kafkatest.Name(t)); err == nil {
		t.Error("a topic that does not exist has ends")
	}
}

func TestTopicsAreListedInOrder(t *testing.T) {
	c := dial(t, kafkatest.Broker(t))
	made := []string{topic(t, c, 1), topic(t, c, 2)}
	names, err := c.Topics(within(t, time.Minute))
	if err != nil || !slices.IsSorted(names) {
		t.Errorf("got %v, %v", names, err)
	}
	for _, name := range made {
		if !slices.Contains(names, name) {
			t.Errorf("%s is not among %v", name, names)
		}
	}
}

func TestConfigFaultsComeTogether(t *testing.T) {
	_, err := kafka.New(kafka.Config{Brokers: []string{"localhost"}, DialTimeout: -1})
	for _, want := range []string{`"localhost" is not host:port`, "DialTimeout is negative"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v does not say %q", err, want)
		}
	}
	if _, err := kafka.New(kafka.Config{}); err == nil || !strings.Contains(err.Error(), "--brokers") {
		t.Errorf("no brokers: %v", err)
	}
}
