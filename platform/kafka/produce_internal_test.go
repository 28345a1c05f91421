package kafka

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"strings"
	"testing"
	"time"
)

// nowhere is a client of brokers that are not there.
func nowhere(t *testing.T) *Client {
	t.Helper()
	c, err := New(Config{Brokers: []string{"127.0.0.1:1"}, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

func TestRecordIsGivenUpAfterItsDeliveryTimeout(t *testing.T) {
	for _, partitions := range []int32{0, 1} { // of the topic; 0: not known
		t.Run(fmt.Sprint(partitions), func(t *testing.T) {
			p, err := nowhere(t).Producer(ProducerConfig{})
			if err != nil {
				t.Fatal(err)
			}
			defer p.Close(t.Context())
			p.cfg.DeliveryTimeout = 100 * time.Millisecond // less than may be set
			p.topics["orders"] = &topic{name: "orders", partitions: partitions, asked: time.Now()}
			result := make(chan error, 1)
			p.Send(t.Context(), []Record{{Topic: "orders", Value: []byte("v")}}, func(err error) { result <- err })
			select {
			case err := <-result:
				if err == nil || !strings.Contains(err.Error(), "after 100ms") || !strings.Contains(err.Error(), "orders") {
					t.Errorf("got %v", err)
				}
			case <-time.After(20 * time.Second):
				t.Error("not given up")
			}
		})
	}
}

// The context's end is heard of by another goroutine, which may be late.
func TestRecordWhoseContextHasEndedIsNotTaken(t *testing.T) {
	p, err := nowhere(t).Producer(ProducerConfig{})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	result := make(chan error, 1)
	s := &send{p: p, ctx: ctx, left: 1, report: func(err error) { result <- err }}
	p.waiting++
	l := newLane(p, TopicPartition{Topic: "orders"})
	l.queue = []*item{{Record: Record{Topic: "orders"}, send: s}}
	if l.take() {
		t.Error("it is sent")
	}
	if err := <-result; !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}

func TestLaneLetsGoOfItsBuffer(t *testing.T) {
	p, err := nowhere(t).Producer(ProducerConfig{MaxBatchBytes: 1000})
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close(t.Context())
	tests := map[string]struct {
		size  int
		clean bool
		kept  bool
	}{
		"an ordinary one is used again":                     {1500, true, true},
		"that a large record made":                          {2001, true, false},
		"that a request given up may still be written from": {1500, false, false},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			l := newLane(p, TopicPartition{Topic: "orders"})
			l.buffer = make([]byte, 0, test.size)
			l.trim(test.clean)
			if kept := l.buffer != nil; kept != test.kept {
				t.Errorf("kept: %t", kept)
			}
		})
	}
	l := newLane(p, TopicPartition{Topic: "orders"})
	l.batch = []*item{{Record: Record{Topic: "orders", Time: time.Now()}}}
	if err := l.try(); err == nil || l.buffer != nil {
		t.Errorf("after %v the buffer is kept", err)
	}
}

func TestCloseEndsConnectionsThatWaitForAnAnswer(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	c, err := New(Config{Brokers: []string{listener.Addr().String()}, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	pinged := make(chan error, 1)
	go func() { pinged <- c.Ping(t.Context()) }()
	nc, err := listener.Accept() // a broker that never answers
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
	if err := nc.SetReadDeadline(time.Now().Add(3 * time.Second)); err != nil {
		t.Fatal(err)
	}
	if _, err := io.Copy(io.Discard, nc); err != nil && !errors.Is(err, net.ErrClosed) {
		t.Errorf("the connection is open after Close: %v", err)
	}
	if err := <-pinged; err == nil {
		t.Error("Ping succeeded")
	}
}
