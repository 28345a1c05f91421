package cli

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"log/slog"
	"net"
	"net/http"
	"os"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/troupedev/troupe/platform/choreo"
	"github.com/troupedev/troupe/platform/event"
	"github.com/troupedev/troupe/platform/kafka"
	"github.com/troupedev/troupe/platform/kafka/embedded"
	"github.com/troupedev/troupe/platform/runtime"
	"github.com/troupedev/troupe/platform/web"
)

// patience is how long a test waits for what has to come.
const patience = 30 * time.Second

func TestRunFromRequestToMail(t *testing.T) {
	data := t.TempDir()
	s := start(t, data)
	id := s.post(t, `{"who":"Ada"}`)

	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	status, out, complaint := call(ctx, nil, "tail", "shop", "--data", data, "--from", "start", "-n", "2")
	if status != 0 || !strings.Contains(out, `shop.Sold/v2 key=`+id+` flow=`+id+` {"id":"`+id+`","who":"Ada"}`) || !strings.Contains(out, "shop.Told/v1") {
		t.Errorf("tail: %d %s %s", status, out, complaint)
	}
	answer, err := http.Get("http://" + s.Console + "/email")
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	if mail, _ := io.ReadAll(answer.Body); !strings.Contains(string(mail), `"subject":"thanks, Ada"`) {
		t.Errorf("mail: %s", mail)
	}
	for _, want := range []string{"troupe runs seller, teller", s.Brokers[0], s.API, s.Console, s.SMTP, "curl -i http://" + s.API + "/sales"} {
		if !strings.Contains(s.banner, want) {
			t.Errorf("the banner lacks %q: %s", want, s.banner)
		}
	}
	if status, out, _ := call(ctx, nil, "health", "--data", data); status != 0 || out != "ready\n" {
		t.Errorf("health: %d %s", status, out)
	}
	if status := s.stop(); status != 0 {
		t.Errorf("ended with %d: %s", status, s.log)
	}
	if _, err := os.Stat(runningPath(data)); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("running.json is still there: %v", err)
	}
}

func TestSendAndTail(t *testing.T) {
	data := t.TempDir()
	start(t, data)
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	status, out, complaint := call(ctx, nil, "send", "Told", "--data", data, "--json", `{"id":"t-1"}`)
	if status != 0 || !strings.HasPrefix(out, "event ") || !strings.Contains(out, "\nflow  ") {
		t.Fatalf("send: %d %s %s", status, out, complaint)
	}
	flow := strings.TrimSpace(strings.Split(out, "flow")[1])
	status, out, complaint = call(ctx, nil, "tail", "shop", "--data", data, "--from", "start", "-n", "1", "--json")
	for _, want := range []string{`"type":"shop.Told/v1"`, `"flow":"` + flow + `"`, `"event":{"id":"t-1"}`, `"ce_source":"/cli"`, `"key":"t-1"`} {
		if !strings.Contains(out, want) {
			t.Errorf("tail: %d %s %s\nwant %s", status, out, complaint, want)
		}
	}
	if status, _, complaint := call(ctx, nil, "send", "Told", "--data", data, "--json", "-"); status != 0 {
		t.Errorf("send from standard input: %s", complaint)
	}
	status, _, complaint = call(ctx, nil, "tail", "nothing", "--data", data)
	if want := "troupe: there is no topic \"nothing\"; there are dlq.teller.shop, shop, troupe.services\n"; status != 1 || complaint != want {
		t.Errorf("tail of a topic that is not there: %d %s\nwant %s", status, complaint, want)
	}
}

func TestTailEndsWhenInterrupted(t *testing.T) {
	data := t.TempDir()
	start(t, data)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan int, 1)
	go func() {
		status, _, _ := call(ctx, nil, "tail", "shop", "--data", data)
		ended <- status
	}()
	cancel()
	if status := <-ended; status != 0 {
		t.Errorf("ended with %d", status)
	}
}

func TestDemoSendsRequests(t *testing.T) {
	data := t.TempDir()
	start(t, data, "--demo", "100")
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	if status, out, complaint := call(ctx, nil, "tail", "shop", "--data", data, "--from", "start", "-n", "5"); status != 0 || !strings.Contains(out, "Customer") {
		t.Errorf("tail: %d %s %s", status, out, complaint)
	}
}

func TestServicesInProcessesOfTheirOwnShareABrokerAndAFolder(t *testing.T) {
	broker := start(t, t.TempDir())
	data := t.TempDir()
	launched := func(service string) *started {
		return launch(t, shop(), service, "--brokers", broker.Brokers[0], "--data", data)
	}
	first := launched("seller")
	was, err := findRunning(data)
	if err != nil {
		t.Fatalf("%v: %s", err, first.log)
	}
	second := launched("teller")
	if !strings.HasPrefix(second.banner, "troupe runs teller\n") {
		t.Fatalf("ended with %d: %s", second.stop(), second.log)
	}
	if is, err := findRunning(data); err != nil || is.Console != was.Console || is.API != was.API {
		t.Errorf("running.json is of the second: %+v, %v", is, err)
	}
	if status := second.stop(); status != 0 {
		t.Errorf("the second ended with %d: %s", status, second.log)
	}
	if _, err := findRunning(data); err != nil {
		t.Errorf("the second took the first's running.json: %v", err)
	}
}

func TestTopicPrefix(t *testing.T) {
	data := t.TempDir()
	s := start(t, data, "--topic-prefix", "eu-")
	id := s.post(t, `{"who":"Ada"}`)
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	for _, topic := range []string{"shop", "eu-shop"} {
		status, out, complaint := call(ctx, nil, "tail", topic, "--data", data, "--from", "start", "-n", "2", "--json")
		if status != 0 || strings.Count(out, `"topic":"eu-shop"`) != 2 || strings.Count(out, `"key":"`+id+`"`) != 2 {
			t.Errorf("tail %s: %d %s %s", topic, status, out, complaint)
		}
	}
}

// TestRequestInHandIsAnsweredAndHeard: once the process is to end, a request in
// hand is answered, and services hear until it is.
func TestRequestInHandIsAnsweredAndHeard(t *testing.T) {
	entered, leave := make(chan struct{}), make(chan struct{})
	hold := func(ctx context.Context, in *sale) (receipt, choreo.Events, error) {
		close(entered)
		<-leave
		id := event.From(ctx).ID
		return receipt{id}, choreo.Emit(sold{id, in.Body.Who}), nil
	}
	topology := shop()
	topology[0].Routes = []choreo.Route{web.Post("/sales", hold, choreo.Emits(sold{}))}
	broker := start(t, t.TempDir())
	data := t.TempDir()
	s := launch(t, topology, "--brokers", broker.Brokers[0], "--data", data, "--topic-prefix", "held-")
	found, err := findRunning(data)
	if err != nil {
		t.Fatalf("%v: %s", err, s.log)
	}
	s.running = *found
	var request sync.WaitGroup
	request.Go(func() { s.post(t, `{"who":"Ada"}`) })
	<-entered
	s.end()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	for answers := true; answers && ctx.Err() == nil; { // until the API takes no more requests
		conn, err := net.Dial("tcp", s.API)
		if answers = err == nil; answers {
			_ = conn.Close()
		}
	}
	where := []string{"--brokers", broker.Brokers[0], "--topic-prefix", "held-"}
	if status, _, complaint := call(ctx, nil, append([]string{"send", "Sold", "--json", `{"id":"late"}`}, where...)...); status != 0 {
		t.Errorf("send: %s", complaint)
	}
	status, out, complaint := call(ctx, nil, append([]string{"tail", "shop", "--from", "start", "-n", "2"}, where...)...)
	if status != 0 || !strings.Contains(out, "shop.Told/v1 key=late") {
		t.Errorf("nobody hears any more: %d %s %s", status, out, complaint)
	}
	close(leave)
	request.Wait()
	if status := s.stop(); status != 0 {
		t.Errorf("ended with %d: %s", status, s.log)
	}
}

func TestRequestsWaitUntilServicesHear(t *testing.T) {
	r := (&program{err: io.Discard}).newRun(&config{API: "127.0.0.1:0", Drain: time.Second}, nil, shop())
	if err := r.openAPI(t.Context()); err != nil {
		t.Fatal(err)
	}
	defer func() {
		http.DefaultClient.CloseIdleConnections()
		if err := r.close(); err != nil {
			t.Error(err)
		}
	}()
	ask := func(want int) {
		t.Helper()
		answer, err := http.Get("http://" + r.about.API + web.PathOpenAPI + ".json")
		if err != nil {
			t.Fatal(err)
		}
		defer answer.Body.Close()
		if answer.StatusCode != want {
			t.Errorf("got %s, want %d", answer.Status, want)
		}
	}
	ask(http.StatusServiceUnavailable)
	r.state.start()
	ask(http.StatusOK)
}

func TestRuntimeThatFails(t *testing.T) {
	broker, err := embedded.Start(embedded.Config{Listen: "127.0.0.1:0"})
	if err != nil {
		t.Fatal(err)
	}
	defer broker.Close()
	client, err := kafka.New(kafka.Config{Brokers: []string{broker.Addr()}})
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	if err := client.Provision(t.Context(), []kafka.TopicConfig{{Name: "shop", Partitions: 1}}); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	status, _, complaint := call(ctx, nil, "run", "--brokers", broker.Addr(), "--data", t.TempDir(), "--api", "127.0.0.1:0", "--console", "127.0.0.1:0")
	if status != 1 || !strings.HasPrefix(complaint, "troupe: topics: topic shop has 1 partitions, domain.yaml says 2") {
		t.Errorf("got %d %s", status, complaint)
	}
}

func TestRuntimeThatFailsLater(t *testing.T) {
	banner := make(firstWrite, 1)
	c := &config{}
	err := c.fill(map[string]string{
		"TROUPE_DATA": t.TempDir(), "TROUPE_EMBEDDED": "127.0.0.1:0", "TROUPE_API": "127.0.0.1:0", "TROUPE_CONSOLE": "127.0.0.1:0",
	})
	if err != nil {
		t.Fatal(err)
	}
	r := (&program{topology: shop(), out: banner, err: io.Discard}).newRun(c, map[string]string{}, shop())
	ended := make(chan error, 1)
	go func() { ended <- r.run(t.Context()) }()
	<-banner
	lost := errors.New("the group refuses the service")
	r.failed <- lost
	if err := <-ended; !errors.Is(err, lost) {
		t.Errorf("got %v", err)
	}
}

func TestPartitionThatCannotBeRead(t *testing.T) {
	broker, err := embedded.Start(embedded.Config{Listen: "127.0.0.1:0"})
	if err != nil {
		t.Fatal(err)
	}
	defer broker.Close()
	client, err := kafka.New(kafka.Config{Brokers: []string{broker.Addr()}})
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	if err := client.Provision(t.Context(), []kafka.TopicConfig{{Name: "shop", Partitions: 2}}); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	if err := client.Join(ctx, kafka.GroupConfig{ID: "teller", Topics: []string{"shop"}}, &astray{t: t, done: cancel}); err != nil {
		t.Fatal(err)
	}
	data := t.TempDir()
	s := launch(t, shop(), "--brokers", broker.Addr(), "--data", data)
	ctx, cancel = context.WithTimeout(t.Context(), patience)
	defer cancel()
	complaint := ""
	for status := 0; status == 0 && ctx.Err() == nil; {
		status, _, complaint = call(ctx, nil, "health", "--data", data)
	}
	if want := "troupe: not ready: teller cannot read partition 1 of shop: "; !strings.HasPrefix(complaint, want) {
		t.Errorf("health: %s\nwant %s; %s", complaint, want, s.log)
	}
}

// astray is a member that commits an offset which its partition has not reached.
type astray struct {
	t    *testing.T
	done func()
}

func (a *astray) Assigned(s *kafka.Session, _ []kafka.Assignment) {
	defer a.done()
	err := s.Commit(a.t.Context(), map[kafka.TopicPartition]kafka.Offset{{Topic: "shop", Partition: 0}: {}, {Topic: "shop", Partition: 1}: {At: 99}})
	if err != nil {
		a.t.Error(err)
	}
}

func (a *astray) Revoked(context.Context, *kafka.Session, []kafka.TopicPartition) {}

func (a *astray) Lost([]kafka.TopicPartition) {}

func TestClosingHasOneDeadline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := &run{config: &config{Drain: time.Second}, state: newState()}
		slow := func(ctx context.Context) error {
			<-ctx.Done()
			return ctx.Err()
		}
		closed := false
		r.onClose("the first", func(context.Context) error { closed = true; return nil })
		r.onClose("the second", slow)
		r.onClose("the third", slow)
		began := time.Now()
		err := r.close()
		if took := time.Since(began); took != r.config.closeTime() || !closed {
			t.Errorf("took %v, want %v; closed the first: %t", took, r.config.closeTime(), closed)
		}
		if err == nil || !strings.Contains(err.Error(), "closing the third") || !strings.Contains(err.Error(), "closing the second") {
			t.Errorf("got %v", err)
		}
	})
}

func TestClosingDoesNotWaitForABrokerThatIsAway(t *testing.T) {
	broker, err := embedded.Start(embedded.Config{Listen: "127.0.0.1:0"})
	if err != nil {
		t.Fatal(err)
	}
	r := &run{config: &config{Brokers: []string{broker.Addr()}}, log: slog.New(slog.DiscardHandler)}
	if err := r.openBroker(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := broker.Close(); err != nil {
		t.Fatal(err)
	}
	refused := make(chan error, 1)
	r.producer.Send(context.Background(), []kafka.Record{{Topic: "shop"}}, func(err error) { refused <- err })
	ctx, cancel := context.WithCancel(t.Context())
	cancel() // the deadline for closing has passed
	for _, c := range slices.Backward(r.closers) {
		if err := c.close(ctx); c.what == "the producer" && err == nil {
			t.Error("nobody hears that a record was lost")
		}
	}
	if <-refused == nil {
		t.Error("the record was taken")
	}
}

func TestRequestThatWaitsForABrokerIsAnsweredBeforeTheEnd(t *testing.T) {
	broker, err := embedded.Start(embedded.Config{Listen: "127.0.0.1:0"})
	if err != nil {
		t.Fatal(err)
	}
	entered := make(chan struct{})
	sell := func(ctx context.Context, in *sale) (receipt, choreo.Events, error) {
		close(entered)
		return receipt{}, choreo.Emit(sold{event.From(ctx).ID, in.Body.Who}), nil
	}
	services := choreo.Topology{{Name: "seller", Routes: []choreo.Route{web.Post("/sales", sell, choreo.Emits(sold{}))}}}
	c := &config{Brokers: []string{broker.Addr()}, API: "127.0.0.1:0", Drain: 2 * time.Second}
	r := (&program{err: io.Discard}).newRun(c, nil, services)
	if err := errors.Join(r.openBroker(t.Context()), r.openAPI(t.Context()), broker.Close()); err != nil {
		t.Fatal(err)
	}
	r.state.start()
	status := make(chan int, 1)
	go func() {
		defer http.DefaultClient.CloseIdleConnections()
		answer, err := http.Post("http://"+r.about.API+"/sales", "application/json", strings.NewReader(`{"who":"Ada"}`))
		if err != nil {
			t.Error(err)
			status <- 0
			return
		}
		defer answer.Body.Close()
		status <- answer.StatusCode
	}()
	<-entered
	if err := r.close(); err != nil {
		t.Error(err)
	}
	if got := <-status; got != http.StatusServiceUnavailable {
		t.Errorf("answered %d", got)
	}
}

func TestClosingLeavesHandlersTheirTime(t *testing.T) {
	entered := make(chan struct{})
	hang := func(ctx context.Context, _ *sale) (receipt, choreo.Events, error) {
		close(entered)
		<-ctx.Done()
		return receipt{}, nil, ctx.Err()
	}
	services := choreo.Topology{{Name: "seller", Routes: []choreo.Route{web.Post("/sales", hang)}}}
	r := (&program{err: io.Discard}).newRun(&config{API: "127.0.0.1:0", Drain: 10 * time.Millisecond}, nil, services)
	if err := r.openAPI(t.Context()); err != nil {
		t.Fatal(err)
	}
	r.state.start()
	ended := make(chan error, 1)
	go func() {
		answer, err := http.Post("http://"+r.about.API+"/sales", "application/json", strings.NewReader(`{"who":"Ada"}`))
		if err == nil {
			answer.Body.Close()
		}
		ended <- err
	}()
	<-entered
	began := time.Now()
	if err := r.close(); !errors.Is(err, context.DeadlineExceeded) || time.Since(began) > closingMargin {
		t.Errorf("after %v: %v", time.Since(began), err)
	}
	if <-ended == nil {
		t.Error("a request that takes too long was answered")
	}
}

func TestBrokerThatGoesAway(t *testing.T) {
	broker, err := embedded.Start(embedded.Config{Listen: "127.0.0.1:0"})
	if err != nil {
		t.Fatal(err)
	}
	data := t.TempDir()
	s := launch(t, shop(), "--brokers", broker.Addr(), "--data", data)
	if status, out, complaint := call(t.Context(), nil, "health", "--data", data); status != 0 {
		t.Fatalf("health: %d %s %s; %s", status, out, complaint, s.log)
	}
	if err := broker.Close(); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	complaint := ""
	for status := 0; status == 0 && ctx.Err() == nil; {
		status, _, complaint = call(ctx, nil, "health", "--data", data)
	}
	if want := "troupe: not ready: Kafka cannot be reached"; !strings.HasPrefix(complaint, want) {
		t.Errorf("health: %s\nwant %s", complaint, want)
	}
	began := time.Now()
	c := config{Drain: runtime.DefaultDrain}
	if status := s.stop(); status != 0 || time.Since(began) > c.closeTime() {
		t.Errorf("ended with %d after %v: %s", status, time.Since(began), s.log)
	}
}

func TestRunThatCannotStart(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	running := t.TempDir()
	start(t, running)
	free := []string{"--embedded", "127.0.0.1:0", "--api", "127.0.0.1:0", "--console", "127.0.0.1:0"}
	tests := []struct {
		name string
		env  map[string]string
		args []string
		want string // the complaint's beginning
	}{
		{"the API's port is in use", nil, append(free, "--api", taken.Addr().String()), "troupe: API (--api): " + taken.Addr().String() + " is in use by another process\n"},
		{"the console's port is in use", nil, append(free, "--console", taken.Addr().String()), "troupe: console (--console): " + taken.Addr().String() + " is in use by another process\n"},
		{"the broker's port is in use", nil, append(free, "--embedded", taken.Addr().String()), "troupe: embedded broker: " + taken.Addr().String() + " is in use"},
		{"another runs on the data folder", nil, append(free, "--data", running), "troupe: another troupe runs on the data folder"},
		{"no broker answers", nil, append(free, "--brokers", "127.0.0.1:1"), "troupe: cannot reach Kafka at 127.0.0.1:1"},
		{"a broker that is no address", nil, append(free, "--brokers", "kafka"), "troupe: --brokers (TROUPE_BROKERS): \"kafka\" is not of the form host:port\n"},
		{"a flag that does not fit", nil, append(free, "--drain", "soon"), "troupe: --drain (TROUPE_DRAIN): \"soon\" is no duration, such as 5s or 500ms\n"},
		{"a variable that does not fit", map[string]string{"TROUPE_DEMO": "many"}, free, "troupe: --demo (TROUPE_DEMO): \"many\" is no number\n"},
		{"a service's variable that does not fit", map[string]string{"TELLER_WAIT": "long"}, free, "troupe: teller: TELLER_WAIT does not fit time.Duration"},
		{"a service that refuses to start", map[string]string{"TELLER_WAIT": "1h"}, free, "troupe: teller: TELLER_WAIT: nobody waits so long\n"},
		{"an unknown service", nil, append(free, "buyer"), "troupe: there is no service \"buyer\"; there are [seller teller]\n"},
		{"an unknown flag", nil, append(free, "--nope"), "troupe: unknown flag: --nope\n"},
		{"a data folder that is a file", nil, append(free, "--data", "run_test.go"), "troupe: the data folder cannot be used (--data): mkdir run_test.go"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), patience)
			defer cancel()
			args := append([]string{"run", "--data", t.TempDir()}, test.args...)
			status, out, complaint := call(ctx, test.env, args...)
			if status != 1 || out != "" || !strings.HasPrefix(complaint, test.want) {
				t.Errorf("got %d %s\n%s\nwant %s", status, out, complaint, test.want)
			}
			if lines := strings.Count(complaint, "\n"); lines != 1 {
				t.Errorf("complains in %d lines: %s", lines, complaint)
			}
		})
	}
}

// TestStaleFileOfAnEndedRun: its process id may be anybody's by now.
func TestStaleFileOfAnEndedRun(t *testing.T) {
	data := t.TempDir()
	gone := running{PID: os.Getpid(), Brokers: []string{"127.0.0.1:1"}}
	if err := gone.write(data); err != nil {
		t.Fatal(err)
	}
	status, _, complaint := call(t.Context(), nil, "tail", "shop", "--data", data)
	if status != 1 || !strings.Contains(complaint, "no troupe runs here") || !strings.Contains(complaint, "which has ended") {
		t.Errorf("got %d %s", status, complaint)
	}
	r := &run{config: &config{Data: data}}
	if err := r.openData(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := findRunning(data); err == nil || !strings.Contains(err.Error(), "there is no") {
		t.Errorf("a run that starts left the file: %v", err)
	}
	if err := r.closers[0].close(t.Context()); err != nil {
		t.Fatal(err)
	}
	if locked(data) {
		t.Error("the lock is held on")
	}
}

func TestLockThatSomebodyLooksAt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		data := t.TempDir()
		look, err := os.Create(lockPath(data))
		if err != nil {
			t.Fatal(err)
		}
		if free, err := tryLock(look, syscall.LOCK_SH); !free {
			t.Fatal(err)
		}
		time.AfterFunc(lockPause, func() { _ = look.Close() })
		r := &run{config: &config{Data: data}}
		if err := r.openData(t.Context()); err != nil {
			t.Fatal(err)
		}
		if !locked(data) {
			t.Error("the lock is free")
		}
		if err := r.closers[0].close(t.Context()); err != nil {
			t.Error(err)
		}
	})
}
