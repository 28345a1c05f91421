// Package event is what every event carries: its type, its ids and times, and
// the headers that put them on the wire.
//
// It knows neither Kafka nor Avro, and imports the standard library only.
// Start with [Event] and [Type] (what generated code implements), then [Meta]
// (what a handler can ask for) and [Envelope] (what travels in headers).
package event

import (
	"context"
	"fmt"
	"time"
)

// Event is implemented by generated types only, with value receivers.
type Event interface {
	// EventType is the version of the event that the Go type was generated from.
	EventType() *Type
	// Key is the text of the field that the schema marks as key: the record
	// key, and the unit of order. Empty means that the event has no key.
	Key() string
}

// Request is an event that asks, and R the event that answers it: its schema
// says "reply", and the generator writes Reply, which is never called.
type Request[R Event] interface {
	Event
	Reply(R)
}

// Topic is a domain as its domain.yaml declares it: one Kafka topic.
type Topic struct {
	Name  string // domain name, and the topic's name before any prefix
	Owner string // team that owns the domain's contracts
	Doc   string

	Partitions  int           // default 4; never raised unasked
	Retention   time.Duration // how long records are kept; default 7 days, negative: for ever
	Replication int           // copies of each record; 0: the broker's own default
}

// Type describes one version of one event. Generated code holds one for each
// version that is not retired, and for retired ones too, since their records
// may still have to be read.
type Type struct {
	Domain  string // "orders"
	Name    string // "OrderPlaced"
	Version int    // from 1
	ID      int32  // schema id on the wire: 31 bits of a hash, from the domain's lock
	Schema  string // Avro schema, as JSON
	Topic   *Topic // the domain's topic

	Reply    string // of a request: full name of the event that answers it
	External bool   // emitted by somebody outside; domain.yaml says so

	fullName, text string
	family         []*Type
}

// Versions makes the types of all versions of one event, oldest first, and
// lets each know the others. Called by generated code.
func Versions(types ...Type) []*Type {
	family := make([]*Type, len(types))
	for i := range types {
		t := &types[i]
		t.fullName = t.Domain + "." + t.Name
		t.text = fmt.Sprintf("%s/v%d", t.fullName, t.Version)
		t.family = family
		family[i] = t
	}
	return family
}

// FullName is the event's name without its version, as in ce_type and as the
// registry's subject: "orders.OrderPlaced".
func (t *Type) FullName() string { return t.fullName }

// String is the full name and version, as in ce_dataschema: "orders.OrderPlaced/v2".
func (t *Type) String() string { return t.text }

// Family is every known version of the event, oldest first, t among them.
func (t *Type) Family() []*Type { return t.family }

// Meta is what a handler may want to know of the event that it hears, or of
// the request that it answers.
type Meta struct {
	ID      string    // of this event; the same each time it is handled
	Flow    string    // id of the flow's first event
	Cause   string    // id of the event that led to this one; empty at a root
	Source  string    // who emitted it: "/services/orders"; empty at a request
	Key     string    // the record's key
	Expects []string  // names of the services that are to answer it, where somebody gathers the answers; nil: none does, or its producer did not say
	Attempt int       // from 1
	Hop     int       // events between the flow's first one and this; 0 at a root
	Time    time.Time // when the event was emitted
	Trace   string    // its W3C traceparent; empty: it is not traced
}

type metaKey struct{}

// With returns a context that carries m.
func With(ctx context.Context, m Meta) context.Context {
	return context.WithValue(ctx, metaKey{}, m)
}

// From returns what [With] put into ctx: in a handler, the event in hand; in
// an HTTP handler, the request, with ID and Flow being those of the first
// event that it emits. The zero Meta outside of both.
func From(ctx context.Context) Meta {
	m, _ := ctx.Value(metaKey{}).(Meta)
	return m
}
