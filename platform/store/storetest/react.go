package storetest

import (
	"context"
	"slices"
	"testing"

	"github.com/troupedev/troupe/platform/choreo"
	"github.com/troupedev/troupe/platform/event"
	"github.com/troupedev/troupe/platform/store"
)

// React handles the event with the meta data given in a transaction of its own,
// as a service's reaction does, and returns what it emitted: nothing where it was
// handled before. What a database asks to be tried again is; any other error
// fails the test. For tests that let reactions happen at once.
func React(t testing.TB, db *DB, reaction string, m event.Meta, h func(context.Context) (choreo.Events, error)) (events choreo.Events) {
	t.Helper()
	for {
		duplicate, err := db.Handle(t.Context(), store.Entry{Reaction: reaction, ID: m.ID}, func(ctx context.Context) (_ []choreo.Message, err error) {
			events, err = h(event.With(ctx, m))
			return nil, err
		})
		switch {
		case store.IsOutage(err) && t.Context().Err() == nil:
			continue
		case err != nil:
			t.Errorf("reaction %s to event %s: %v", reaction, m.ID, err)
			return nil
		case duplicate:
			return nil
		}
		return events
	}
}

// Hear lets each reaction of the service that hears e's type handle it by
// [React], its filters aside, under the id given, and returns what they emitted.
func Hear(t testing.TB, db *DB, s *choreo.Service, id string, e event.Event) (events choreo.Events) {
	t.Helper()
	heard := false
	for i := range s.Reactions {
		r := &s.Reactions[i]
		if !slices.Contains(r.Hears(), e.EventType()) {
			continue
		}
		heard = true
		events = append(events, React(t, db, r.Name(), event.Meta{ID: id}, func(ctx context.Context) (choreo.Events, error) {
			return r.Handle(ctx, e)
		})...)
	}
	if !heard {
		t.Errorf("%s hears no %s", s.Name, e.EventType())
	}
	return events
}
