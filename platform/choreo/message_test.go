package choreo_test

import (
	"errors"
	"reflect"
	"testing"
	"time"

	"github.com/troupedev/troupe/platform/choreo"
	"github.com/troupedev/troupe/platform/event"
)

func emitter() *choreo.Emitter {
	return &choreo.Emitter{Service: "till", Reaction: "Bought", Declared: []*event.Type{typesPaid[0]}}
}

var parent = event.Envelope{ID: "parent", Flow: "flow", Hop: 2, TraceParent: "00-trace"}

func TestEmittedEventsCarryWhatLedToThem(t *testing.T) {
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	out, err := emitter().Emit(&parent, choreo.Emit(paid{"a"}, paid{""}), now)
	if err != nil || len(out) != 2 {
		t.Fatalf("got %d messages, %v", len(out), err)
	}
	got, err := event.ParseHeaders(out[0].Headers)
	want := event.Envelope{
		ID: out[0].ID, Type: "shop.Paid", Source: "/services/till", Time: now, Subject: "a", DataSchema: "shop.Paid/v1",
		Flow: "flow", Cause: "parent", Reaction: "Bought", EmitIndex: 1, EmitCount: 2, Hop: 3, TraceParent: "00-trace",
	}
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("got  %+v, %v\nwant %+v", got, err, want)
	}
	if string(out[0].Key) != "a" || out[1].Key != nil {
		t.Errorf("keys are %q and %q, want a and none", out[0].Key, out[1].Key)
	}
}

func TestIDsFollowFromTheCause(t *testing.T) {
	ids := func(e *choreo.Emitter, cause event.Envelope, events ...event.Event) []string {
		t.Helper()
		out, err := e.Emit(&cause, choreo.Emit(events...), time.Now())
		if err != nil {
			t.Fatal(err)
		}
		var ids []string
		for _, m := range out {
			ids = append(ids, m.ID)
		}
		return ids
	}
	base := ids(emitter(), parent, paid{"a"}, paid{"a"}, paid{"b"})
	again := ids(emitter(), parent, paid{"a"}, paid{"a"}, paid{"b"})
	for i := range base {
		if base[i] != again[i] {
			t.Errorf("event %d: handled twice, its ids are %s and %s", i, base[i], again[i])
		}
	}
	other := emitter()
	other.Reaction = "Sold"
	seen := map[string]string{}
	for what, list := range map[string][]string{
		"as they are": base, "another reaction": ids(other, parent, paid{"a"}),
		"another cause": ids(emitter(), event.Envelope{ID: "other", Flow: "flow"}, paid{"a"}),
	} {
		for _, id := range list {
			if before, ok := seen[id]; ok {
				t.Errorf("id %s comes twice: %s, and %s", id, before, what)
			}
			seen[id] = what
		}
	}
	if swapped := ids(emitter(), parent, paid{"b"}, paid{"a"}); swapped[0] != base[2] || swapped[1] != base[0] {
		t.Error("the order of events with different keys changes their ids")
	}
}

func TestARequestGivesItsIDToItsFirstEvent(t *testing.T) {
	out, err := emitter().EmitRoot(event.Meta{ID: "root", Flow: "root"}, choreo.Emit(paid{"a"}, paid{"b"}), time.Now())
	if err != nil {
		t.Fatal(err)
	}
	first, err1 := event.ParseHeaders(out[0].Headers)
	second, err2 := event.ParseHeaders(out[1].Headers)
	if err := errors.Join(err1, err2); err != nil {
		t.Fatal(err)
	}
	if first.ID != "root" || first.Flow != "root" || first.Cause != "" || first.Hop != 0 {
		t.Errorf("the first event is %+v", first)
	}
	if second.ID == "root" || second.Flow != "root" || second.Hop != 0 {
		t.Errorf("the second event is %+v", second)
	}
}

func TestEmitRefusesForGood(t *testing.T) {
	for name, events := range map[string]choreo.Events{
		"an undeclared event": choreo.Emit(bought{ID: "b"}),
		"a nil event":         {{}},
	} {
		t.Run(name, func(t *testing.T) {
			out, err := emitter().Emit(&parent, events, time.Now())
			if err == nil || out != nil || !choreo.IsPermanent(err) {
				t.Errorf("got %v, %v; want a permanent error and nothing emitted", out, err)
			}
		})
	}
	_, err := emitter().Emit(&parent, choreo.Emit(bought{}), time.Now())
	undeclared, ok := errors.AsType[*choreo.UndeclaredError](err)
	if !ok || undeclared.Service != "till" || undeclared.Reaction != "Bought" || undeclared.Type != typesBought[0] {
		t.Errorf("got %v, want an error that names service, reaction and event", err)
	}
}
