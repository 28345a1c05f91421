package cli

import (
	"context"
	"errors"
	"io/fs"
	"net"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"io"
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
	if status, _, complaint := call(ctx, nil, "tail", "nothing", "--data", data); status != 1 || !strings.Contains(complaint, "nothing") {
		t.Errorf("tail of a topic that is not there: %d %s", status, complaint)
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

func TestOneServiceAlone(t *testing.T) {
	data := t.TempDir()
	broker := start(t, data)
	other := t.TempDir()
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan int, 1)
	go func() {
		status, _, complaint := call(ctx, nil, "run", "teller", "--brokers", broker.Brokers[0], "--data", other, "--api", "127.0.0.1:0", "--console", "127.0.0.1:0")
		if status != 0 {
			t.Error(complaint)
		}
		ended <- status
	}()
	deadline, stop := context.WithTimeout(t.Context(), patience)
	defer stop()
	for deadline.Err() == nil { // it joins the group that the other process is in already
		if status, _, _ := call(deadline, nil, "health", "--data", other); status == 0 {
			break
		}
	}
	if deadline.Err() != nil {
		t.Error("it is not ready")
	}
	cancel()
	<-ended
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
		{"a flag that does not fit", nil, append(free, "--drain", "soon"), "troupe: TROUPE_DRAIN does not fit time.Duration"},
		{"a variable that does not fit", map[string]string{"TROUPE_DEMO": "many"}, free, "troupe: TROUPE_DEMO does not fit float64"},
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

func TestStaleFileOfAnEndedRun(t *testing.T) {
	data := t.TempDir()
	gone := running{PID: 1 << 30, Brokers: []string{"127.0.0.1:1"}}
	if err := gone.write(data); err != nil {
		t.Fatal(err)
	}
	status, _, complaint := call(t.Context(), nil, "tail", "shop", "--data", data)
	if status != 1 || !strings.Contains(complaint, "no troupe runs here") || !strings.Contains(complaint, "which has ended") {
		t.Errorf("got %d %s", status, complaint)
	}
	if s := start(t, data); s.PID != os.Getpid() {
		t.Errorf("a new run left the file of %d", s.PID)
	}
}
