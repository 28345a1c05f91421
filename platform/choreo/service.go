package choreo

import (
	"context"
	"fmt"
	"io/fs"
	"slices"
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
	// Store is the service's database, made by store.Tables. With one, each
	// handler runs in a transaction that holds what it changes, what it emits,
	// and that it was done. Nil: no database.
	Store Store
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

// Store says that a service has a database. Package store makes it.
type Store interface {
	// Migrations are the service's tables: goose migrations, SQL files at the
	// root of the file system.
	Migrations() fs.FS
}

// Reaction is one handler with what it hears and may emit, its generics
// erased. [On], [OnTopic], [Answer] and [Gather] make it.
type Reaction struct {
	name    string
	inputs  []input // none: every event of the domain
	domain  string  // of the first input
	reply   *event.Type
	options options
	handle  func(context.Context, event.Event) (Events, error)
}

// input is one event that a reaction hears.
type input struct {
	typ    *event.Type
	zero   event.Event
	decode func(value []byte) (event.Event, error)
}

// byValue refuses events whose generated methods are on the pointer, and
// handlers of pointers, at compile time.
type byValue[E any] interface {
	*E
	contract.Decoder
}

func inputOf[E event.Event, P byValue[E]]() input {
	var zero E
	t := zero.EventType()
	return input{t, zero, func(value []byte) (event.Event, error) {
		var e E
		if err := contract.Decode(value, t, P(&e)); err != nil {
			return nil, err
		}
		return e, nil
	}}
}

// On declares that h runs for each event of type E that the options let through.
// E is one version of the event; records of its other versions are resolved to it.
func On[E event.Event, P byValue[E]](h func(context.Context, E) (Events, error), o ...Option) Reaction {
	in := inputOf[E, P]()
	r := Reaction{name: in.typ.Name, inputs: []input{in}, domain: in.typ.Domain, options: collect(o)}
	if h == nil {
		return r // Validate says so
	}
	r.handle = func(ctx context.Context, e event.Event) (Events, error) {
		heard, ok := e.(E)
		if !ok {
			return nil, unexpected(e, in)
		}
		return h(ctx, heard)
	}
	return r
}

func unexpected(e event.Event, in input) error {
	return Permanent(fmt.Errorf("got a %T where %s hears a %T", e, in.typ, in.zero))
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

// Hears are the versions of the events that the handler takes: one, two of a
// [Gather] (the request first), none of [OnTopic].
func (r *Reaction) Hears() []*event.Type {
	types := make([]*event.Type, len(r.inputs))
	for i, in := range r.inputs {
		types[i] = in.typ
	}
	return types
}

// Domains are the domains, and so the topics, that the reaction hears.
func (r *Reaction) Domains() []string {
	domains := []string{r.domain}
	for _, in := range r.inputs {
		if !slices.Contains(domains, in.typ.Domain) {
			domains = append(domains, in.typ.Domain)
		}
	}
	return domains
}

// Reply is the event by which the reaction answers; nil where it is no [Answer].
func (r *Reaction) Reply() *event.Type { return r.reply }

// Gathers reports whether the reaction is a [Gather].
func (r *Reaction) Gathers() bool { return len(r.inputs) == 2 }

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

// Decode reads a record's value as t, which is one of [Reaction.Hears]. Events
// for [OnTopic] are decoded by [Topology.Decoder].
func (r *Reaction) Decode(t *event.Type, value []byte) (event.Event, error) {
	i := slices.IndexFunc(r.inputs, func(in input) bool { return in.typ == t })
	if i < 0 {
		return nil, fmt.Errorf("reaction %s does not hear %s", r.Name(), t)
	}
	return r.inputs[i].decode(value)
}

// Handle runs the handler once. It does not recover panics.
func (r *Reaction) Handle(ctx context.Context, e event.Event) (Events, error) {
	return r.handle(ctx, e)
}

// Emission is one event to emit.
type Emission struct {
	Event event.Event
	After time.Duration // how much later than now; 0: now
}

// Events are what a handler emits; nil: nothing to say.
type Events []Emission

// Emit says that the events happened.
func Emit(events ...event.Event) Events {
	return Events(nil).After(0, events...)
}

// After adds events that will happen when d has passed. They are kept in the
// service's outbox, also over restarts, so the service needs a Store. Nothing
// takes them back: whoever hears one looks whether it still matters.
func (e Events) After(d time.Duration, events ...event.Event) Events {
	for _, later := range events {
		e = append(e, Emission{later, d})
	}
	return e
}
