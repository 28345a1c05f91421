package embedded_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/troupedev/troupe/platform/kafka"
	"github.com/troupedev/troupe/platform/kafka/embedded"
	"go.uber.org/goleak"
)

// asBroker makes this test binary a process with a broker in that folder.
const asBroker = "TROUPE_TEST_AS_BROKER"

func TestMain(m *testing.M) {
	if dir := os.Getenv(asBroker); dir != "" {
		b, err := embedded.Start(embedded.Config{Listen: "127.0.0.1:0", DataDir: dir})
		if err != nil {
			fmt.Println(err)
			os.Exit(1)
		}
		fmt.Println(b.Addr())
		select {} // until it is killed
	}
	goleak.VerifyTestMain(m)
}

func start(t testing.TB, dir string) *embedded.Broker {
	t.Helper()
	b, err := embedded.Start(embedded.Config{Listen: "127.0.0.1:0", DataDir: dir, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { b.Close() })
	return b
}

func client(t testing.TB, addr string) *kafka.Client {
	t.Helper()
	c, err := kafka.New(kafka.Config{Brokers: []string{addr}, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

// fill makes a topic and writes n records to it.
func fill(t testing.TB, addr string, n int) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	c := client(t, addr)
	if err := c.Provision(ctx, []kafka.TopicConfig{{Name: "orders", Partitions: 1, Settings: map[string]string{"retention.ms": "-1"}}}); err != nil {
		t.Fatal(err)
	}
	p, err := c.Producer(kafka.ProducerConfig{})
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close(t.Context())
	for i := range n {
		if err := p.Produce(ctx, kafka.Record{Topic: "orders", Key: []byte("k"), Value: fmt.Append(nil, i)}); err != nil {
			t.Fatal(err)
		}
	}
}

// expect reads n records and their values, 0 to n-1.
func expect(t testing.TB, addr string, n int) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	r := client(t, addr).Read(kafka.TopicPartition{Topic: "orders"}, 0)
	defer r.Close()
	for got := 0; got < n; {
		batch, err := r.Next(ctx)
		if err != nil {
			t.Fatalf("after %d of %d records: %v", got, n, err)
		}
		for _, record := range batch.Records {
			if string(record.Value) != fmt.Sprint(got) {
				t.Fatalf("record %d is %s", got, record.Value)
			}
			got++
		}
	}
}

func TestDataOutlivesTheBroker(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "new", "kafka")
	b := start(t, dir)
	fill(t, b.Addr(), 50)
	b.Close()
	expect(t, start(t, dir).Addr(), 50)
}

func TestDataInMemoryGoesWithTheBroker(t *testing.T) {
	b := start(t, "")
	fill(t, b.Addr(), 5)
	expect(t, b.Addr(), 5)
}

func TestDataOutlivesAKill(t *testing.T) {
	dir := t.TempDir()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), asBroker+"="+dir)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	addr, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	addr = strings.TrimSpace(addr)
	fill(t, addr, 50)
	commit(t, addr, 33)

	_, err = embedded.Start(embedded.Config{Listen: "127.0.0.1:0", DataDir: dir})
	if err == nil || !strings.Contains(err.Error(), "another process uses "+dir+"; stop it, or set --data") {
		t.Errorf("a folder in use: %v", err)
	}

	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait() // killed
	b := start(t, dir)
	expect(t, b.Addr(), 50)
	if at := committed(t, b.Addr()); at != 33 {
		t.Errorf("committed %d, want 33", at)
	}
}

// handler commits, or tells what is committed.
type handler struct {
	commit int64 // 0: nothing
	found  chan int64
	t      testing.TB
}

func (h handler) Assigned(s *kafka.Session, partitions []kafka.Assignment) {
	p := partitions[0]
	if h.commit > 0 {
		if err := s.Commit(h.t.Context(), map[kafka.TopicPartition]kafka.Offset{p.TopicPartition: {At: h.commit}}); err != nil {
			h.t.Error(err)
		}
	}
	h.found <- p.Committed.At
}
func (handler) Revoked(context.Context, *kafka.Session, []kafka.TopicPartition) {}
func (handler) Lost([]kafka.TopicPartition)                                     {}

func commit(t testing.TB, addr string, at int64) { t.Helper(); visit(t, addr, at) }

func committed(t testing.TB, addr string) int64 { t.Helper(); return visit(t, addr, 0) }

// visit joins a group until its partition is assigned.
func visit(t testing.TB, addr string, at int64) int64 {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	h := handler{commit: at, found: make(chan int64, 1), t: t}
	ended := make(chan error, 1)
	c := client(t, addr)
	go func() { ended <- c.Join(ctx, kafka.GroupConfig{ID: "g", Topics: []string{"orders"}}, h) }()
	found := int64(-2)
	select {
	case found = <-h.found:
	case <-ctx.Done():
	}
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	return found
}

func TestStartSaysWhatToDo(t *testing.T) {
	busy, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer busy.Close()
	brokenDir := t.TempDir()
	if err := os.WriteFile(filepath.Join(brokenDir, "meta.json"), []byte("{"), 0o644); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	tests := map[string]struct {
		cfg  embedded.Config
		want []string
	}{
		"a port in use":         {embedded.Config{Listen: busy.Addr().String()}, []string{busy.Addr().String() + " is in use", "--embedded"}},
		"an address not ours":   {embedded.Config{Listen: "192.0.2.1:9092"}, []string{"cannot listen on 192.0.2.1:9092 (--embedded)"}},
		"no address":            {embedded.Config{Listen: "nonsense"}, []string{"cannot listen on nonsense (--embedded)"}},
		"a broken folder":       {embedded.Config{Listen: "127.0.0.1:0", DataDir: brokenDir}, []string{brokenDir, "remove that folder", "--data"}},
		"a file for the folder": {embedded.Config{Listen: "127.0.0.1:0", DataDir: file}, []string{file, "--data"}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			b, err := embedded.Start(test.cfg)
			if err == nil {
				b.Close()
				t.Fatal("it started")
			}
			for _, want := range test.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("%v\ndoes not say %q", err, want)
				}
			}
			if strings.Contains(err.Error(), "\n") {
				t.Errorf("more than a line: %v", err)
			}
		})
	}
}

func TestWhatIsNoRequestEndsItsConnectionOnly(t *testing.T) {
	b := start(t, "")
	for name, garbage := range map[string]string{
		"a browser":           "GET / HTTP/1.1\r\nHost: x\r\n\r\n",
		"an unknown request":  "\x00\x00\x00\x10\x7f\xff\x00\x00\x00\x00\x00\x01\x00\x00\x00\x00\x00\x00\x00\x00",
		"a length of nothing": "\x00\x00\x00\x00",
		"a negative length":   "\xff\xff\xff\xff",
		"an odd version":      "\x00\x00\x00\x10\x00\x03\x7f\xff\x00\x00\x00\x01\x00\x00\x00\x00\x00\x00\x00\x00",
	} {
		t.Run(name, func(t *testing.T) {
			nc, err := net.Dial("tcp", b.Addr())
			if err != nil {
				t.Fatal(err)
			}
			defer nc.Close()
			if _, err := io.WriteString(nc, garbage); err != nil {
				t.Fatal(err)
			}
			if err := nc.SetReadDeadline(time.Now().Add(10 * time.Second)); err != nil {
				t.Fatal(err)
			}
			if _, err := io.Copy(io.Discard, nc); err != nil && os.IsTimeout(err) {
				t.Error("the connection stays open")
			}
		})
	}
	if err := client(t, b.Addr()).Ping(t.Context()); err != nil {
		t.Errorf("the broker is gone: %v", err)
	}
}

func TestCorruptRecordsAreAnErrorNotTheEnd(t *testing.T) {
	dir := t.TempDir()
	b := start(t, dir)
	fill(t, b.Addr(), 3)
	files, err := filepath.Glob(filepath.Join(dir, "partitions", "orders-0", "*.dat"))
	if err != nil || len(files) != 1 {
		t.Fatal(files, err)
	}
	data, err := os.ReadFile(files[0])
	if err != nil {
		t.Fatal(err)
	}
	data[len(data)-2] ^= 0xff // in the value of the last record
	if err := os.WriteFile(files[0], data, 0o644); err != nil {
		t.Fatal(err)
	}
	r := client(t, b.Addr()).Read(kafka.TopicPartition{Topic: "orders"}, 0)
	defer r.Close()
	if batch, err := r.Next(t.Context()); err != nil || len(batch.Records) != 2 {
		t.Errorf("what came before: %d records, %v", len(batch.Records), err)
	}
	if _, err := r.Next(t.Context()); err == nil || !strings.Contains(err.Error(), "orders[0]: unreadable records at offset 2") {
		t.Errorf("got %v", err)
	}
}

// BenchmarkStart starts a broker on a folder with 10,000 records.
func BenchmarkStart(b *testing.B) {
	dir := b.TempDir()
	first := start(b, dir)
	fill(b, first.Addr(), 10_000)
	first.Close()
	for b.Loop() {
		broker, err := embedded.Start(embedded.Config{Listen: "127.0.0.1:0", DataDir: dir})
		if err != nil {
			b.Fatal(err)
		}
		b.StopTimer()
		broker.Close()
		b.StartTimer()
	}
}

func TestCloseEndsConnections(t *testing.T) {
	b := start(t, "")
	nc, err := net.Dial("tcp", b.Addr())
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	if err := client(t, b.Addr()).Ping(t.Context()); err != nil { // accepted after the one above
		t.Fatal(err)
	}
	b.Close()
	if err := nc.SetReadDeadline(time.Now().Add(5 * time.Second)); err != nil {
		t.Fatal(err)
	}
	if _, err := nc.Read(make([]byte, 1)); errors.Is(err, os.ErrDeadlineExceeded) {
		t.Error("the connection is open after Close")
	}
}
