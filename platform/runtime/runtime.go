// Package runtime runs services on a broker: it fetches what they hear, runs
// their handlers, and produces what these emit, at least once and in order per
// key.
//
// The logic is apart from the I/O. [Service] judges a record (judge.go) and
// runs a handler on it (handle.go); it needs no broker, and package choreotest
// uses it alone. A machine (partition.go) decides for one partition what is
// handled when, tried again, given up and committed; it is pure, and a seeded
// simulation drives it through whole lives of a group. What is left is a
// driver: an owner (owner.go) is the one goroutine of a partition, a pool
// (pool.go) the workers of a service, a member (member.go) the service in its
// consumer group, a committer (commit.go) its offsets, and a finisher
// (finish.go) the one seam through which completed work leaves.
// [Health] says what is stuck.
//
// A service that answers requests has a second member, in a group of its own
// (answer.go); one that asks has an asker (ask.go), one with a database a relay
// of what it emitted (package store). A [Directory] knows who else runs.
//
// It does not fill a service's settings nor start it, open its database, serve
// HTTP, or know what became of a flow. Start reading at [Run], then
// [Service.Judge] and [Service.Handle], then machine.
package runtime

import (
	"context"
	"math/rand/v2"

	"github.com/troupedev/troupe/platform/choreo"
	"github.com/troupedev/troupe/platform/contract"
	"github.com/troupedev/troupe/platform/event"
	"github.com/troupedev/troupe/platform/store"
)

// ServiceOptions are what judging and handling depend on besides the
// declaration. The zero value is usable.
type ServiceOptions struct {
	// Prefix is the prefix of topic names. Default: none.
	Prefix string
	// Hops is how deep a flow may be before an event of it counts as part of a
	// loop. Default [choreo.DefaultHops].
	Hops int
	// Jitter is the source of the random part of waits, from 0 up to 1, and is
	// called from many goroutines. Default: rand.Float64 of math/rand/v2.
	Jitter func() float64
	// Database is the service's, for one that declares a Store. Nil: its
	// handlers run without a transaction.
	Database Database
	// Expects names the services that are to answer an event, as
	// [Directory.Expects] does. Nil: nobody gathers.
	Expects func(*event.Type) []string
	// Ask publishes a request, finished but for its partition, and returns the
	// value of its reply as it was on the wire; it gives up when ctx ends, with a
	// [choreo.NoReplyError] where that is by its deadline. Nil: handlers cannot ask.
	Ask func(ctx context.Context, request choreo.Message) (reply []byte, err error)
}

// Database is what handling needs of a service's database: a [store.DB].
type Database interface {
	Handle(context.Context, store.Entry, func(context.Context) ([]choreo.Message, error)) (duplicate bool, err error)
	Read(context.Context, func(context.Context) error) error
}

// Service is one service's declaration, compiled for looking up what to do
// with a record. It may be used by many goroutines: what one attempt leaves behind
// for the next is in their [Work].
type Service struct {
	options   ServiceOptions
	name      string
	answering bool                // it has the answers, and nothing else
	topics    map[string]*hearing // by topic name, prefix included
	schemas   *contract.Index     // every schema that the topology knows
	decodeAny func(name string, value []byte) (event.Event, bool, error)
}

// hearing is what a service hears on one topic.
type hearing struct {
	events map[string][]version // by full name
	all    []*handler           // the reactions to every event of the domain
}

// version is one version of an event, and the reactions that declare it: the
// value is decoded once for all of them.
type version struct {
	typ      *event.Type
	handlers []*handler
}

// handler is a reaction with the emitter for what it emits.
type handler struct {
	reaction *choreo.Reaction
	emitter  choreo.Emitter
}

// NewService compiles the service s, which is part of the topology t: from t
// come the events that an [choreo.OnTopic] reaction can hear. Reactions that
// answer requests are left out: see [NewAnswers].
func NewService(t choreo.Topology, s *choreo.Service, o ServiceOptions) *Service {
	return compile(t, s, o, false)
}

// NewAnswers compiles those reactions of the service s that answer requests,
// and no others. Of a work Handled, Result.Messages is the reply.
func NewAnswers(t choreo.Topology, s *choreo.Service, o ServiceOptions) *Service {
	return compile(t, s, o, true)
}

func compile(t choreo.Topology, s *choreo.Service, o ServiceOptions, answering bool) *Service {
	c := &Service{
		options:   o,
		name:      s.Name,
		answering: answering,
		topics:    map[string]*hearing{},
		schemas:   contract.NewIndex(t.Types()...),
		decodeAny: t.Decoder(),
	}
	if c.options.Hops == 0 {
		c.options.Hops = choreo.DefaultHops
	}
	if c.options.Jitter == nil {
		c.options.Jitter = rand.Float64
	}
	for i := range s.Reactions {
		if r := &s.Reactions[i]; answering == (r.Reply() != nil) {
			c.hear(r)
		}
	}
	return c
}

// hear indexes a reaction by what it hears.
func (s *Service) hear(r *choreo.Reaction) {
	one := &handler{r, choreo.Emitter{
		Service: s.name, Reaction: r.Name(), Declared: r.Emits(), Stored: s.options.Database != nil && !s.answering, Expects: s.options.Expects,
	}}
	if len(r.Hears()) == 0 {
		h := s.topic(choreo.TopicName(s.options.Prefix, r.Domains()[0]))
		h.all = append(h.all, one)
	}
	for _, typ := range r.Hears() {
		s.topic(choreo.TopicName(s.options.Prefix, typ.Domain)).add(typ, one)
	}
}

func (s *Service) topic(name string) *hearing {
	h := s.topics[name]
	if h == nil {
		h = &hearing{events: map[string][]version{}}
		s.topics[name] = h
	}
	return h
}

func (h *hearing) add(typ *event.Type, one *handler) {
	versions := h.events[typ.FullName()]
	for i := range versions {
		if versions[i].typ == typ {
			versions[i].handlers = append(versions[i].handlers, one)
			return
		}
	}
	h.events[typ.FullName()] = append(versions, version{typ, []*handler{one}})
}

// Name is the service's name.
func (s *Service) Name() string { return s.name }
