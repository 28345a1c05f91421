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
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"
	"github.com/swaggest/swgui/v5emb"

	"github.com/troupedev/troupe/platform/choreo"
	"github.com/troupedev/troupe/platform/event"
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
)

// Options are what the routes need of the process around them.
type Options struct {
	// Publish sends messages to the broker, and returns once all of them are
	// acknowledged. Required where a route emits.
	Publish func(context.Context, []choreo.Message) error
	Logger  *slog.Logger     // default slog.Default()
	Now     func() time.Time // default time.Now
}

// Handler serves the routes of every service of the topology, their
// description at [PathOpenAPI], and pages made of it at [PathDocs].
//
// Answers to requests with an Idempotency-Key are remembered in this process,
// the last 10,000 of them for at most a day; after a restart such a request is
// handled anew, and emits events with the same ids as before.
//
// The error names every route that cannot be served, among them those that two
// services claim.
func Handler(topology choreo.Topology, o Options) (http.Handler, error) {
	o.Logger = cmp.Or(o.Logger, slog.Default())
	if o.Now == nil {
		o.Now = time.Now
	}
	s := &site{Options: o, mux: &mux{ServeMux: http.NewServeMux()}, answers: newMemory(o.Now)}
	names := &namer{}
	s.api = humago.New(s.mux, apiConfig(names))
	s.pages()

	claimed := map[string]string{}
	var faults []error
	for i := range topology {
		names.service = topology[i].Name
		for _, r := range topology[i].Routes {
			faults = append(faults, s.add(names.service, r, claimed))
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

	specJSON, specYAML []byte
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
// that two services may call different things by one name.
type namer struct{ service string }

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
	return n.service + "." + huma.DefaultSchemaNamer(t, hint)
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
func (s *site) add(service string, declared choreo.Route, claimed map[string]string) (err error) {
	method, path := declared.Pattern()
	pattern := method + " " + path
	defer func() {
		if fault := recover(); fault != nil {
			err = fmt.Errorf("%s: route %s: %s", service, pattern, registeredAt.ReplaceAllString(fmt.Sprint(fault), ""))
		}
	}()
	if other, ok := claimed[pattern]; ok {
		return fmt.Errorf("%s: route %s is claimed by %s already; give one of them another path", service, pattern, other)
	}
	claimed[pattern] = service
	r, ok := declared.(*route)
	if !ok {
		return fmt.Errorf("%s: route %s is a %T; declare routes by web.Post and web.Get", service, pattern, declared)
	}
	e := &endpoint{site: s, route: r, service: service, emitter: choreo.Emitter{
		Service: service, Reaction: pattern, Declared: choreo.EmittedBy(declared),
	}}
	s.mux.wrap = e.wrap
	defer func() { s.mux.wrap = nil }()
	r.register(e)
	return nil
}

// ServeHTTP implements http.Handler. What no route serves is a problem too.
func (s *site) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("X-Content-Type-Options", "nosniff")
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

// endpoint is one route of one service, being registered and then served.
type endpoint struct {
	*site
	route   *route
	service string
	emitter choreo.Emitter
}

// operation describes the endpoint for huma, and so for the documentation.
func (e *endpoint) operation(success int) huma.Operation {
	op := huma.Operation{
		OperationID:     e.service + "-" + strings.ToLower(e.route.method) + strings.NewReplacer("/", "-", "{", "", "}", "").Replace(e.route.path),
		Method:          e.route.method,
		Path:            e.route.path,
		Tags:            []string{e.service},
		DefaultStatus:   success,
		MaxBodyBytes:    maxBody + 1, // what is larger, wrap refuses
		BodyReadTimeout: -1,          // wrap has read it
		Errors:          []int{http.StatusUnprocessableEntity, http.StatusInternalServerError},
	}
	if e.route.method == http.MethodPost {
		op.Errors = append(op.Errors, http.StatusRequestEntityTooLarge, http.StatusUnsupportedMediaType, http.StatusServiceUnavailable)
		op.Parameters = []*huma.Param{{
			Name: idempotencyKey, In: "header",
			Description: "Any text that the client chose for this request. The request sent again with it is answered the same, and starts nothing new.",
			Schema:      &huma.Schema{Type: huma.TypeString, MaxLength: new(maxKey), Pattern: "^[!-~]+$"},
		}}
		if emits := choreo.EmittedBy(e.route); len(emits) > 0 {
			names := make([]string, len(emits))
			for i, t := range emits {
				names[i] = t.String()
			}
			op.Description = "Emits " + strings.Join(names, ", ") + "."
		}
	}
	return op
}

// fault is what the client learns of a handler's error.
func (e *endpoint) fault(ctx context.Context, err error) error {
	if known, ok := errors.AsType[huma.StatusError](err); ok {
		return known
	}
	e.Logger.ErrorContext(ctx, "request failed", "service", e.service, "route", e.emitter.Reaction,
		"flow", event.From(ctx).Flow, "error", err)
	return huma.Error500InternalServerError("the server failed to handle the request; its log says why")
}

// emit publishes what a handler emitted. The client going away does not stop
// it half-way.
func (e *endpoint) emit(ctx context.Context, events choreo.Events) error {
	messages, err := e.emitter.EmitRoot(event.From(ctx), events, e.Now())
	if err != nil {
		return e.fault(ctx, err)
	}
	if len(messages) == 0 {
		return nil
	}
	publishing, cancel := context.WithTimeout(context.WithoutCancel(ctx), publishTimeout)
	defer cancel()
	if err := e.Publish(publishing, messages); err != nil {
		e.Logger.ErrorContext(ctx, "publishing failed", "service", e.service, "route", e.emitter.Reaction,
			"flow", event.From(ctx).Flow, "error", err)
		return huma.ErrorWithHeaders(huma.Error503ServiceUnavailable(
			"the broker did not say that it took the events of this request, and may or may not have: send it again with the same "+
				idempotencyKey+", so that they count once (without one, look first whether it has taken effect)"),
			http.Header{"Retry-After": {"1"}})
	}
	return nil
}
