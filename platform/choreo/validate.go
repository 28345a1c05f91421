package choreo

import (
	"errors"
	"fmt"
	"iter"
	"regexp"
	"slices"

	"github.com/troupedev/troupe/platform/event"
)

var serviceName = regexp.MustCompile(`^[a-z][a-z0-9-]*$`)

// Validate returns every fault of the topology, joined; nil where there is
// none: those of each service, and what does not hold between services.
func (t Topology) Validate() error {
	emitted := map[string]bool{} // full names of events that somebody emits, here or outside
	domains := map[string]bool{} // of these
	for _, e := range t.Types() {
		if e.External {
			emitted[e.FullName()], domains[e.Domain] = true, true
		}
	}
	for i := range t {
		for _, e := range t[i].emits() {
			emitted[e.FullName()], domains[e.Domain] = true, true
		}
	}
	var f faults
	names, routes := map[string]bool{}, map[string]string{}
	answering := f.answers(t)
	f.gathering(t)
	for i := range t {
		s := &t[i]
		if names[s.Name] {
			f.add("%s: two services have this name", s.Name)
		}
		names[s.Name] = true
		f.list = append(f.list, s.faults()...)
		f.unheardOf(s, emitted, domains)
		f.routesTaken(s, routes)
		f.unanswered(s, answering)
	}
	return errors.Join(f.list...)
}

// Validate returns every fault of the service that can be told without knowing
// any other, joined; nil where there is none.
func (s *Service) Validate() error { return errors.Join(s.faults()...) }

// faults collects errors.
type faults struct{ list []error }

func (f *faults) add(format string, args ...any) {
	f.list = append(f.list, fmt.Errorf(format, args...))
}

func (s *Service) faults() []error {
	var f faults
	if !serviceName.MatchString(s.Name) {
		f.add("service %q: a name is lower-case letters, digits and dashes, and begins with a letter", s.Name)
	}
	if s.Doc == "" {
		f.add("%s: Doc is missing; say in one sentence what the service does", s.Name)
	}
	if len(s.Reactions) == 0 && len(s.Routes) == 0 {
		f.add("%s: it hears nothing and serves nothing; declare Reactions or Routes", s.Name)
	}
	for _, err := range settingFaults(s) {
		f.add("%s: %w", s.Name, err)
	}
	for _, e := range s.emits() {
		f.domain(s.Name, e.Domain)
	}
	for _, r := range s.Routes {
		for _, err := range collect(r.Options()).faults {
			f.add("%s: route %s: %w", s.Name, pattern(r), err)
		}
	}
	names := map[string]bool{}
	for i := range s.Reactions {
		r := &s.Reactions[i]
		if names[r.Name()] {
			f.add("%s: two reactions are called %s; give one of them another name by choreo.Named", s.Name, r.Name())
		}
		names[r.Name()] = true
		f.reaction(s.at(r), r)
		if r.Gathers() && s.Store == nil {
			f.add("%s: it gathers, which needs a database; declare a Store", s.at(r))
		}
	}
	return f.list
}

// at says where a fault of a reaction is.
func (s *Service) at(r *Reaction) string { return s.Name + ": reaction " + r.Name() }

func pattern(r Route) string {
	method, path := r.Pattern()
	return method + " " + path
}

func (f *faults) reaction(at string, r *Reaction) {
	for _, domain := range r.Domains() {
		f.domain(at, domain)
	}
	if r.handle == nil {
		f.add("%s: its handler is nil", at)
	}
	for _, err := range r.options.faults {
		f.add("%s: %w", at, err)
	}
	if r.options.within > 0 && r.options.within < r.longest() {
		f.add("%s: it counts as late after %v, but its %d attempts of %v and the waits between them can take %v; raise Within or lower Retries or Timeout",
			at, r.options.within, r.options.retry.Attempts, r.options.timeout, r.longest())
	}
	if len(r.inputs) == 0 {
		if len(r.options.filter) > 0 {
			f.add("%s: it hears every event of %s, whose fields differ, so it cannot have a filter", at, r.domain)
		}
		return
	}
	if r.Gathers() && len(r.options.filter) > 0 {
		f.add("%s: it gathers what others answer to every %s, so it cannot have a filter", at, r.inputs[0].typ)
		return
	}
	for _, err := range r.options.filter.fits(r.inputs[0].typ) {
		f.add("%s: %w", at, err)
	}
}

func (f *faults) domain(at, domain string) {
	if isReserved(domain) {
		f.add("%s: domain %s is the name of Troupe's own topics; call it otherwise", at, domain)
	}
}

// unheardOf finds reactions to what nobody emits.
func (f *faults) unheardOf(s *Service, emitted, domains map[string]bool) {
	for i := range s.Reactions {
		r := &s.Reactions[i]
		if len(r.inputs) == 0 && !domains[r.domain] {
			f.add("%s: nobody emits an event of domain %s", s.at(r), r.domain)
		}
		for _, in := range r.inputs {
			if !emitted[in.typ.FullName()] {
				f.add("%s: nobody emits %s; add it to the Emits of a reaction or route, or call it external in %s's domain.yaml",
					s.at(r), in.typ.FullName(), in.typ.Domain)
			}
		}
	}
}

// answers are the requests that somebody answers, with who does.
func (f *faults) answers(t Topology) map[string]string {
	by := map[string]string{}
	for i := range t {
		for j := range t[i].Reactions {
			r := &t[i].Reactions[j]
			if r.reply == nil {
				continue
			}
			request := r.inputs[0].typ.FullName()
			if other, ok := by[request]; ok {
				f.add("%s: %s is answered by %s already; a request has one answer", t[i].at(r), request, other)
			}
			by[request] = t[i].Name
		}
	}
	return by
}

// gathering finds what keeps a gathering from ever being complete: a request
// says once who is to answer it, and all of these are waited for.
func (f *faults) gathering(t Topology) {
	gathered := map[string]string{} // answers by request, full names
	for r, at := range t.reactions() {
		if !r.Gathers() {
			continue
		}
		request, answer := r.inputs[0].typ.FullName(), r.inputs[1].typ.FullName()
		if other, ok := gathered[request]; ok && other != answer {
			f.add("%s: it gathers %s for %s, for which %s is gathered already; a request has one kind of answers", at, answer, request, other)
		}
		gathered[request] = answer
	}
	for r, at := range t.reactions() {
		if len(r.inputs) != 1 || len(r.options.filter) == 0 {
			continue
		}
		request := r.inputs[0].typ.FullName()
		if answer, ok := gathered[request]; ok && slices.ContainsFunc(r.Emits(), func(e *event.Type) bool { return e.FullName() == answer }) {
			f.add("%s: its answer to every %s is waited for, so it cannot have a filter; decide in the handler what there is to do", at, request)
		}
	}
}

// reactions are those of all services, with where each is.
func (t Topology) reactions() iter.Seq2[*Reaction, string] {
	return func(yield func(*Reaction, string) bool) {
		for i := range t {
			for j := range t[i].Reactions {
				if r := &t[i].Reactions[j]; !yield(r, t[i].at(r)) {
					return
				}
			}
		}
	}
}

// unanswered finds requests that nobody answers.
func (f *faults) unanswered(s *Service, answering map[string]string) {
	for _, request := range s.Asks() {
		if answering[request.FullName()] == "" && !request.External {
			f.add("%s: it asks %s, which nobody answers; declare a choreo.Answer somewhere", s.Name, request.FullName())
		}
	}
}

// routesTaken finds routes that another service serves already.
func (f *faults) routesTaken(s *Service, taken map[string]string) {
	for _, r := range s.Routes {
		if other, ok := taken[pattern(r)]; ok {
			f.add("%s: route %s is served by %s already", s.Name, pattern(r), other)
		}
		taken[pattern(r)] = s.Name
	}
}
