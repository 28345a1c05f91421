package choreo

import (
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"

	"github.com/troupedev/troupe/platform/contract"
	"github.com/troupedev/troupe/platform/event"
)

// Topology is every service that is known here. Everything else is read off
// it: topics, groups, documentation, tests.
type Topology []Service

// Service finds a service by name.
func (t Topology) Service(name string) (*Service, bool) {
	i := slices.IndexFunc(t, func(s Service) bool { return s.Name == name })
	if i < 0 {
		return nil, false
	}
	return &t[i], true
}

// Names are the names of all services, in the order of the topology.
func (t Topology) Names() []string {
	names := make([]string, len(t))
	for i := range t {
		names[i] = t[i].Name
	}
	return names
}

// Select returns the topology of the services named; of all, where no name is given.
func (t Topology) Select(names ...string) (Topology, error) {
	if len(names) == 0 {
		return t, nil
	}
	var out Topology
	var faults []error
	for _, name := range names {
		s, ok := t.Service(name)
		switch {
		case !ok:
			faults = append(faults, fmt.Errorf("there is no service %q; there are %v", name, t.Names()))
		case slices.Contains(out.Names(), name):
			faults = append(faults, fmt.Errorf("service %q is named twice", name))
		default:
			out = append(out, *s)
		}
	}
	return out, errors.Join(faults...)
}

// Types are the versions of events that the topology's declarations name, in
// the order of their names.
func (t Topology) Types() []*event.Type {
	set := map[*event.Type]bool{}
	for i := range t {
		s := &t[i]
		for j := range s.Reactions {
			for _, heard := range s.Reactions[j].Hears() {
				set[heard] = true
			}
		}
		for _, e := range s.emits() {
			set[e] = true
		}
	}
	return slices.SortedFunc(maps.Keys(set), func(a, b *event.Type) int {
		if a.FullName() == b.FullName() {
			return a.Version - b.Version
		}
		if a.FullName() < b.FullName() {
			return -1
		}
		return 1
	})
}

// Topics are the domains that the topology's events belong to, by name.
func (t Topology) Topics() []*event.Topic {
	var out []*event.Topic
	for _, typ := range t.Types() {
		if !slices.Contains(out, typ.Topic) {
			out = append(out, typ.Topic)
		}
	}
	return out
}

// Hears are the domains that the service hears, sorted; those of which it only
// answers requests are not among them.
func (s *Service) Hears() []string {
	return s.domains(func(r *Reaction) bool { return r.reply == nil })
}

// Answers are the domains of the requests that the service answers, sorted.
func (s *Service) Answers() []string {
	return s.domains(func(r *Reaction) bool { return r.reply != nil })
}

func (s *Service) domains(of func(*Reaction) bool) []string {
	var out []string
	for i := range s.Reactions {
		if r := &s.Reactions[i]; of(r) {
			out = append(out, r.Domains()...)
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// Asks are the requests that the service may emit.
func (s *Service) Asks() []*event.Type {
	return slices.DeleteFunc(s.emits(), func(t *event.Type) bool { return t.Reply == "" })
}

// emits are all events that the service's reactions and routes may emit.
func (s *Service) emits() []*event.Type {
	var all []event.Event
	for i := range s.Reactions {
		all = append(all, s.Reactions[i].options.emits...)
	}
	for _, r := range s.Routes {
		all = append(all, collect(r.Options()).emits...)
	}
	return types(all)
}

// EmittedBy are the events that a route may emit.
func EmittedBy(r Route) []*event.Type { return types(collect(r.Options()).emits) }

// Decoder returns a function that decodes any event that a declaration of the
// topology names, in the newest version named, for [OnTopic]. Its second result
// is false for a name that no declaration has.
func (t Topology) Decoder() func(name string, value []byte) (event.Event, bool, error) {
	newest := map[string]event.Event{}
	for i := range t {
		for _, e := range t[i].prototypes() {
			name := e.EventType().FullName()
			if known, ok := newest[name]; !ok || known.EventType().Version < e.EventType().Version {
				newest[name] = e
			}
		}
	}
	return func(name string, value []byte) (event.Event, bool, error) {
		e, ok := newest[name]
		if !ok {
			return nil, false, nil
		}
		into := reflect.New(reflect.TypeOf(e))
		if err := contract.Decode(value, e.EventType(), into.Interface().(contract.Decoder)); err != nil {
			return nil, true, err
		}
		return into.Elem().Interface().(event.Event), true, nil
	}
}

func (s *Service) prototypes() []event.Event {
	var out []event.Event
	for i := range s.Reactions {
		r := &s.Reactions[i]
		out = append(out, r.options.emits...)
		for _, in := range r.inputs {
			out = append(out, in.zero)
		}
	}
	for _, r := range s.Routes {
		out = append(out, collect(r.Options()).emits...)
	}
	return out
}
