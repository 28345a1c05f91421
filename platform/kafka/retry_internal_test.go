package kafka

import (
	"bytes"
	"errors"
	"log/slog"
	"strings"
	"testing"

	kgo "github.com/segmentio/kafka-go"
)

func TestOutageIsLoggedOncePerChange(t *testing.T) {
	var out bytes.Buffer
	c := &Client{log: slog.New(slog.NewTextHandler(&out, &slog.HandlerOptions{ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
		if a.Key == slog.TimeKey {
			return slog.Attr{}
		}
		return a
	}}))}
	one, two, three := outage{c: c, what: "one"}, outage{c: c, what: "two"}, outage{c: c, what: "three"}
	gone := errors.New("connection refused")
	for range 5 {
		one.fail(gone)
		two.fail(gone)
		three.fail(kgo.NotEnoughReplicas)
	}
	if c.Reachable() {
		t.Error("reachable, while nothing works")
	}
	for range 2 {
		c.reach.found(c.log) // an answer came
		one.work()
		two.work()
		three.work()
	}
	if !c.Reachable() {
		t.Error("not reachable, although a broker answered")
	}
	one.fail(gone) // once is not worth a word
	one.work()
	want := []string{
		`level=WARN msg="Kafka cannot be reached; trying again" error="connection refused"`,
		`level=WARN msg="three fails; trying again" error="[19] Not Enough Replicas: `,
		`level=INFO msg="Kafka can be reached again"`,
		`level=INFO msg="three works again"`,
	}
	lines := strings.Split(strings.TrimSpace(out.String()), "\n")
	if len(lines) != len(want) {
		t.Fatalf("got %d lines:\n%s", len(lines), out.String())
	}
	for i := range want {
		if !strings.HasPrefix(lines[i], want[i]) {
			t.Errorf("line %d: %s\nwant %s", i, lines[i], want[i])
		}
	}
}

func TestWhatIsTriedAgain(t *testing.T) {
	for err, want := range map[error]bool{
		errors.New("connection reset"): true,
		kgo.NotLeaderForPartition:      true,
		kgo.NotEnoughReplicas:          true,
		kgo.RequestTimedOut:            true,
		kgo.UnknownTopicOrPartition:    true,
		kgo.GroupLoadInProgress:        true,
		kgo.TopicAuthorizationFailed:   false,
		kgo.InvalidTopic:               false,
		kgo.MessageSizeTooLarge:        false,
		ErrClosed:                      false,
		memberError(22):                false,
	} {
		if got := retriable(err); got != want {
			t.Errorf("%v: %t", err, got)
		}
	}
}
