package web

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"reflect"
	"regexp"
	"strconv"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"
	"github.com/swaggest/swgui/v5emb"

	"github.com/troupedev/troupe/platform/choreo"
	"github.com/troupedev/troupe/platform/event"
	"github.com/troupedev/troupe/platform/store"
)

// Paths that the API serves beside the services' routes.
const (
	PathDocs    = "/docs"
	PathOpenAPI = "/openapi" // with .json or .yaml behind it
)

// Limits of a request.
const (
	maxBody        = 1 << 20          // bytes
	publishTimeout = 10 * time.Second // for the broker's acknowledgement
	storeTimeout   = 10 * time.Second // for a handler that works in a transaction, all tries together
)

// Options are what the routes need of the process around them.
type Options struct {
	// Publish sends messages to the broker, and returns once all of them are
	// acknowledged. Required where a route of a service without a Store emits;
	// with it, events from outside are taken at [PathEvents].
	Publish func(context.Context, []choreo.Message) error
	// Databases are those that are open, by the names of their services. Required
	// for every service that has a Store and routes.
	Databases map[string]Database
	// Expects is [choreo.Emitter.Expects]. Nil: nobody gathers.
	Expects func(*event.Type) []string
	// Known is every service that is known, whether it runs here or not: their
	// events are those that may come from outside. Default: those served.
	Known  choreo.Topology
	Logger *slog.Logger     // default slog.Default()
	Now    func() time.Time // default time.Now
}

// Handler serves the routes of every service of the topology, their
// description at [PathOpenAPI], and pages made of it at [PathDocs].
//
// Answers to requests with an Idempotency-Key are remembered: in the database of
// a service that has one, for [store.Config.KeepInbox] (a key that is used again
// after it gives the same ids, so what has them as its primary key is a 409), and else in this process,
// the last 10,000 of them for at most a day; such a request is handled anew
// after a restart, and emits events with the same ids as before.
//
// The error names every route that cannot be served, among them those that two
// services claim.
func Handler(topology choreo.Topology, o Options) (http.Handler, error) {
	o.Logger = cmp.Or(o.Logger, slog.Default())
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Known == nil {
		o.Known = topology
	}
	s := &site{Options: o, mux: &mux{ServeMux: http.NewServeMux()}, answers: newMemory(o.Now)}
	names := &namer{service: "troupe", named: map[string]reflect.Type{}} // until a service registers
	s.api = humago.New(s.mux, apiConfig(names))
	s.pages()

	claimed := map[string]string{}
	var faults []error
	if o.Publish != nil {
		s.takeEvents(claimed)
	}
	for i := range topology {
		names.service = topology[i].Name
		for _, r := range topology[i].Routes {
			faults = append(faults, s.add(&topology[i], r, claimed))
		}
	}
	faults = append(faults, s.describe())
	return s, errors.Join(faults...)
}

// site is all routes of a process.
type site struct {
	Options
	mux     *mux
	api     huma.API
	answers *memory

	types map[string][]*event.Type // that may come from outside: all versions by full name

	specJSON, specYAML []byte
}

// Database is that of one service; a [store.DB] is one.
type Database interface {
	Handle(ctx context.Context, e store.Entry, handle func(context.Context) ([]choreo.Message, error)) (duplicate bool, err error)
	Read(ctx context.Context, read func(context.Context) error) error
	Answer(ctx context.Context, e store.Entry) (fingerprint, answer []byte, ok bool, err error)
}

// mux lets the endpoint that is being registered wrap huma's handler of it.
type mux struct {
	*http.ServeMux
	wrap func(http.HandlerFunc) http.HandlerFunc // nil: no endpoint, but huma's own
}

// HandleFunc implements humago.Mux.
func (m *mux) HandleFunc(pattern string, h func(http.ResponseWriter, *http.Request)) {
	if m.wrap != nil {
		h = m.wrap(h)
	}
	m.ServeMux.HandleFunc(pattern, h)
}

func apiConfig(names *namer) huma.Config {
	return huma.Config{
		OpenAPI: &huma.OpenAPI{
			OpenAPI:    "3.1.0",
			Info:       &huma.Info{Title: "Troupe", Version: "1", Description: "The HTTP routes of every service that runs here."},
			Components: &huma.Components{Schemas: huma.NewMapRegistry("#/components/schemas/", names.name)},
		},
		Formats:       map[string]huma.Format{"application/json": huma.DefaultJSONFormat, "json": huma.DefaultJSONFormat},
		DefaultFormat: "application/json",
		Transformers:  []huma.Transformer{locateMissing},

		RejectUnknownQueryParameters: true,
	}
}

// namer names schemas after the service whose routes are being registered, so
// that two services may call different things by one name, and numbers those
// that one service calls alike.
type namer struct {
	service string
	named   map[string]reflect.Type
}

func (n *namer) name(t reflect.Type, hint string) string {
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	switch t {
	case reflect.TypeFor[huma.ErrorModel]():
		return "Problem"
	case reflect.TypeFor[huma.ErrorDetail]():
		return "ProblemDetail"
	}
	first := n.service + "." + huma.DefaultSchemaNamer(t, hint)
	name := first
	for i := 2; n.named[name] != nil && n.named[name] != t; i++ {
		name = first + strconv.Itoa(i)
	}
	n.named[name] = t
	return name
}

// pages serves the documentation. All of it is in the binary: the policy lets
// a browser load nothing from elsewhere.
func (s *site) pages() {
	docs := v5emb.New("Troupe", PathOpenAPI+".json", PathDocs)
	serve := func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Security-Policy",
			"default-src 'self'; script-src 'self' 'unsafe-inline'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; frame-ancestors 'none'")
		docs.ServeHTTP(w, r)
	}
	s.mux.HandleFunc("GET "+PathDocs, serve)
	s.mux.HandleFunc("GET "+PathDocs+"/", serve)
	s.mux.Handle("GET /{$}", http.RedirectHandler(PathDocs, http.StatusFound))
	s.mux.HandleFunc("GET "+PathOpenAPI+".json", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/openapi+json")
		_, _ = w.Write(s.specJSON) // fails only where the client has gone
	})
	s.mux.HandleFunc("GET "+PathOpenAPI+".yaml", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/openapi+yaml")
		_, _ = w.Write(s.specYAML)
	})
}

// describe writes the description once all routes are there. Huma's own
// handlers write it at the first request, and do not expect two at once.
func (s *site) describe() (err error) {
	if s.specJSON, err = json.Marshal(s.api.OpenAPI()); err != nil {
		return fmt.Errorf("the description of the API: %w", err)
	}
	if s.specYAML, err = s.api.OpenAPI().YAML(); err != nil {
		return fmt.Errorf("the description of the API: %w", err)
	}
	return nil
}

var registeredAt = regexp.MustCompile(` \(registered at [^)]*\)`)

// add registers one route. What huma and net/http refuse, they refuse by panic.
func (s *site) add(service *choreo.Service, declared choreo.Route, claimed map[string]string) (err error) {
	method, path := declared.Pattern()
	pattern := method + " " + path
	defer func() {
		if fault := recover(); fault != nil {
			err = fmt.Errorf("%s: route %s: %s", service.Name, pattern, registeredAt.ReplaceAllString(fmt.Sprint(fault), ""))
		}
	}()
	if other, ok := claimed[pattern]; ok {
		return fmt.Errorf("%s: route %s is claimed by %s already; give one of them another path", service.Name, pattern, other)
	}
	claimed[pattern] = service.Name
	r, ok := declared.(*route)
	if !ok {
		return fmt.Errorf("%s: route %s is a %T; declare routes by web.Post, web.Delete and web.Get", service.Name, pattern, declared)
	}
	db := s.Databases[service.Name]
	if db == nil && service.Store != nil {
		return fmt.Errorf("%s: route %s: the service has a Store, and its database is not in Options.Databases", service.Name, pattern)
	}
	e := &endpoint{site: s, route: r, service: service.Name, db: db, emitter: choreo.Emitter{
		Service: service.Name, Reaction: pattern, Declared: choreo.EmittedBy(declared), Stored: db != nil, Expects: s.Expects,
	}}
	s.mux.wrap = e.wrap
	defer func() { s.mux.wrap = nil }()
	r.register(e)
	return nil
}

// ServeHTTP implements http.Handler. What no route serves is a problem too.
func (s *site) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("X-Content-Type-Options", "nosniff")
	if err := checkURL(r); err != nil {
		sendProblem(w, err)
		return
	}
	handler, pattern := s.mux.Handler(r)
	if pattern != "" {
		s.mux.ServeHTTP(w, r)
		return
	}
	refused := newRecorder()
	handler.ServeHTTP(refused, r)
	if allow := refused.Header().Get("Allow"); allow != "" {
		w.Header().Set("Allow", allow)
		writeProblem(w, refused.status, fmt.Sprintf("%s does not take %s; it takes %s", r.URL.Path, r.Method, allow))
		return
	}
	writeProblem(w, refused.status, fmt.Sprintf("nothing is served at %s; what is, %s says", r.URL.Path, PathDocs))
}
