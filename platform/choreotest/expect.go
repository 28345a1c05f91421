package choreotest

import (
	"fmt"
	"reflect"
	"strings"

	"github.com/troupedev/troupe/platform/choreo"
	"github.com/troupedev/troupe/platform/contract"
	"github.com/troupedev/troupe/platform/event"
	"github.com/troupedev/troupe/platform/runtime"
)

type deadLetter struct {
	runtime.DeadLetter
	event *record
}

// Emitted asks that each of the events was emitted by a service, in any order,
// and counts it as named. Two events that are alike have to be named twice; one
// that was emitted again with the same id is still one. Requests and replies
// need not be named.
func (s *Stage) Emitted(events ...event.Event) {
	s.t.Helper()
	for _, e := range events {
		if !s.take(e) {
			s.errorf("nobody emitted %s %+v; emitted, and not named yet:%s", e.EventType(), e, s.unnamed())
		}
	}
}

// NothingElse asks that every emitted event was named by [Stage.Emitted].
func (s *Stage) NothingElse() {
	s.t.Helper()
	if len(s.emitted) > 0 {
		s.errorf("emitted, and not named:%s", s.unnamed())
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
		if r.envelope.Type != e.EventType().FullName() {
			continue
		}
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

func encode(e event.Event) ([]byte, error) { return contract.Append(nil, e) }

// Dead asks that an event became a dead letter of the service, and counts it as
// asked for. cause is one of runtime's causes, or part of the error's text. An
// event that dies of a reaction twice, since the service heard it twice, is one.
func (s *Stage) Dead(service, cause string) {
	s.t.Helper()
	for i, d := range s.dead {
		if d.Service == service && (string(d.Cause) == cause || strings.Contains(d.Error, cause)) {
			s.dead = append(s.dead[:i:i], s.dead[i+1:]...)
			return
		}
	}
	var all []string
	for _, d := range s.dead {
		all = append(all, s.textOfDead(d))
	}
	s.errorf("%s has no dead letter for %q; there are %v", service, cause, all)
}

func (s *Stage) bury(d deadLetter) {
	is := [3]string{d.Service, d.Reaction, d.event.envelope.ID}
	if !s.buried[is] {
		s.buried[is] = true
		s.dead = append(s.dead, d)
	}
	s.trace.add("dead", d.Service, d.Error, d.event)
}

// errorf fails the test, and remembers that it was this play.
func (s *Stage) errorf(format string, args ...any) {
	s.t.Helper()
	s.company.faults++
	s.t.Errorf(format, args...)
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

func (s *Stage) show(r runtime.Result, messages []choreo.Message) string {
	if r.Err != nil {
		return r.Err.Error()
	}
	var b strings.Builder
	for _, m := range messages {
		b.WriteString("  " + s.textOf(m.Type.FullName(), m.Value) + " id " + m.ID + "\n")
	}
	return b.String()
}

func (s *Stage) textOfDead(d deadLetter) string {
	return fmt.Sprintf("reaction %s, event %s, cause %s, attempts %d: %s", d.Reaction, s.text(d.event), d.Cause, d.Attempts, d.Error)
}

// text is a record for a person to read.
func (s *Stage) text(r *record) string { return s.textOf(r.envelope.Type, r.Value) }

func (s *Stage) textOf(name string, value []byte) string {
	if t := s.company.types[name]; t != nil {
		if json, err := contract.DecodeJSON(t, value); err == nil {
			return name + " " + string(json)
		}
	}
	return name
}
