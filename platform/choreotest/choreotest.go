// Package choreotest plays services' declarations without a broker: events go
// in, events and dead letters come out, and no time passes.
//
// What judges a record, runs a handler and derives ids is package runtime's own
// code; what is left out is Kafka, concurrency and time: events are handled one
// after another, in the order in which they were emitted, and waits between
// attempts are skipped. Start with [Play].
package choreotest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"reflect"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/troupedev/troupe/platform/choreo"
	"github.com/troupedev/troupe/platform/contract"
	"github.com/troupedev/troupe/platform/event"
	"github.com/troupedev/troupe/platform/kafka"
	"github.com/troupedev/troupe/platform/runtime"
	"github.com/troupedev/troupe/platform/web"
)

// steps bounds how many events one Send or Request may lead to, against
// services that multiply each other's events.
const steps = 10_000

// Play runs script on a stage with the given services, which must be valid each
// by itself. Settings have their defaults, and Start has been called.
//
// Every attempt runs its handler twice, as a redelivery would, and the test
// fails if what it emits differs: ids, times and texts have to follow from the
// event ([event.From]), not from chance or the clock. It also fails if an event
// became a dead letter that the script does not ask for by [Stage.Dead].
func Play(t testing.TB, script func(*Stage), services ...choreo.Service) {
	t.Helper()
	s := newStage(t, services)
	script(s)
	for _, d := range s.dead {
		t.Errorf("%s: a dead letter that nothing asked for: %s", d.Service, d)
	}
}

// Stage is where the services play.
type Stage struct {
	t        testing.TB
	topology choreo.Topology
	players  []*player
	api      http.Handler
	now      time.Time
	sent     int

	log     []kafka.Record // everything that was sent or emitted, in order
	emitted []kafka.Record // of these, what services emitted and no Emitted has named yet
	dead    []deadLetter
}

// player is one service with how far it has heard.
type player struct {
	*runtime.Service
	heard int // records of the stage's log
}

type deadLetter struct {
	runtime.DeadLetter
	event string
}

func (d deadLetter) String() string {
	return fmt.Sprintf("reaction %s, event %s, cause %s, attempts %d: %s", d.Reaction, d.event, d.Cause, d.Attempts, d.Error)
}

func newStage(t testing.TB, services []choreo.Service) *Stage {
	t.Helper()
	s := &Stage{t: t, topology: services, now: time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)}
	for i := range services {
		if err := errors.Join(services[i].Validate(), services[i].Configure(nil)); err != nil {
			t.Fatalf("%v", err)
		}
		if start := services[i].Start; start != nil {
			if err := start(t.Context()); err != nil {
				t.Fatalf("%s: start: %v", services[i].Name, err)
			}
		}
		s.players = append(s.players, &player{Service: runtime.NewService(s.topology, &services[i], runtime.ServiceOptions{})})
	}
	api, err := web.Handler(s.topology, web.Options{Publish: s.publish, Now: func() time.Time { return s.now }, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	s.api = api
	return s
}

// Send lets each event happen, as the first of a flow of its own, and plays
// until nobody has anything left to say.
func (s *Stage) Send(events ...event.Event) {
	s.t.Helper()
	for _, e := range events {
		s.sent++
		id := event.DeriveID("choreotest", strconv.Itoa(s.sent))
		emitter := choreo.Emitter{Service: "choreotest", Reaction: "Send", Declared: []*event.Type{e.EventType()}}
		messages, err := emitter.EmitRoot(event.Meta{ID: id, Flow: id}, choreo.Emit(e), s.now)
		if err != nil {
			s.t.Fatalf("send %s: %v", e.EventType(), err)
		}
		s.append(messages)
	}
	s.play()
}

// Request asks a route of the services, and plays what it led to. body may be
// empty.
func (s *Stage) Request(method, path, body string) (status int, answer string) {
	s.t.Helper()
	r := httptest.NewRequestWithContext(s.t.Context(), method, path, strings.NewReader(body))
	if body != "" {
		r.Header.Set("Content-Type", "application/json")
	}
	w := httptest.NewRecorder()
	s.api.ServeHTTP(w, r)
	got, err := io.ReadAll(w.Result().Body)
	if err != nil {
		s.t.Fatal(err)
	}
	s.play()
	return w.Code, string(got)
}

// publish takes what a route emitted.
func (s *Stage) publish(_ context.Context, messages []choreo.Message) error {
	s.emitted = append(s.emitted, s.append(messages)...)
	return nil
}

func (s *Stage) append(messages []choreo.Message) []kafka.Record {
	first := len(s.log)
	for _, r := range runtime.Records("", messages) {
		r.Offset, r.Time = int64(len(s.log)), s.now
		s.log = append(s.log, r)
	}
	return s.log[first:len(s.log):len(s.log)]
}

// play lets the services hear until all have heard everything.
func (s *Stage) play() {
	s.t.Helper()
	for from, quiet := len(s.log), false; !quiet; {
		quiet = true
		for _, p := range s.players {
			for ; p.heard < len(s.log); p.heard++ {
				quiet = false
				s.hear(p, s.log[p.heard])
				if len(s.log)-from > steps {
					s.t.Fatalf("what was sent led to more than %d events: the services multiply each other's", steps)
				}
			}
		}
	}
}

func (s *Stage) hear(p *player, record kafka.Record) {
	s.t.Helper()
	v := p.Judge(&record)
	if v.Cause != "" {
		s.bury(p, &record, deadLetter{DeadLetter: runtime.DeadLetter{Cause: v.Cause, Error: v.Err.Error()}})
	}
	for i := range v.Work {
		s.handle(p, &record, &v.Work[i])
	}
}

// handle runs one piece of work to its end.
func (s *Stage) handle(p *player, record *kafka.Record, w *runtime.Work) {
	s.t.Helper()
	for attempt := 1; ; attempt++ {
		result := p.Handle(s.t.Context(), w, attempt, s.now)
		again := p.Handle(s.t.Context(), w, attempt, s.now)
		if !same(result, again) {
			s.t.Errorf("%s: reaction %s: run twice for one %s, it came to\n%s\nand then to\n%s",
				p.Name(), w.Reaction(), w.Envelope.Type, s.show(result), s.show(again))
		}
		switch result.Outcome {
		case runtime.Handled:
			s.emitted = append(s.emitted, s.append(result.Messages)...)
			return
		case runtime.GivenUp:
			s.bury(p, record, deadLetter{DeadLetter: runtime.DeadLetter{
				Cause: result.Cause, Error: result.Err.Error(), Attempts: attempt, Reaction: w.Reaction(),
			}})
			return
		}
		s.now = s.now.Add(result.Wait)
	}
}

func (s *Stage) bury(p *player, record *kafka.Record, d deadLetter) {
	d.Service, d.event = p.Name(), s.text(*record)
	s.dead = append(s.dead, d)
}

func same(a, b runtime.Result) bool {
	return a.Outcome == b.Outcome && a.Cause == b.Cause && reflect.DeepEqual(a.Messages, b.Messages)
}

// Emitted asks that each of the events was emitted, in any order, and counts it
// as named. An event that was emitted twice has to be named twice.
func (s *Stage) Emitted(events ...event.Event) {
	s.t.Helper()
	for _, e := range events {
		if !s.take(e) {
			s.t.Errorf("nobody emitted %s %+v; emitted, and not named yet:%s", e.EventType(), e, s.unnamed())
		}
	}
}

// NothingElse asks that every emitted event was named by [Stage.Emitted].
func (s *Stage) NothingElse() {
	s.t.Helper()
	if len(s.emitted) > 0 {
		s.t.Errorf("emitted, and not named:%s", s.unnamed())
	}
}

// take removes the first emitted event that equals e.
func (s *Stage) take(e event.Event) bool {
	s.t.Helper()
	value, err := contract.Append(nil, e)
	if err != nil {
		s.t.Fatalf("the expected %s: %v", e.EventType(), err)
	}
	want, err := decode(e, value)
	if err != nil {
		s.t.Fatalf("the expected %s: %v", e.EventType(), err)
	}
	for i, r := range s.emitted {
		if got, err := decode(e, r.Value); err == nil && reflect.DeepEqual(got, want) {
			s.emitted = append(s.emitted[:i:i], s.emitted[i+1:]...)
			return true
		}
	}
	return false
}

// decode reads value as the type of e; that both sides of a comparison have
// been through it makes nil and empty lists the same.
func decode(e event.Event, value []byte) (event.Event, error) {
	into := reflect.New(reflect.TypeOf(e))
	err := contract.Decode(value, e.EventType(), into.Interface().(contract.Decoder))
	return into.Elem().Interface().(event.Event), err
}

// All returns every event of type E that was sent or emitted so far, for what
// an exact comparison by [Stage.Emitted] cannot say.
func All[E event.Event](s *Stage) []E {
	var out []E
	var e E
	for _, r := range s.log {
		if h, err := event.ParseHeaders(r.Headers); err != nil || h.Type != e.EventType().FullName() {
			continue
		}
		if got, err := decode(e, r.Value); err == nil {
			out = append(out, got.(E))
		}
	}
	return out
}

// Dead asks that an event became a dead letter of the service, and counts it as
// asked for. cause is one of runtime's causes, or part of the error's text.
func (s *Stage) Dead(service, cause string) {
	s.t.Helper()
	for i, d := range s.dead {
		if d.Service == service && (string(d.Cause) == cause || strings.Contains(d.Error, cause)) {
			s.dead = append(s.dead[:i:i], s.dead[i+1:]...)
			return
		}
	}
	s.t.Errorf("%s has no dead letter for %q; there are %v", service, cause, s.dead)
}

func (s *Stage) unnamed() string {
	var b strings.Builder
	for _, r := range s.emitted {
		b.WriteString("\n  " + s.text(r))
	}
	if b.Len() == 0 {
		return " nothing"
	}
	return b.String()
}

func (s *Stage) show(r runtime.Result) string {
	if r.Err != nil {
		return r.Err.Error()
	}
	var b strings.Builder
	for _, m := range r.Messages {
		b.WriteString("  " + s.text(kafka.Record{Value: m.Value, Headers: m.Headers}) + " id " + m.ID + "\n")
	}
	return b.String()
}

// text is a record for a person to read.
func (s *Stage) text(r kafka.Record) string {
	e, err := event.ParseHeaders(r.Headers)
	if err != nil {
		return fmt.Sprintf("(%v)", err)
	}
	for _, t := range s.topology.Types() {
		if t.FullName() == e.Type {
			if json, err := contract.DecodeJSON(t, r.Value); err == nil {
				return e.Type + " " + string(json)
			}
		}
	}
	return e.Type
}
