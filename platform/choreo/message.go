package choreo

import (
	"cmp"
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
	Topic   string // full name of the topic, where it is not the domain's: that of a reply
	Key     []byte // nil: the event has no key
	Value   []byte
	Headers []event.Header
	ID      string
	Type    *event.Type
	Due     time.Time // not to be published before; zero: now
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
	// Stored says that messages go through the service's database, so that
	// some may be due later.
	Stored bool
	// Expects names the services that are to answer an event, where somebody
	// gathers the answers, and is nil for any other. Nil: nobody gathers.
	Expects func(*event.Type) []string
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

// Emit returns the messages for events, caused by parent. now is ce_time; of
// an event that is due later, it is when it is due.
func (m *Emitter) Emit(parent *event.Envelope, events Events, now time.Time) ([]Message, error) {
	return m.emit(events, now, event.Envelope{Flow: parent.Flow, Cause: parent.ID, Hop: parent.Hop + 1, TraceParent: parent.TraceParent})
}

// EmitRoot returns the messages for events that a request led to: the first
// one's id is the request's, which is also the flow's.
func (m *Emitter) EmitRoot(request event.Meta, events Events, now time.Time) ([]Message, error) {
	return m.emit(events, now, event.Envelope{Flow: request.Flow})
}

// Reply returns the message of the reply to a request: it goes to the topic that
// the request names, else to that of the reply's domain.
func (m *Emitter) Reply(request *event.Envelope, reply Events, now time.Time) ([]Message, error) {
	out, err := m.Emit(request, reply, now)
	for i := range out {
		out[i].Topic = request.ReplyTo
	}
	return out, err
}

// Request returns the message of a request, asked by the handler of parent. It
// has a new id each time, since each is a question of its own; whoever answers
// later than expiry need not.
func (m *Emitter) Request(parent event.Meta, request event.Event, replyTo string, now, expiry time.Time) (Message, error) {
	t := request.EventType()
	return m.message(t, request, event.Envelope{
		ID: event.NewID(now), Time: now, Flow: parent.Flow, Cause: parent.ID, Hop: parent.Hop + 1, Expiry: expiry, ReplyTo: replyTo,
		TraceParent: parent.Trace,
	})
}

// emit returns the messages for events; all of them have what base says.
func (m *Emitter) emit(events Events, now time.Time, base event.Envelope) ([]Message, error) {
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
		t, key := e.EventType(), e.Key()
		same := [2]string{t.FullName(), key}
		n := seen[same]
		seen[same]++

		envelope := base
		envelope.ID = base.Flow // the first event of a flow gives it its id
		if base.Cause != "" || i > 0 {
			envelope.ID = event.DeriveID(cmp.Or(base.Cause, base.Flow), m.Service, m.Reaction, t.FullName(), key, strconv.Itoa(n), salt)
		}
		envelope.EmitIndex, envelope.EmitCount = i+1, len(events)
		envelope.Time = now.Add(emission.After)
		if m.Expects != nil {
			envelope.Expects = m.Expects(t)
		}
		var err error
		if out[i], err = m.message(t, e, envelope); err != nil {
			return nil, err
		}
		if emission.After > 0 {
			out[i].Due = envelope.Time
		}
		if err := m.keeps(&out[i]); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// MaxStoredBytes is how large a message of a service with a database may be:
// key, value and headers. Brokers take that much unless they are told otherwise,
// and what one never takes would hold up all that is behind it in the outbox.
const MaxStoredBytes = 1_000_000

// keeps says why the service's database, or the lack of one, rules a message out.
func (m *Emitter) keeps(out *Message) error {
	if !m.Stored {
		if out.Due.IsZero() {
			return nil
		}
		return Permanent(fmt.Errorf("%s: reaction %s emitted a %s for later, which needs a database; declare a Store", m.Service, m.Reaction, out.Type))
	}
	size := len(out.Key) + len(out.Value)
	for _, h := range out.Headers {
		size += len(h.Key) + len(h.Value)
	}
	if size > MaxStoredBytes {
		return Permanent(fmt.Errorf("%s: reaction %s emitted a %s of %d bytes; no broker need take more than %d: split it, or keep the data elsewhere and emit where it is",
			m.Service, m.Reaction, out.Type, size, MaxStoredBytes))
	}
	return nil
}

// message encodes one event; of the envelope, what follows from the event is filled in.
func (m *Emitter) message(t *event.Type, e event.Event, envelope event.Envelope) (Message, error) {
	if !slices.Contains(m.Declared, t) {
		return Message{}, Permanent(&UndeclaredError{m.Service, m.Reaction, t})
	}
	value, err := contract.Append(nil, e)
	if err != nil {
		return Message{}, Permanent(fmt.Errorf("%s: reaction %s emitted a %s that its schema refuses: %w", m.Service, m.Reaction, t, err))
	}
	envelope.Source, envelope.Reaction = Source(m.Service), m.Reaction
	return wrap(t, e.Key(), value, envelope), nil
}

// FromJSON returns the message of an event that no handler emitted, from its
// fields as plain JSON, as contract.EncodeJSON takes them and says of them what
// is wrong. Of the envelope, what follows from the event is filled in.
func FromJSON(t *event.Type, text []byte, envelope event.Envelope) (Message, error) {
	value, err := contract.EncodeJSON(t, text)
	if err != nil {
		return Message{}, err
	}
	key, err := contract.KeyOf(t, value)
	if err != nil {
		return Message{}, err
	}
	return wrap(t, key, value, envelope), nil
}

// wrap puts an encoded event into its message.
func wrap(t *event.Type, key string, value []byte, envelope event.Envelope) Message {
	envelope.Type, envelope.DataSchema, envelope.Subject = t.FullName(), t.String(), key
	out := Message{Domain: t.Domain, Value: value, Headers: envelope.AppendHeaders(make([]event.Header, 0, 16)), ID: envelope.ID, Type: t}
	if key != "" {
		out.Key = []byte(key)
	}
	return out
}
