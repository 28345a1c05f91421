package choreotest

import (
	"context"
	"errors"
	"log/slog"
	"maps"
	"net/http"
	"slices"
	"testing"
	"time"

	"github.com/troupedev/troupe/platform/choreo"
	"github.com/troupedev/troupe/platform/console/inbox"
	"github.com/troupedev/troupe/platform/event"
	"github.com/troupedev/troupe/platform/runtime"
	"github.com/troupedev/troupe/platform/store"
	"github.com/troupedev/troupe/platform/web"
)

// company is what is opened once for all runs of a play: the services, their
// databases, their routes and the mail server.
type company struct {
	topology choreo.Topology
	members  []*member
	api      http.Handler
	expects  func(*event.Type) []string
	mails    *inbox.Inbox      // nil: nobody sends mail
	settings map[string]string // of the services
	types    map[string]*event.Type

	before bool // the test had failed before
	faults int  // that the stages told the test
	stage  *Stage
	acts   []act // kept to be used again
}

// member is one service of the company.
type member struct {
	name     string
	declared *choreo.Service
	service  *runtime.Service
	answers  *runtime.Service // nil: it answers nothing
	topics   map[string]bool  // that it hears
	routes   *http.ServeMux   // for finding whose a request is; nil: it has none
	db       *database        // nil: no Store
	player   *player          // in the run that goes on
}

func newCompany(t testing.TB, u Setup, server server, services []choreo.Service) *company {
	t.Helper()
	c := &company{topology: services, before: t.Failed(), types: map[string]*event.Type{}}
	for i := range services {
		if err := services[i].Validate(); err != nil {
			t.Fatalf("%v", err)
		}
	}
	for _, typ := range c.topology.Types() {
		c.types[typ.FullName()] = typ
	}
	c.expects = runtime.NewDirectory(services).Expects
	c.set(t, u.Settings)
	databases := map[string]web.Database{}
	url := server.database(t)
	for i := range services {
		m := c.join(t, &services[i], url)
		if m.db != nil {
			databases[m.name] = m.db
		}
	}
	api, err := web.Handler(c.topology, web.Options{
		Publish: c.publish, Databases: databases, Expects: c.expects, Now: c.now, Logger: quiet,
	})
	if err != nil {
		t.Fatal(err)
	}
	c.api = api
	return c
}

// set gathers the services' settings, and opens the mail server that they name.
func (c *company) set(t testing.TB, settings map[string]string) {
	t.Helper()
	c.settings = maps.Clone(settings)
	if c.settings == nil {
		c.settings = map[string]string{}
	}
	sends := slices.ContainsFunc(c.topology, func(s choreo.Service) bool {
		return slices.ContainsFunc(choreo.Settings(&s), func(s choreo.Setting) bool { return s.Variable == inbox.Setting })
	})
	if _, given := c.settings[inbox.Setting]; !sends || given {
		return
	}
	mails, err := inbox.Listen(inbox.Options{Now: c.now, Logger: quiet})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = mails.Close() })
	c.mails, c.settings[inbox.Setting] = mails, mails.URL()
}

// join makes a member of a service.
func (c *company) join(t testing.TB, s *choreo.Service, url string) *member {
	t.Helper()
	if err := s.Configure(c.settings); err != nil {
		t.Fatal(err)
	}
	m := &member{name: s.Name, declared: s, topics: map[string]bool{}}
	c.members = append(c.members, m)
	options := runtime.ServiceOptions{
		Expects: c.expects,
		Jitter:  func() float64 { return 0 },
		Ask: func(ctx context.Context, request choreo.Message) ([]byte, error) {
			return m.player.ask(ctx, request)
		},
	}
	if s.Store != nil {
		m.db = open(t, url, s, c.now)
		options.Database = m.db
	}
	m.service = runtime.NewService(c.topology, s, options)
	if len(s.Answers()) > 0 {
		m.answers = runtime.NewAnswers(c.topology, s, options)
	}
	for _, domain := range s.Hears() {
		m.topics[choreo.TopicName("", domain)] = true
	}
	if len(s.Routes) > 0 {
		m.routes = http.NewServeMux()
	}
	for _, r := range s.Routes {
		method, path := r.Pattern()
		m.routes.Handle(method+" "+path, http.NotFoundHandler())
	}
	return m
}

// quiet logs nothing: what goes wrong here was meant to.
var quiet = slog.New(slog.DiscardHandler)

// newStage is the stage for one run, on which all is as new.
func (c *company) newStage(t testing.TB, d *dice) *Stage {
	t.Helper()
	s := &Stage{
		t: t, company: c, dice: d, now: start,
		replies: map[string]func([]byte) ([]byte, error){}, values: map[string][]byte{}, buried: map[[3]string]bool{},
	}
	c.stage = s
	if c.mails != nil {
		c.mails.Clear()
	}
	for _, m := range c.members {
		if m.db != nil {
			m.db.reset(t, m.name)
		}
		m.player = s.newPlayer(m)
		s.players = append(s.players, m.player)
	}
	return s
}

// now is the time on the stage.
func (c *company) now() time.Time {
	if c.stage == nil {
		return start
	}
	return c.stage.now
}

// publish takes what a route emitted whose service has no Store, and events
// from outside.
func (c *company) publish(_ context.Context, messages []choreo.Message) error {
	if p := c.stage.asked; p != nil {
		return p.produce(messages)
	}
	c.stage.publish(messages, given)
	return nil
}

// database is a service's database, with the stage looking on.
type database struct {
	*store.DB
	restore    func(context.Context) error // to what it was after its migrations
	used       bool                        // since then
	rehearsing bool                        // what handlers do is rolled back
	messages   []choreo.Message            // what the last handler emitted
	pending    bool                        // rows may wait in the outbox
}

// reset puts the database back to what it was after its migrations.
func (d *database) reset(t testing.TB, service string) {
	t.Helper()
	if !d.used {
		return
	}
	if err := d.restore(t.Context()); err != nil {
		t.Fatalf("%s: putting its database back: %v", service, err)
	}
	d.used, d.pending = false, false
}

var errRehearsed = errors.New("choreotest: this was a rehearsal")

// Handle stands before [store.DB.Handle].
func (d *database) Handle(ctx context.Context, e store.Entry, handle func(context.Context) ([]choreo.Message, error)) (bool, error) {
	d.used = true
	return d.DB.Handle(ctx, e, func(ctx context.Context) ([]choreo.Message, error) {
		messages, err := handle(ctx)
		d.messages = messages
		if err == nil && d.rehearsing {
			err = errRehearsed
		}
		d.pending = d.pending || err == nil && len(messages) > 0
		return messages, err
	})
}
