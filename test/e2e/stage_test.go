package e2e

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/troupedev/troupe/platform/kafka/kafkatest"
	"github.com/troupedev/troupe/test/rig"
)

// binary is the command under test. TestMain sets it.
var binary string

func TestMain(m *testing.M) {
	code, err := run(m)
	if err != nil {
		fmt.Fprintln(os.Stderr, "end-to-end tests:", err)
		code = 1
	}
	os.Exit(code)
}

func run(m *testing.M) (code int, err error) {
	folder, err := os.MkdirTemp("", "troupe-e2e-")
	if err != nil {
		return 1, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(folder)) }()
	ctx := context.Background()
	if binary, err = rig.Build(ctx, folder); err != nil {
		return 1, err
	}
	return m.Run(), nil
}

// services are all of them, in the order in which they start. The first shares
// its process with the broker where that is the embedded one.
var services = []string{"shipping", "orders", "payments", "inventory", "notifications"}

// stage is a broker, every service in a process of its own, a mail server, and
// a reader of all topics.
type stage struct {
	*testing.T
	broker    broker
	brokers   string // its address
	processes map[string]*rig.Process
	mail      *rig.MailServer
	log       *rig.Log
	schemas   *rig.Schemas
}

func newStage(t *testing.T) *stage {
	t.Helper()
	ctx := within(t, 2*time.Minute)
	s := &stage{T: t, processes: map[string]*rig.Process{}, schemas: loadSchemas(t)}
	var err error
	if s.mail, err = rig.NewMailServer(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.mail.Down() })
	s.startBroker(ctx)
	for _, name := range services {
		if s.processes[name] == nil {
			s.processes[name] = s.prepare(name, name, "--brokers", s.brokers)
		}
	}
	var g errgroup.Group
	for _, p := range s.processes {
		if !p.Running() {
			g.Go(func() error { return p.Start(ctx) })
		}
	}
	if err := g.Wait(); err != nil {
		t.Fatal(err)
	}
	if s.log, err = rig.Follow(s.brokers, s.schemas); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.log.Close)
	return s
}

// broker can go away and come back at its address, with what it held.
type broker interface {
	Stop(testing.TB) // in order
	Kill(testing.TB) // at once, as by SIGKILL
	Start(testing.TB)
}

// startBroker starts Kafka in a container, or else a process with the embedded
// broker and the first of the services.
func (s *stage) startBroker(ctx context.Context) {
	s.Helper()
	if kafkatest.Preferred() == kafkatest.Container {
		server := kafkatest.NewOf(s, kafkatest.Container)
		s.broker, s.brokers = server, server.Addr
		return
	}
	addr, err := rig.FreeAddr()
	if err != nil {
		s.Fatal(err)
	}
	host := services[0]
	p := s.prepare(host, host, "--embedded", addr)
	s.processes[host] = p
	s.broker, s.brokers = embedded{p}, addr
	if err := p.Start(ctx); err != nil {
		s.Fatal(err)
	}
}

// embedded is the broker inside a process, which goes away and comes back with it.
type embedded struct{ *rig.Process }

func (e embedded) Stop(t testing.TB) { must(t, e.Process.Stop()) }
func (e embedded) Kill(t testing.TB) { must(t, e.Process.Kill()) }
func (e embedded) Start(t testing.TB) {
	must(t, e.Process.Start(t.Context()))
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// prepare makes a process that is ended with the test, and whose output is
// shown if it fails.
func (s *stage) prepare(name string, args ...string) *rig.Process {
	s.Helper()
	p, err := rig.NewProcess(binary, s.TempDir(), name, append(args, "--smtp", s.mail.URL())...)
	if err != nil {
		s.Fatal(err)
	}
	closeAfter(s.T, p)
	return p
}

func closeAfter(t *testing.T, p *rig.Process) {
	t.Cleanup(func() {
		if err := p.Close(); err != nil {
			t.Error(err)
		}
		if t.Failed() {
			t.Logf("=== output of %s\n%s", p.Name, tail(p.Output(), 60))
		}
	})
}

func tail(text string, lines int) string {
	all := strings.Split(strings.TrimSpace(text), "\n")
	return strings.Join(all[max(0, len(all)-lines):], "\n")
}

func loadSchemas(t *testing.T) *rig.Schemas {
	t.Helper()
	root, err := rig.Root()
	if err != nil {
		t.Fatal(err)
	}
	s, err := rig.LoadSchemas(filepath.Join(root, "schemas"))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// within is the test's context with a deadline.
func within(t *testing.T, d time.Duration) context.Context {
	ctx, cancel := context.WithTimeoutCause(t.Context(), d, fmt.Errorf("not within %v", d))
	t.Cleanup(cancel)
	return ctx
}

// await fails the test unless check returns nil within d.
func await(t *testing.T, d time.Duration, check func(context.Context) error) {
	t.Helper()
	if err := rig.Await(within(t, d), check); err != nil {
		t.Fatal(err)
	}
}

// placed is an order that the API has taken.
type placed struct {
	rig.Placed
	kind rig.Kind
}

// place places n orders of each kind, one after another, at most rate a second.
func (s *stage) place(ctx context.Context, kinds []rig.Kind, n, rate int) []placed {
	s.Helper()
	return s.placeWhile(ctx, kinds, rate, func(placed int) bool { return placed < n*len(kinds) })
}

// placeWhile places orders of each kind in turn, at most rate a second, for as
// long as more says so of the number placed.
func (s *stage) placeWhile(ctx context.Context, kinds []rig.Kind, rate int, more func(placed int) bool) (out []placed) {
	s.Helper()
	tick := time.NewTicker(time.Second / time.Duration(rate))
	defer tick.Stop()
	for more(len(out)) {
		k := kinds[len(out)%len(kinds)]
		p, err := rig.Place(ctx, s.processes["orders"].API, rand.Text(), k.Order)
		if err != nil {
			s.Error(err)
			return out
		}
		out = append(out, placed{p, k})
		<-tick.C
	}
	return out
}

// ended waits until every order has gone the way of its kind and its mail is
// there; once demands that no mail came twice.
func (s *stage) ended(d time.Duration, orders []placed, once bool) {
	s.Helper()
	open := slices.Clone(orders)
	await(s.T, d, func(ctx context.Context) error {
		mails, err := s.mail.Mails(ctx)
		if err != nil {
			return err
		}
		byCause := rig.ByCause(mails)
		var last error
		open = slices.DeleteFunc(open, func(p placed) bool {
			flow := s.log.Flow(p.FlowID)
			err := errors.Join(p.kind.Check(flow), rig.CheckMail(flow, byCause, once))
			if err != nil {
				last = fmt.Errorf("order %s (%s): %w", p.OrderID, p.kind.Name, err)
			}
			return err == nil
		})
		if len(open) > 0 {
			return fmt.Errorf("%d of %d orders have not ended; the last: %w; reader: %v", len(open), len(orders), last, s.log.Err())
		}
		return nil
	})
}

// wellFormed checks the headers of every event that was written, and the order
// in which events of one key lie.
func (s *stage) wellFormed() {
	s.Helper()
	counts, err := rig.Partitions(within(s.T, 10*time.Second), s.brokers)
	if err != nil {
		s.Fatal(err)
	}
	events := s.log.Events()
	for _, e := range events {
		if err := s.schemas.Check(e, s.log.Event(e.Cause()), counts[e.Topic]); err != nil {
			s.Error(err)
		}
	}
	if err := rig.CheckEmits(events); err != nil {
		s.Error(err)
	}
	if err := s.log.CheckOrder(); err != nil {
		s.Error(err)
	}
}

// hearing says which services hear a topic, and which of them hear a type of
// event, by what `troupe topology` prints.
func hearing(t *testing.T, topic, typ string) (ofTopic, ofType []string) {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), binary, "topology", "--format", "json").Output()
	if err != nil {
		t.Fatal(err)
	}
	var view struct {
		Services []struct {
			Name      string
			Reactions []struct{ Hears string }
		}
	}
	if err := json.Unmarshal(out, &view); err != nil {
		t.Fatal(err)
	}
	for _, s := range view.Services {
		for _, r := range s.Reactions {
			if domain, _, _ := strings.Cut(r.Hears, "."); domain == topic && !slices.Contains(ofTopic, s.Name) {
				ofTopic = append(ofTopic, s.Name)
			}
			if full, _, _ := strings.Cut(r.Hears, "/"); full == typ && !slices.Contains(ofType, s.Name) {
				ofType = append(ofType, s.Name)
			}
		}
	}
	return ofTopic, ofType
}
