package choreo_test

import (
	"errors"
	"reflect"
	"strings"
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

func TestEventsForLaterAreOfTheTimeWhenTheyAreDue(t *testing.T) {
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	e := emitter()
	e.Stored = true
	out, err := e.Emit(&parent, choreo.Emit(paid{"now"}).After(time.Hour, paid{"later"}), now)
	if err != nil || len(out) != 2 {
		t.Fatalf("got %d messages, %v", len(out), err)
	}
	for i, want := range []time.Time{{}, now.Add(time.Hour)} {
		if !out[i].Due.Equal(want) {
			t.Errorf("%s is due %v, want %v", out[i].Key, out[i].Due, want)
		}
	}
	later, err := event.ParseHeaders(out[1].Headers)
	if err != nil || !later.Time.Equal(now.Add(time.Hour)) {
		t.Errorf("its time is %v, %v", later.Time, err)
	}
	e.Stored = false
	if _, err := e.Emit(&parent, choreo.Events(nil).After(time.Hour, paid{"later"}), now); !choreo.IsPermanent(err) || !strings.Contains(err.Error(), "declare a Store") {
		t.Errorf("without a database: got %v", err)
	}
}

func TestNothingGetsStoredThatNoBrokerNeedTake(t *testing.T) {
	e := emitter()
	big := choreo.Emit(paid{strings.Repeat("x", choreo.MaxStoredBytes)})
	if _, err := e.Emit(&parent, big, time.Now()); err != nil {
		t.Errorf("without a database the broker says so: got %v", err)
	}
	e.Stored = true
	if _, err := e.Emit(&parent, big, time.Now()); !choreo.IsPermanent(err) || !strings.Contains(err.Error(), "split it") {
		t.Errorf("got %v", err)
	}
}

func TestAnEventSaysWhoIsToAnswerIt(t *testing.T) {
	e := emitter()
	for name, expects := range map[string][]string{"nobody gathers": nil, "nobody answers": {}, "two answer": {"a", "b"}} {
		e.Expects = func(*event.Type) []string { return expects }
		out, err := e.Emit(&parent, choreo.Emit(paid{"a"}), time.Now())
		if err != nil {
			t.Fatal(err)
		}
		if got, err := event.ParseHeaders(out[0].Headers); err != nil || !reflect.DeepEqual(got.Expects, expects) {
			t.Errorf("%s: got %#v, %v", name, got.Expects, err)
		}
	}
}

func TestARequestIsNewEachTimeAndItsReplyGoesWhereItSays(t *testing.T) {
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	e := &choreo.Emitter{Service: "till", Reaction: "Bought", Declared: []*event.Type{typesWanted[0]}}
	asking := event.Meta{ID: "bought", Flow: "flow", Hop: 1, Trace: "00-aa-bb-01"}
	one, err := e.Request(asking, wanted{"a"}, "troupe.replies.till", now, now.Add(time.Second))
	if err != nil {
		t.Fatal(err)
	}
	other, err := e.Request(asking, wanted{"a"}, "troupe.replies.till", now, now.Add(time.Second))
	if err != nil || one.ID == other.ID {
		t.Errorf("asked twice by one id: %s, %v", one.ID, err)
	}
	request, err := event.ParseHeaders(one.Headers)
	want := event.Envelope{
		ID: one.ID, Type: "shop.Wanted", Source: "/services/till", Time: now, Subject: "a", DataSchema: "shop.Wanted/v1", Flow: "flow",
		Cause: "bought", Reaction: "Bought", Hop: 2, Expiry: now.Add(time.Second), ReplyTo: "troupe.replies.till", TraceParent: "00-aa-bb-01",
	}
	if err != nil || !reflect.DeepEqual(request, want) {
		t.Errorf("got  %+v, %v\nwant %+v", request, err, want)
	}
	answers := &choreo.Emitter{Service: "office", Reaction: "Wanted", Declared: []*event.Type{typesFound[0]}}
	for _, to := range []string{"troupe.replies.till", ""} {
		request.ReplyTo = to
		out, err := answers.Reply(&request, choreo.Emit(found{"a", "here"}), now)
		if err != nil || len(out) != 1 || out[0].Topic != to || out[0].Domain != "shop" {
			t.Fatalf("got %+v, %v", out, err)
		}
		reply, err := event.ParseHeaders(out[0].Headers)
		if err != nil || reply.Cause != request.ID || reply.Flow != "flow" || reply.Hop != 3 {
			t.Errorf("got %+v, %v", reply, err)
		}
	}
	if _, err := e.Request(asking, paid{"a"}, "", now, now); !choreo.IsPermanent(err) {
		t.Errorf("an undeclared request: got %v", err)
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
