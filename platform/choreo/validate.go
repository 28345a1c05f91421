package choreo

import (
	"errors"
	"fmt"
	"regexp"

	"github.com/troupedev/troupe/platform/event"
)

var serviceName = regexp.MustCompile(`^[a-z][a-z0-9-]*$`)

// Validate returns every fault of the topology, joined; nil where there is none.
func (t Topology) Validate() error {
	v := validation{emitted: map[string]bool{}, known: map[string]bool{}}
	for i := range t {
		for _, e := range t[i].emits() {
			v.emitted[e.FullName()] = true
			v.known[e.Domain] = true
		}
	}
	names := map[string]bool{}
	routes := map[string]string{}
	for i := range t {
		s := &t[i]
		if names[s.Name] {
			v.fault("%s: two services have this name", s.Name)
		}
		names[s.Name] = true
		v.service(s)
		v.routes(s, routes)
	}
	return errors.Join(v.faults...)
}

type validation struct {
	emitted map[string]bool // full names of the events that some service emits
	known   map[string]bool // domains of these
	faults  []error
}

func (v *validation) fault(format string, args ...any) {
	v.faults = append(v.faults, fmt.Errorf(format, args...))
}

func (v *validation) service(s *Service) {
	if !serviceName.MatchString(s.Name) {
		v.fault("service %q: a name is lower-case letters, digits and dashes, and begins with a letter", s.Name)
	}
	if s.Doc == "" {
		v.fault("%s: Doc is missing; say in one sentence what the service does", s.Name)
	}
	if len(s.Reactions) == 0 && len(s.Routes) == 0 {
		v.fault("%s: it hears nothing and serves nothing; declare Reactions or Routes", s.Name)
	}
	for _, err := range settingFaults(s) {
		v.fault("%s: %w", s.Name, err)
	}
	for _, e := range s.emits() {
		v.domain(s.Name, e.Domain)
	}
	reactions := map[string]bool{}
	for i := range s.Reactions {
		r := &s.Reactions[i]
		if reactions[r.Name()] {
			v.fault("%s: two reactions are called %s; give one of them another name by choreo.Named", s.Name, r.Name())
		}
		reactions[r.Name()] = true
		v.reaction(s.Name+": reaction "+r.Name(), r)
	}
}

func (v *validation) reaction(at string, r *Reaction) {
	v.domain(at, r.domain)
	for _, err := range r.options.faults {
		v.fault("%s: %w", at, err)
	}
	if r.options.within > 0 && r.options.within < r.longest() {
		v.fault("%s: it counts as late after %v, but its %d attempts of %v and the waits between them can take %v; raise Within or lower Retries or Timeout",
			at, r.options.within, r.options.retry.Attempts, r.options.timeout, r.longest())
	}
	switch {
	case r.hears == nil && len(r.options.filter) > 0:
		v.fault("%s: it hears every event of %s, whose fields differ, so it cannot have a filter", at, r.domain)
	case r.hears == nil && !v.known[r.domain]:
		v.fault("%s: nobody emits an event of domain %s", at, r.domain)
	case r.hears != nil:
		v.heard(at, r.hears)
		for _, err := range r.options.filter.fits(r.hears) {
			v.fault("%s: %w", at, err)
		}
	}
}

func (v *validation) heard(at string, t *event.Type) {
	if !v.emitted[t.FullName()] && !t.External {
		v.fault("%s: nobody emits %s; add it to the Emits of a reaction or route, or call it external in %s's domain.yaml",
			at, t.FullName(), t.Domain)
	}
}

func (v *validation) domain(at, domain string) {
	if isReserved(domain) {
		v.fault("%s: domain %s is the name of Troupe's own topics; call it otherwise", at, domain)
	}
}

func (v *validation) routes(s *Service, taken map[string]string) {
	for _, r := range s.Routes {
		method, path := r.Pattern()
		pattern := method + " " + path
		if other, ok := taken[pattern]; ok {
			v.fault("%s: route %s is served by %s already", s.Name, pattern, other)
		}
		taken[pattern] = s.Name
		for _, err := range collect(r.Options()).faults {
			v.fault("%s: route %s: %w", s.Name, pattern, err)
		}
	}
}
