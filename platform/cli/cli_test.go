package cli

import (
	"context"
	"encoding/json"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/troupedev/troupe/platform/choreo"
	"github.com/troupedev/troupe/platform/contract"
	"github.com/troupedev/troupe/platform/event"
	"github.com/troupedev/troupe/platform/kafka"
	"github.com/troupedev/troupe/platform/runtime"
)

func TestCommandsThatNeedNoBroker(t *testing.T) {
	nobody := t.TempDir()
	tests := []struct {
		name   string
		args   []string
		status int
		want   string // on standard output, or on standard error where the status is 1
	}{
		{"nothing", nil, 0, "Available Commands:"},
		{"an unknown command", []string{"runn"}, 1, `unknown command "runn" for "troupe"`},
		{"topology", []string{"topology"}, 0, "shop.Sold/v2  -> shop.Told/v1"},
		{"topology in Mermaid", []string{"topology", "--format", "mermaid"}, 0, "flowchart LR"},
		{"topology in DOT", []string{"topology", "--format", "dot"}, 0, "digraph troupe"},
		{"topology in JSON", []string{"topology", "--json"}, 0, `"hears": "shop.Sold/v2"`},
		{"topology otherwise", []string{"topology", "--format", "svg"}, 1, `"svg" is neither text, mermaid, dot nor json`},
		{"settings", []string{"settings"}, 0, "TELLER_WAIT"},
		{"settings in JSON", []string{"settings", "--json"}, 0, `"variable": "TROUPE_BROKERS"`},
		{"settings in Markdown", []string{"settings", "--markdown"}, 0, "| `--api` | `TROUPE_API` | `127.0.0.1:8000` |"},
		{"version", []string{"version"}, 0, "troupe "},
		{"version in JSON", []string{"version", "--json"}, 0, `"go": "go1.`},
		{"tail without a topic", []string{"tail"}, 1, "tail takes one TOPIC, not 0; see troupe tail --help"},
		{"tail where nothing runs", []string{"tail", "shop", "--data", nobody}, 1, "start one by `troupe run`, name its folder by --data, or the brokers by --brokers"},
		{"tail from the middle", []string{"tail", "shop", "--from", "middle"}, 1, `"middle" is neither start nor end`},
		{"tail of fewer than none", []string{"tail", "shop", "-n", "-1"}, 1, "-n: -1 is below 0"},
		{"tail where no broker answers", []string{"tail", "shop", "--brokers", "127.0.0.1:1"}, 1, "cannot reach Kafka at 127.0.0.1:1"},
		{"send where nothing runs", []string{"send", "Sold", "--json", `{"id":"a"}`, "--data", nobody}, 1, "no troupe runs here"},
		{"send without a body", []string{"send", "Sold"}, 1, `required flag(s) "json" not set`},
		{"send of an unknown event", []string{"send", "Bought", "--json", "{}"}, 1, `there is no event "Bought"; there are shop.Sold, shop.Told`},
		{"send of an unknown version", []string{"send", "shop.Sold/v3", "--json", "{}"}, 1, `there is no event "shop.Sold/v3"`},
		{"send without a field", []string{"send", "Sold", "--json", "{}"}, 1, "field id: is missing"},
		{"send of an unknown field", []string{"send", "Sold", "--json", `{"id":"a","x":1}`}, 1, "x"},
		{"send of no JSON", []string{"send", "Sold", "--json", `{`}, 1, "shop.Sold/v2"},
		{"health where nothing runs", []string{"health", "--console", "127.0.0.1:1"}, 1, "no troupe answers at 127.0.0.1:1"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			status, out, complaint := call(t.Context(), nil, test.args...)
			got := out
			if test.status == 1 {
				got = complaint
			}
			if status != test.status || !strings.Contains(got, test.want) {
				t.Errorf("got %d %s\n%s\nwant %d with %s", status, out, complaint, test.status, test.want)
			}
			if strings.Contains(complaint, "Usage:") {
				t.Errorf("an error comes with a page: %s", complaint)
			}
		})
	}
}

func TestEverySettingIsAFlagAndAVariable(t *testing.T) {
	cmd := (&program{topology: shop()}).runCommand()
	for _, s := range (&program{topology: shop()}).settings() {
		if s.Flag == "" {
			continue
		}
		f := cmd.Flags().Lookup(strings.TrimPrefix(s.Flag, "--"))
		if f == nil || f.DefValue != s.Default || !strings.Contains(f.Usage, s.Variable) {
			t.Errorf("%s has the flag %+v", s.Variable, f)
		}
	}
}

func TestFlagsGoOverVariables(t *testing.T) {
	p := &program{environ: map[string]string{"TROUPE_API": "127.0.0.1:1", "TROUPE_CONSOLE": "127.0.0.1:2", "TROUPE_BROKERS": "a:1, b:2"}}
	cmd := p.runCommand()
	if err := cmd.ParseFlags([]string{"--api", "127.0.0.1:3"}); err != nil {
		t.Fatal(err)
	}
	c, environ, err := p.configure(cmd)
	if err != nil {
		t.Fatal(err)
	}
	if c.API != "127.0.0.1:3" || c.Console != "127.0.0.1:2" || c.Embedded != "127.0.0.1:9092" || strings.Join(c.Brokers, "|") != "a:1|b:2" {
		t.Errorf("got %+v", c)
	}
	if environ["TROUPE_API"] != "127.0.0.1:3" || p.environ["TROUPE_API"] != "127.0.0.1:1" {
		t.Errorf("services are given %s", environ["TROUPE_API"])
	}
}

func TestEverySettingThatIsWrongIsSaidAtOnce(t *testing.T) {
	status, _, complaint := call(t.Context(), nil, "run", "--api", "x", "--console", "y", "--embedded", "z", "--brokers", "b",
		"--demo", "-1", "--drain", "1h", "--concurrency", "0", "--log-format", "xml", "--database", "mysql://me:secret@host", "--database-connections", "1", "--keep-inbox", "1s")
	if status != 1 || strings.Count(complaint, "\n") != 11 || strings.Contains(complaint, "secret") {
		t.Errorf("got %d %s", status, complaint)
	}
	for line := range strings.Lines(complaint) {
		if !strings.HasPrefix(line, "troupe: --") {
			t.Errorf("got %s", line)
		}
	}
}

func TestWhatDoesNotFitIsSaidBesideTheOtherFaults(t *testing.T) {
	status, _, complaint := call(t.Context(), map[string]string{"TROUPE_API": "nonsense", "TROUPE_DRAIN": "x", "TROUPE_CONCURRENCY": "0"}, "run", "--log-level", "loud")
	want := `troupe: --drain (TROUPE_DRAIN): "x" is no duration, such as 5s or 500ms
troupe: --log-level (TROUPE_LOG_LEVEL): "loud" is no level: debug, info, warn or error
troupe: --api (TROUPE_API): "nonsense" is not of the form host:port
troupe: --concurrency (TROUPE_CONCURRENCY): 0 is not from 1 to 10,000
`
	if status != 1 || complaint != want {
		t.Errorf("got %d %s\nwant %s", status, complaint, want)
	}
}

func TestDrainIsTheRuntimes(t *testing.T) {
	c := config{}
	if err := c.fill(nil); err != nil || c.Drain != runtime.DefaultDrain {
		t.Errorf("the default is %v, the runtime's %v; %v", c.Drain, runtime.DefaultDrain, err)
	}
	for drain, fits := range map[time.Duration]bool{0: false, time.Millisecond: true, runtime.MaxDrain: true, runtime.MaxDrain + 1: false} {
		c.Drain = drain
		if err := c.validate(); (err == nil) != fits {
			t.Errorf("%v: %v", drain, err)
		}
	}
	for _, s := range choreo.Settings(platform(&config{})) {
		if s.Variable == "TROUPE_DRAIN" && !strings.HasSuffix(s.Doc, "at most "+runtime.MaxDrain.String()) {
			t.Errorf("the bound is %v, and not said: %s", runtime.MaxDrain, s.Doc)
		}
	}
}

// TestComposeWaitsUntilARunHasClosed: what is killed before has its work done again.
func TestComposeWaitsUntilARunHasClosed(t *testing.T) {
	text, err := os.ReadFile("../../compose.yaml")
	if err != nil {
		t.Fatal(err)
	}
	found := regexp.MustCompile(`stop_grace_period: (\S+)`).FindAllSubmatch(text, -1)
	if len(found) == 0 {
		t.Fatal("compose.yaml has no stop_grace_period")
	}
	longest := config{Drain: runtime.MaxDrain}
	for _, f := range found {
		if grace, err := time.ParseDuration(string(f[1])); err != nil || grace <= longest.closeTime() {
			t.Errorf("stop_grace_period is %s, closing may take %v; %v", f[1], longest.closeTime(), err)
		}
	}
}

func TestDurationsInLogsAreText(t *testing.T) {
	for format, want := range map[string]string{"json": `"again":"351ms","in":{"wait":"12µs"}`, "text": "again=351ms in.wait=12µs"} {
		var out strings.Builder
		log := (&config{LogFormat: format}).logger(&out)
		log.Info("retry", "again", 351851970*time.Nanosecond, slog.Group("in", "wait", 12*time.Microsecond))
		if !strings.Contains(out.String(), want) {
			t.Errorf("%s: got %s", format, out.String())
		}
	}
}

func TestMisspeltVariablesAreNoticed(t *testing.T) {
	p := &program{topology: shop(), environ: map[string]string{
		"TROUPE_BROKER": "a:1", "TROUPE_API": "a:1", "TELLER_WAIT": "1s", "TROUPE_TEST_BROKER": "container", "HOME": "/",
	}}
	if got := p.strangers(); len(got) != 1 || got[0] != "TROUPE_BROKER" {
		t.Errorf("got %v", got)
	}
}

func TestTopologyIsWrittenToAFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "topology.json")
	if status, out, complaint := call(t.Context(), nil, "topology", "--format", "json", "--output", path); status != 0 || out != "" {
		t.Fatalf("got %d %s %s", status, out, complaint)
	}
	text, err := os.ReadFile(path)
	if err != nil || !json.Valid(text) {
		t.Errorf("%v: %s", err, text)
	}
}

func TestHealthOfSomethingElse(t *testing.T) {
	tests := []struct {
		name, answer string
		status       int
		want         string
	}{
		{"not ready", `{"ready":false,"waiting":["the broker","the tide"]}`, 503, "not ready: the broker; the tide"},
		{"no troupe", "<html>", 200, "is no troupe (200 OK)"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			addr := answering(t, test.status, test.answer)
			status, _, complaint := call(t.Context(), nil, "health", "--console", addr)
			if status != 1 || !strings.Contains(complaint, test.want) {
				t.Errorf("got %d %s", status, complaint)
			}
		})
	}
}

// answering is the address of a server that gives every request one answer.
func answering(t *testing.T, status int, body string) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(status)
		_, _ = w.Write([]byte(body))
	})}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = server.Serve(listener) // ends by Shutdown alone
	}()
	t.Cleanup(func() {
		http.DefaultClient.CloseIdleConnections()
		_ = server.Shutdown(context.Background())
		<-ended
	})
	return listener.Addr().String()
}

func TestReachable(t *testing.T) {
	for listen, dial := range map[string]string{
		"0.0.0.0:80": "127.0.0.1:80", "[::]:80": "127.0.0.1:80", ":80": "127.0.0.1:80",
		"10.0.0.1:80": "10.0.0.1:80", "[::1]:80": "[::1]:80", "host:80": "host:80",
	} {
		if got := reachable(listen); got != dial {
			t.Errorf("%s: got %s, want %s", listen, got, dial)
		}
	}
}

func TestLinesOfTail(t *testing.T) {
	at := time.Date(2026, 11, 21, 12, 0, 0, 0, time.Local)
	good, err := contract.Append(nil, sold{"s-1", "Ada \u009b31m"})
	if err != nil {
		t.Fatal(err)
	}
	header := func(key, value string) kafka.Header { return kafka.Header{Key: key, Value: []byte(value)} }
	tests := []struct {
		name   string
		record kafka.Record
		want   string
	}{
		{"an event", kafka.Record{Key: []byte("s-1"), Value: good, Headers: []kafka.Header{header("ce_id", "e-1"), header("ce_correlationid", "f-1")}},
			`12:00:00.000 1@7 shop.Sold/v2 key=s-1 flow=f-1 {"id":"s-1","who":"Ada ` + "\uFFFD" + `31m"}`},
		{"a dead letter", kafka.Record{Value: good, Headers: []kafka.Header{header("troupe_dlq_cause", "attempts"), header("troupe_dlq_error", "no\nluck")}},
			`12:00:00.000 1@7 shop.Sold/v2 dead=attempts: "no\nluck" {"id":"s-1","who":"Ada ` + "\uFFFD" + `31m"}`},
		{"a tombstone", kafka.Record{Key: []byte("s-1")}, "12:00:00.000 1@7 key=s-1 (tombstone)"},
		{"a key that would move the cursor", kafka.Record{Key: []byte("\x1b[2J")}, `12:00:00.000 1@7 key="\x1b[2J" (tombstone)`},
		{"an empty value", kafka.Record{Value: []byte{}}, "bytes)"},
		{"something else", kafka.Record{Value: []byte(`{"a":1}`)}, "7 bytes)"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			var out strings.Builder
			p := printer{out: &out, types: contract.NewIndex((&program{topology: shop()}).types()...)}
			test.record.Partition, test.record.Offset, test.record.Time = 1, 7, at
			if err := p.print(&test.record); err != nil {
				t.Fatal(err)
			}
			if got := strings.TrimSuffix(out.String(), "\n"); !strings.HasSuffix(got, test.want) {
				t.Errorf("got  %s\nwant %s", got, test.want)
			}
			p.json = true
			out.Reset()
			if err := p.print(&test.record); err != nil || !json.Valid([]byte(out.String())) {
				t.Errorf("%v: %s", err, out.String())
			}
		})
	}
}

func TestNewestVersionIsSent(t *testing.T) {
	p := &program{topology: shop()}
	for name, want := range map[string]string{
		"Sold": "shop.Sold/v2", "shop.Sold": "shop.Sold/v2", "shop.Sold/v1": "shop.Sold/v1", "shop.Sold/v2": "shop.Sold/v2",
	} {
		if got, err := p.findType(name); err != nil || got.String() != want {
			t.Errorf("%s: got %v, %v", name, got, err)
		}
	}
	m, err := sentMessage(typesSold[1], []byte(`{"id":"a"}`), true, origin{source: sourceCLI}, nil, time.Now())
	if err != nil || m.Key != nil || m.ID == "" || slices.ContainsFunc(m.Headers, func(h event.Header) bool { return h.Key == event.HeaderSubject }) {
		t.Errorf("without a key: %+v, %v", m, err)
	}
}
