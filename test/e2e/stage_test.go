package e2e

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/troupedev/troupe/platform/kafka/kafkatest"
	"github.com/troupedev/troupe/platform/store/storetest"
	"github.com/troupedev/troupe/test/rig"
)

// binary is the command under test, mortal the one that dies at failpoints, and
// database the server that all tests share, nil where there is none: TestMain sets them.
var (
	binary, mortal string
	database       *rig.Postgres
)

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
	if mortal, err = rig.BuildMortal(ctx, folder); err != nil {
		return 1, err
	}
	if postgres() {
		if database, err = rig.NewPostgres(ctx); err != nil {
			return 1, err
		}
		defer func() { err = errors.Join(err, database.Close()) }()
	}
	return m.Run(), nil
}

// containers reports whether Kafka runs in a container. If not, the broker is the
// embedded one.
func containers() bool { return kafkatest.Preferred() == kafkatest.Container }

// postgres reports whether Postgres runs in a container: where Kafka does, if
// TROUPE_TEST_DATABASE says nothing else. If not, each process has SQLite files.
func postgres() bool {
	switch os.Getenv(storetest.Variable) {
	case storetest.Container:
		return true
	case storetest.SQLite:
		return false
	}
	return containers()
}

// services are all of them. The first, which has no tables, shares its process
// with the broker where that is the embedded one.
var services = []string{"shipping", "orders", "payments", "inventory", "notifications", "users", "coupons", "bookings", "seats", "tickets"}

// stage is a broker, a database, every service in a process of its own, a mail
// server, and a reader of all topics.
type stage struct {
	*testing.T
	setup     setup
	broker    broker
	brokers   string // its address
	database  string // its URL; empty: SQLite files
	processes map[string]*rig.Process
	twins     map[string]*rig.Process // second instances
	mail      *rig.MailServer
	log       *rig.Log
	schemas   *rig.Schemas
}

// setup is how a stage differs from the usual one.
type setup struct {
	mortal bool   // processes die where TROUPE_FAILPOINT says
	limit  string // of bookings; empty: long
}

func newStage(t *testing.T) *stage {
	t.Helper()
	return setup{}.newStage(t)
}

func (u setup) newStage(t *testing.T) *stage {
	t.Helper()
	ctx := within(t, 2*time.Minute)
	s := &stage{T: t, setup: u, processes: map[string]*rig.Process{}, twins: map[string]*rig.Process{}, schemas: loadSchemas(t)}
	var err error
	if s.mail, err = rig.NewMailServer(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.mail.Down() })
	if database != nil {
		if s.database, err = database.Create(ctx); err != nil {
			t.Fatal(err)
		}
	}
	s.startBroker(ctx)
	for _, name := range services {
		if s.processes[name] == nil {
			s.processes[name] = s.prepare(name, "--brokers", s.brokers)
		}
	}
	s.startAll(ctx)
	if s.log, err = rig.Follow(s.brokers, s.schemas); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.log.Close)
	return s
}

// startAll starts every process that does not run.
func (s *stage) startAll(ctx context.Context) {
	s.Helper()
	var g errgroup.Group
	for _, p := range s.processes {
		if !p.Running() {
			g.Go(func() error { return p.Start(ctx) })
		}
	}
	must(s, g.Wait())
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
	if containers() {
		server := kafkatest.NewOf(s, kafkatest.Container)
		s.broker, s.brokers = server, server.Addr
		return
	}
	addr, err := rig.FreeAddr()
	if err != nil {
		s.Fatal(err)
	}
	host := services[0]
	p := s.prepare(host, "--embedded", addr)
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

// prepare makes a process of one service that is ended with the test, and whose
// output is shown if it fails.
func (s *stage) prepare(service string, args ...string) *rig.Process {
	s.Helper()
	args = append(args, "--smtp", s.mail.URL())
	if s.database != "" {
		args = append(args, "--database", s.database)
	}
	path := binary
	if s.setup.mortal {
		path = mortal
	}
	p, err := rig.NewProcess(path, s.TempDir(), service, append([]string{service}, args...)...)
	if err != nil {
		s.Fatal(err)
	}
	p.Env = []string{"SEATS_ROWS=900"} // no flight fills up by itself
	if s.setup.limit != "" {
		p.Env = append(p.Env, "BOOKINGS_LIMIT="+s.setup.limit)
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
			t.Logf("=== output of %s\n%s", p.Name, tail(p.Output(), 25))
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

// placed is an order, booking, registration or departure that the API has taken.
type placed struct {
	rig.Sent
	kind  rig.Kind
	check func(flow []*rig.Event) error
	took  time.Duration
	left  bool // it is the registration of a user who left, who need not be written to
}

// place sends n requests of each kind, one after another, at most rate a second.
func (s *stage) place(ctx context.Context, kinds []rig.Kind, n, rate int) []placed {
	s.Helper()
	return s.placeWhile(ctx, kinds, rate, func(sent int) bool { return sent < n*len(kinds) })
}

// placeWhile sends requests of each kind in turn, at most rate a second, for as
// long as more says so of the number sent. Of every three users who register,
// one leaves in between: without a trace, or not.
func (s *stage) placeWhile(ctx context.Context, kinds []rig.Kind, rate int, more func(sent int) bool) (out []placed) {
	s.Helper()
	tick := time.NewTicker(time.Second / time.Duration(rate))
	defer tick.Stop()
	var users []int // in out
	for n := 0; more(n); n++ {
		p, err := s.send(ctx, kinds[n%len(kinds)])
		if err != nil {
			s.Error(err)
			return out
		}
		out = append(out, p)
		if p.kind.Path() == "/users" {
			users = append(users, len(out)-1)
		}
		if len(users) == 3 {
			gone, err := s.leave(ctx, &out[users[0]], n%2 == 0)
			if err != nil {
				s.Error(err)
				return out
			}
			out, users = append(out, gone), nil
		}
		<-tick.C
	}
	return out
}

// send sends one request, under an address of its own.
func (s *stage) send(ctx context.Context, k rig.Kind) (placed, error) {
	key := strings.ToLower(rand.Text())
	k = k.For(key + "@example.com")
	k.Expires = s.setup.limit != "" && k.Path() == "/bookings"
	began := time.Now()
	sent, err := rig.Send(ctx, http.MethodPost, key, k.Body(), s.urls(k.Path())...)
	return placed{Sent: sent, kind: k, check: k.Check, took: time.Since(began)}, err
}

// leave deletes a user, or has the account closed and all erased.
func (s *stage) leave(ctx context.Context, user *placed, erase bool) (placed, error) {
	path, check, name := "/users/"+user.ID, rig.CheckDeleted, "deletion"
	if erase {
		path, check, name = path+"?erase=true", rig.CheckClosed, "closure"
	}
	user.left, user.check = true, rig.CheckLeft
	sent, err := rig.Send(ctx, http.MethodDelete, rand.Text(), nil, s.urls(path)...)
	return placed{Sent: sent, kind: rig.Kind{Name: name}, check: check}, err
}

// urls are where a path is served, which begins with the name of its service.
func (s *stage) urls(path string) (out []string) {
	service, _, _ := strings.Cut(path[1:], "/")
	for _, p := range []*rig.Process{s.processes[service], s.twins[service]} {
		if p != nil {
			out = append(out, "http://"+p.API+path)
		}
	}
	return out
}

// ended waits until every flow has gone the way of its kind and its mail is
// there; once demands that no mail came twice.
func (s *stage) ended(d time.Duration, all []placed, once bool) {
	s.Helper()
	open := slices.Clone(all)
	await(s.T, d, func(ctx context.Context) error {
		mails, err := s.mail.Mails(ctx)
		if err != nil {
			return err
		}
		byCause := rig.ByCause(mails)
		var last error
		open = slices.DeleteFunc(open, func(p placed) bool {
			flow := s.log.Flow(p.FlowID)
			err := p.check(flow)
			if !p.left {
				err = errors.Join(err, rig.CheckMail(flow, byCause, once))
			}
			if err != nil {
				last = fmt.Errorf("%s (%s): %w", p.ID, p.kind.Name, err)
			}
			return err == nil
		})
		if len(open) > 0 {
			return fmt.Errorf("%d of %d flows have not ended; the last: %w; reader: %v", len(open), len(all), last, s.log.Err())
		}
		return nil
	})
}

// balanced waits until all that happened adds up, seen from the outside. kills
// is how often a process of the notifications service was killed.
func (s *stage) balanced(d time.Duration, kills int) {
	s.Helper()
	l := rig.Ledger{Log: s.log, Mails: s.mail.Mails, APIs: map[string]string{}}
	for name, p := range s.processes {
		l.APIs[name] = p.API
		if twin := s.twins[name]; twin != nil {
			l.APIs[name] = twin.API
		}
	}
	l.SQL = rig.FolderSQL(func(service string) string { return s.processes[service].Data })
	if s.database != "" {
		l.SQL = rig.SchemaSQL(s.database)
	}
	await(s.T, d, func(ctx context.Context) error { return l.Balance(ctx, kills) })
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
