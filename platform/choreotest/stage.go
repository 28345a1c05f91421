package choreotest

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/troupedev/troupe/platform/choreo"
	"github.com/troupedev/troupe/platform/event"
	"github.com/troupedev/troupe/platform/store"
)

// Stage is where the services play, for one run of the script.
type Stage struct {
	t       testing.TB
	company *company
	dice    *dice // nil: in calm
	players []*player
	replies map[string]func(request []byte) ([]byte, error) // by the request's name

	now      time.Time
	until    time.Time // time may pass until then
	together bool      // within Together: what is sent waits for the end of it
	racing   bool      // at the end of Together: time passes while events are under way
	sent     int       // by Send
	requests int
	asked    *player // whose route is asked; nil: nobody's

	log     []*record          // all records of the broker, in order
	values  map[string][]byte  // of every event that happened, by its id
	events  []*record          // of the log, each event once
	emitted []*record          // of events, what services emitted and no Emitted has named yet
	dead    []deadLetter       // each once, and not asked for yet
	buried  map[[3]string]bool // service, reaction and event of every dead letter
	trace   trace
}

// start is when every run begins.
var start = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

// Send lets each event happen, as the first of a flow of its own, emitted by
// nobody on the stage, and plays until nobody has anything left to say.
func (s *Stage) Send(events ...event.Event) {
	s.t.Helper()
	for _, e := range events {
		s.sent++
		id := event.DeriveID("choreotest", strconv.Itoa(s.sent))
		emitter := choreo.Emitter{
			Service: "choreotest", Reaction: "Send", Declared: []*event.Type{e.EventType()}, Expects: s.company.expects,
		}
		messages, err := emitter.EmitRoot(event.Meta{ID: id, Flow: id}, choreo.Emit(e), s.now)
		if err != nil {
			s.t.Fatalf("send %s: %v", e.EventType(), err)
		}
		s.publish(messages, given)
	}
	s.play()
}

// Request asks a route of the services, and plays what it led to. body may be
// empty; a header is "Name: value". Where the service failed in between, the
// request is sent again with its Idempotency-Key (one is made up where none is
// given), as a client does: the answer is that of a run in which it did not.
func (s *Stage) Request(method, path, body string, headers ...string) (status int, answer string) {
	s.t.Helper()
	s.requests++
	r := httptest.NewRequestWithContext(s.t.Context(), method, path, nil)
	for _, h := range headers {
		name, value, ok := strings.Cut(h, ":")
		if !ok {
			s.t.Fatalf("request %s %s: the header %q is not of the form Name: value", method, path, h)
		}
		r.Header.Add(name, strings.TrimSpace(value))
	}
	if body != "" && r.Header.Get("Content-Type") == "" {
		r.Header.Set("Content-Type", "application/json")
	}
	s.key(r)
	w := s.insist(r, body)
	s.play()
	return w.Code, w.Body.String()
}

// Request is [Stage.Request] of a route that has to answer with the status want,
// in JSON, which is returned as an Answer. The test ends where it does not.
func Request[Answer any](s *Stage, want int, method, path, body string) (out Answer) {
	s.t.Helper()
	status, answer := s.Request(method, path, body)
	if status != want {
		s.t.Fatalf("%s %s: got %d %s, want %d", method, path, status, answer, want)
	}
	if err := json.Unmarshal([]byte(answer), &out); err != nil {
		s.t.Fatalf("%s %s: got %d %s: %v", method, path, status, answer, err)
	}
	return out
}

// Get is [Request] of a route that shows something: GET, answered with 200.
func Get[Answer any](s *Stage, path string) Answer {
	s.t.Helper()
	return Request[Answer](s, http.StatusOK, http.MethodGet, path, "")
}

const idempotencyKey = "Idempotency-Key"

// key gives the request a key of this run: what was answered to a key is
// remembered, also from seed to seed.
func (s *Stage) key(r *http.Request) {
	keys := r.Header.Values(idempotencyKey)
	if len(keys) == 0 {
		keys = []string{"choreotest-" + strconv.Itoa(s.requests)}
		r.Header[idempotencyKey] = keys
	}
	if s.dice != nil && len(keys) == 1 && keys[0] != "" {
		keys[0] = fmt.Sprintf("%s@%d", keys[0], s.dice.seed)
	}
}

// insist sends the request until no fault comes in between: a service that died
// has answered nothing, whatever it was about to say.
func (s *Stage) insist(r *http.Request, body string) *httptest.ResponseRecorder {
	for {
		p := s.serving(r)
		ctx := r.Context()
		if p != nil {
			ctx = p.begin(ctx)
		}
		again := r.Clone(ctx)
		again.Body = io.NopCloser(strings.NewReader(body))
		w := httptest.NewRecorder()
		s.asked = p
		s.company.api.ServeHTTP(w, again)
		s.asked = nil
		s.trace.add("answer", "", fmt.Sprintf("%s %s: %d", r.Method, r.URL.Path, w.Code), nil)
		if p == nil || p.struck == nil {
			return w
		}
		lost := p.struck.crashed || w.Code >= http.StatusInternalServerError
		p.recover()
		if !lost {
			return w
		}
	}
}

// serving is the player whose route r goes to; nil where there is none.
func (s *Stage) serving(r *http.Request) *player {
	for _, p := range s.players {
		if p.routes == nil {
			continue
		}
		if _, pattern := p.routes.Handler(r); pattern != "" {
			return p
		}
	}
	return nil
}

// Advance lets d pass: what is due by then is published when it is due, and
// played to its end.
func (s *Stage) Advance(d time.Duration) {
	s.t.Helper()
	s.until = s.until.Add(d)
	if !s.together {
		s.until = s.now.Add(d)
	}
	s.play()
	s.arrive()
}

// arrive lets the time pass that is left until what was advanced to.
func (s *Stage) arrive() {
	if !s.together && s.now.Before(s.until) {
		s.now = s.until
	}
}

// Together is for races: with a seed, what script sends, requests and lets pass
// is played only when it has returned, all of it in any order, and what it lets
// become due may come before what was sent. In calm it makes no difference.
func (s *Stage) Together(script func()) {
	s.t.Helper()
	if s.together || s.dice == nil {
		script()
		return
	}
	s.together, s.until = true, s.now
	script()
	s.together, s.racing = false, true
	s.play()
	s.racing = false
	s.arrive()
}

// Rows reads the service's tables: each row with its columns as text, NULL as
// "NULL".
func (s *Stage) Rows(service, query string, args ...any) [][]string {
	s.t.Helper()
	p := s.player(service)
	if p.db == nil {
		s.t.Fatalf("rows: %s has no Store", service)
	}
	var out [][]string
	err := p.db.Read(s.t.Context(), func(ctx context.Context) (err error) {
		out, err = rows(ctx, query, args)
		return err
	})
	if err != nil {
		s.t.Fatalf("%s: %s: %v", service, query, err)
	}
	return out
}

func rows(ctx context.Context, query string, args []any) ([][]string, error) {
	found, err := store.Tx(ctx).QueryContext(ctx, query, args...)
	if err != nil {
		return nil, err
	}
	defer found.Close()
	columns, err := found.Columns()
	if err != nil {
		return nil, err
	}
	var out [][]string
	for found.Next() {
		values, into := make([]sql.NullString, len(columns)), make([]any, len(columns))
		for i := range values {
			into[i] = &values[i]
		}
		if err := found.Scan(into...); err != nil {
			return nil, err
		}
		row := make([]string, len(columns))
		for i, v := range values {
			if row[i] = v.String; !v.Valid {
				row[i] = "NULL"
			}
		}
		out = append(out, row)
	}
	return out, found.Err()
}

// player finds the service on the stage.
func (s *Stage) player(service string) *player {
	s.t.Helper()
	i := slices.IndexFunc(s.players, func(p *player) bool { return p.name == service })
	if i < 0 {
		s.t.Fatalf("no service %s is on the stage; there are %v", service, s.company.topology.Names())
	}
	return s.players[i]
}

// All returns every event of type E that was sent or emitted so far, each once,
// for what an exact comparison by [Stage.Emitted] cannot say. Requests are among
// them.
func All[E event.Event](s *Stage) []E {
	var out []E
	var e E
	for _, r := range s.events {
		if r.envelope.Type != e.EventType().FullName() {
			continue
		}
		if got, err := decode(e, r.Value); err == nil {
			out = append(out, got.(E))
		}
	}
	return out
}

// Happened are the envelopes of all events that were sent or emitted so far,
// each once, in order; requests are among them, and replies.
func (s *Stage) Happened() []event.Envelope {
	out := make([]event.Envelope, len(s.events))
	for i, r := range s.events {
		out[i] = r.envelope
	}
	return out
}
