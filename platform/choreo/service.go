package choreo

import (
	"context"
	"fmt"
	"time"

	"github.com/troupedev/troupe/platform/contract"
	"github.com/troupedev/troupe/platform/event"
)

// Service declares what one service hears, may emit, and serves over HTTP.
type Service struct {
	Name string // lower case; also its consumer group and ce_source
	Doc  string // one sentence

	// Settings is a pointer to a struct whose fields carry env, default and doc
	// tags; it is filled before Start is called. Nil: no settings.
	Settings any
	// Start opens clients, after Settings are filled. Nil: nothing to open.
	Start func(context.Context) error
	// Routes are the HTTP routes that start flows or answer questions; made by package web.
	Routes []Route
	// Reactions are what the service does when it hears something.
	Reactions []Reaction
}

// Route is an HTTP route, made by package web.
type Route interface {
	Pattern() (method, path string)
	// Options are those that the route was declared with; of them, Emits counts.
	Options() []Option
}

// Defaults of a reaction.
const (
	DefaultTimeout = 30 * time.Second
	DefaultHops    = 32 // events that one flow may be deep before it counts as a loop
)

// Reaction is one handler with what it hears and may emit, its generics
// erased. [On] and [OnTopic] make it.
type Reaction struct {
	name    string
	hears   *event.Type // nil: every event of the domain
	zero    event.Event // of the type heard; nil with hears
	domain  string
	options options
	decode  func(value []byte) (event.Event, error)
	handle  func(context.Context, event.Event) (Events, error)
}

// byValue refuses events whose generated methods are on the pointer, and
// handlers of pointers, at compile time.
type byValue[E any] interface {
	*E
	contract.Decoder
}

// On declares that h runs for each event of type E that the options let through.
// E is one version of the event; records of its other versions are resolved to it.
func On[E event.Event, P byValue[E]](h func(context.Context, E) (Events, error), o ...Option) Reaction {
	var zero E
	t := zero.EventType()
	r := Reaction{
		name:    t.Name,
		hears:   t,
		zero:    zero,
		domain:  t.Domain,
		options: collect(o),
		decode: func(value []byte) (event.Event, error) {
			var e E
			if err := contract.Decode(value, t, P(&e)); err != nil {
				return nil, err
			}
			return e, nil
		},
	}
	if h == nil {
		return r // Validate says so
	}
	r.handle = func(ctx context.Context, e event.Event) (Events, error) {
		heard, ok := e.(E)
		if !ok {
			return nil, Permanent(fmt.Errorf("got a %T where %s hears a %T", e, t, zero))
		}
		return h(ctx, heard)
	}
	return r
}

// OnTopic declares that h runs for every event of a domain of which the
// topology knows the type, in the version that the topology declares (the
// newest, where it declares several).
func OnTopic(domain string, h func(context.Context, event.Event) (Events, error), o ...Option) Reaction {
	return Reaction{name: domain, domain: domain, options: collect(o), handle: h}
}

// Name identifies the reaction within its service: the event that it hears,
// or what [Named] says.
func (r *Reaction) Name() string {
	if r.options.name != "" {
		return r.options.name
	}
	return r.name
}

// Hears is the version of the event that the handler takes; nil for [OnTopic].
func (r *Reaction) Hears() *event.Type { return r.hears }

// Domain is the domain, and so the topic, that the reaction hears.
func (r *Reaction) Domain() string { return r.domain }

// Emits are the events that the reaction may emit.
func (r *Reaction) Emits() []*event.Type { return types(r.options.emits) }

// Timeout bounds one attempt.
func (r *Reaction) Timeout() time.Duration { return r.options.timeout }

// Retry is how often and when the reaction is tried again.
func (r *Reaction) Retry() Retry { return r.options.retry }

// Within is the time after which the reaction counts as late, retries included.
func (r *Reaction) Within() time.Duration {
	if r.options.within > 0 {
		return r.options.within
	}
	return r.longest()
}

// longest is how long all attempts and the waits between them can take.
func (r *Reaction) longest() time.Duration {
	return plus(times(r.options.retry.Attempts, r.options.timeout), r.options.retry.longest())
}

// Filter is what [Where] and [Either] say, all of which must hold.
func (r *Reaction) Filter() Filter { return r.options.filter }

// Decode reads a record's value as the event that the handler takes. It must
// not be called for [OnTopic], whose events are decoded by [Topology.Decode].
func (r *Reaction) Decode(value []byte) (event.Event, error) { return r.decode(value) }

// Handle runs the handler once. It does not recover panics.
func (r *Reaction) Handle(ctx context.Context, e event.Event) (Events, error) {
	return r.handle(ctx, e)
}

// Emission is one event to emit.
type Emission struct {
	Event event.Event
}

// Events are what a handler emits; nil: nothing to say.
type Events []Emission

// Emit says that the events happened.
func Emit(events ...event.Event) Events {
	out := make(Events, len(events))
	for i, e := range events {
		out[i] = Emission{e}
	}
	return out
}
