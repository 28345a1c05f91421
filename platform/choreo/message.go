package choreo

import (
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/troupedev/troupe/platform/contract"
	"github.com/troupedev/troupe/platform/event"
)

// Message is an emitted event as a record to be: the broker's prefix and
// partition are not decided yet.
type Message struct {
	Domain  string
	Key     []byte // nil: the event has no key
	Value   []byte
	Headers []event.Header
	ID      string
	Type    *event.Type
}

// salt is part of an id's derivation that a replay would set, so that its
// events do not count as the ones before.
const salt = ""

// Emitter turns what a handler emitted into messages: checks that each event
// was declared, derives its id, and writes its headers.
type Emitter struct {
	Service  string
	Reaction string // "POST /orders" for a route
	Declared []*event.Type
}

// UndeclaredError is an emitted event that its reaction does not declare.
type UndeclaredError struct {
	Service, Reaction string
	Type              *event.Type
}

func (e *UndeclaredError) Error() string {
	return fmt.Sprintf("%s: reaction %s emitted %s, which it does not declare; add choreo.Emits(%s{}) to it",
		e.Service, e.Reaction, e.Type, e.Type.Name)
}

// Emit returns the messages for events, caused by parent. now is ce_time.
func (m *Emitter) Emit(parent *event.Envelope, events Events, now time.Time) ([]Message, error) {
	return m.emit(events, now, parent.Flow, parent.ID, parent.Hop+1, parent.TraceParent)
}

// EmitRoot returns the messages for events that a request led to: the first
// one's id is the request's, which is also the flow's.
func (m *Emitter) EmitRoot(request event.Meta, events Events, now time.Time) ([]Message, error) {
	out, err := m.emit(events, now, request.Flow, "", 0, "")
	return out, err
}

func (m *Emitter) emit(events Events, now time.Time, flow, cause string, hop int, trace string) ([]Message, error) {
	if len(events) == 0 {
		return nil, nil
	}
	out := make([]Message, len(events))
	seen := make(map[[2]string]int, len(events)) // type and key: how many so far
	for i, emission := range events {
		e := emission.Event
		if e == nil {
			return nil, Permanent(fmt.Errorf("%s: reaction %s emitted a nil event", m.Service, m.Reaction))
		}
		t := e.EventType()
		if !slices.Contains(m.Declared, t) {
			return nil, Permanent(&UndeclaredError{m.Service, m.Reaction, t})
		}
		key := e.Key()
		same := [2]string{t.FullName(), key}
		n := seen[same]
		seen[same]++

		id := flow // the first event of a flow gives it its id
		if cause != "" || i > 0 {
			id = event.DeriveID(first(cause, flow), m.Service, m.Reaction, t.FullName(), key, strconv.Itoa(n), salt)
		}
		envelope := event.Envelope{
			ID: id, Type: t.FullName(), Source: Source(m.Service), Time: now, Subject: key, DataSchema: t.String(),
			Flow: flow, Cause: cause, Reaction: m.Reaction, EmitIndex: i + 1, EmitCount: len(events), Hop: hop, TraceParent: trace,
		}
		value, err := contract.Append(nil, e)
		if err != nil {
			return nil, Permanent(fmt.Errorf("%s: reaction %s emitted a %s that its schema refuses: %w", m.Service, m.Reaction, t, err))
		}
		out[i] = Message{Domain: t.Domain, Value: value, Headers: envelope.AppendHeaders(make([]event.Header, 0, 16)), ID: id, Type: t}
		if key != "" {
			out[i].Key = []byte(key)
		}
	}
	return out, nil
}

func first(a, b string) string {
	if a != "" {
		return a
	}
	return b
}
