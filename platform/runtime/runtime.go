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
// It does not fill a service's settings nor start it, serve HTTP, or know what
// became of a flow. Start reading at [Run], then [Service.Judge] and
// [Service.Handle], then machine.
package runtime

import (
	"math/rand/v2"

	"github.com/troupedev/troupe/platform/choreo"
	"github.com/troupedev/troupe/platform/contract"
	"github.com/troupedev/troupe/platform/event"
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
}

// Service is one service's declaration, compiled for looking up what to do
// with a record. It holds no state and may be used by many goroutines.
type Service struct {
	name      string
	hops      int
	jitter    func() float64
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
// come the events that an [choreo.OnTopic] reaction can hear.
func NewService(t choreo.Topology, s *choreo.Service, o ServiceOptions) *Service {
	c := &Service{
		name:      s.Name,
		hops:      o.Hops,
		jitter:    o.Jitter,
		topics:    map[string]*hearing{},
		schemas:   contract.NewIndex(t.Types()...),
		decodeAny: t.Decoder(),
	}
	if c.hops == 0 {
		c.hops = choreo.DefaultHops
	}
	if c.jitter == nil {
		c.jitter = rand.Float64
	}
	for i := range s.Reactions {
		r := &s.Reactions[i]
		c.hear(o.Prefix, r)
	}
	return c
}

// hear indexes a reaction by what it hears.
func (s *Service) hear(prefix string, r *choreo.Reaction) {
	one := &handler{r, choreo.Emitter{Service: s.name, Reaction: r.Name(), Declared: r.Emits()}}
	if len(r.Hears()) == 0 {
		h := s.topic(choreo.TopicName(prefix, r.Domains()[0]))
		h.all = append(h.all, one)
	}
	for _, typ := range r.Hears() {
		s.topic(choreo.TopicName(prefix, typ.Domain)).add(typ, one)
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
