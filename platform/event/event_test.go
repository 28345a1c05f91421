package event_test

import (
	"errors"
	"reflect"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/troupedev/troupe/platform/event"
)

func TestVersionsKnowEachOther(t *testing.T) {
	family := event.Versions(
		event.Type{Domain: "orders", Name: "OrderPlaced", Version: 1},
		event.Type{Domain: "orders", Name: "OrderPlaced", Version: 2},
	)
	newest := family[1]
	if newest.FullName() != "orders.OrderPlaced" || newest.String() != "orders.OrderPlaced/v2" {
		t.Errorf("got %q and %q", newest.FullName(), newest)
	}
	if got := newest.Family(); len(got) != 2 || got[0] != family[0] || got[1] != newest {
		t.Errorf("family of v2 is %v", got)
	}
}

func TestFromOutsideAHandlerIsZero(t *testing.T) {
	if m := event.From(t.Context()); !reflect.DeepEqual(m, event.Meta{}) {
		t.Errorf("got %+v", m)
	}
	want := event.Meta{ID: "a", Flow: "b", Attempt: 2}
	if m := event.From(event.With(t.Context(), want)); !reflect.DeepEqual(m, want) {
		t.Errorf("got %+v, want %+v", m, want)
	}
}

var uuid = regexp.MustCompile(`^[0-9a-f]{8}-[0-9a-f]{4}-([78])[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$`)

func TestNewIDIsAUUIDOfItsTime(t *testing.T) {
	now := time.UnixMilli(0x0190_0000_abcd)
	a, b := event.NewID(now), event.NewID(now)
	if m := uuid.FindStringSubmatch(a); m == nil || m[1] != "7" {
		t.Errorf("%s is not a UUID of version 7", a)
	}
	if a == b {
		t.Errorf("two ids of one time are both %s", a)
	}
	if !strings.HasPrefix(a, "01900000-abcd-") {
		t.Errorf("%s does not begin with its time in milliseconds", a)
	}
	if later := event.NewID(now.Add(time.Millisecond)); later < a {
		t.Errorf("%s sorts before %s, which is older", later, a)
	}
}

func TestDeriveIDDependsOnEachPartAndWhereItEnds(t *testing.T) {
	base := event.DeriveID("a", "b", "c")
	if m := uuid.FindStringSubmatch(base); m == nil || m[1] != "8" {
		t.Errorf("%s is not a UUID of version 8", base)
	}
	if again := event.DeriveID("a", "b", "c"); again != base {
		t.Errorf("the same parts gave %s and %s", base, again)
	}
	for _, other := range [][]string{{"a", "b"}, {"a", "bc"}, {"ab", "c"}, {"a", "b", "c", ""}, {"", "a", "b", "c"}, {"a", "c", "b"}} {
		if event.DeriveID(other...) == base {
			t.Errorf("%q gives the id of [a b c]", other)
		}
	}
}

func TestHeadersCarryTheEnvelope(t *testing.T) {
	at := time.Date(2026, 3, 1, 12, 0, 0, 123456789, time.UTC)
	full := event.Envelope{
		ID: "id", Type: "orders.OrderPlaced", Source: "/services/orders", Time: at, Subject: "o-1",
		DataSchema: "orders.OrderPlaced/v2", Flow: "flow", Cause: "cause", Reaction: "OrderPlaced",
		EmitIndex: 2, EmitCount: 3, Hop: 4, Expiry: at.Add(time.Hour), TraceParent: "00-aa-bb-01",
		ReplyTo: "troupe.replies.shop", Expects: []string{"orders", "payments"},
	}
	for name, want := range map[string]event.Envelope{
		"every attribute":  full,
		"nobody to expect": {ID: "id", Type: "users.Closing", Flow: "id", Expects: []string{}},
		"a root":           {ID: "id", Type: "orders.OrderPlaced", Flow: "id"},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := event.ParseHeaders(want.AppendHeaders(nil))
			if err != nil || !reflect.DeepEqual(got, want) {
				t.Errorf("got %+v, %v\nwant %+v", got, err, want)
			}
		})
	}
}

func TestParseHeadersRefuses(t *testing.T) {
	ours := []event.Header{{Key: "ce_id", Value: []byte("1")}, {Key: "ce_type", Value: []byte("orders.OrderPlaced")}}
	with := func(key, value string) []event.Header {
		return append(ours[:2:2], event.Header{Key: key, Value: []byte(value)})
	}
	for name, c := range map[string]struct {
		headers []event.Header
		says    string
		foreign bool
	}{
		"no headers":              {nil, "ce_id is missing", true},
		"no type":                 {ours[:1], "ce_type is missing", true},
		"another CloudEvents":     {with("ce_specversion", "0.3"), `version "0.3"`, true},
		"a time that is none":     {with("ce_time", "yesterday"), "ce_time", false},
		"an emit without a count": {with("ce_emit", "3"), "i/n", false},
		"an emit beyond its end":  {with("ce_emit", "3/2"), "within 1 to n", false},
		"an emit of zero":         {with("ce_emit", "0/2"), "within 1 to n", false},
		"a negative hop":          {with("ce_hop", "-1"), "not a count", false},
		"a huge hop":              {with("ce_hop", "99999999999999999999"), "not a count", false},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := event.ParseHeaders(c.headers)
			if err == nil || !strings.Contains(err.Error(), c.says) {
				t.Fatalf("got %v, want an error that says %q", err, c.says)
			}
			if errors.Is(err, event.ErrNotCloudEvent) != c.foreign {
				t.Errorf("ErrNotCloudEvent is wrapped: %t, want %t", !c.foreign, c.foreign)
			}
		})
	}
}

func TestParseHeadersPassesOverUnknownOnes(t *testing.T) {
	e, err := event.ParseHeaders([]event.Header{
		{Key: "ce_id", Value: []byte("1")}, {Key: "ce_type", Value: []byte("a.B")}, {Key: "x-team", Value: []byte{0xff}},
	})
	if err != nil || e.Flow != "1" {
		t.Errorf("got flow %q, %v; want that of the event's own id", e.Flow, err)
	}
}

func FuzzParseHeaders(f *testing.F) {
	f.Add("ce_emit", []byte("1/2"))
	f.Add("ce_time", []byte("2026-03-01T12:00:00Z"))
	f.Add("ce_expirytime", []byte("0000-01-01T00:00:00Z"))
	f.Fuzz(func(t *testing.T, key string, value []byte) {
		e, err := event.ParseHeaders([]event.Header{
			{Key: "ce_id", Value: []byte("1")}, {Key: "ce_type", Value: []byte("a.B")}, {Key: key, Value: value},
		})
		if err != nil {
			return
		}
		again, err := event.ParseHeaders(e.AppendHeaders(nil))
		if err != nil {
			t.Fatalf("what was parsed from %s=%q cannot be parsed again: %v", key, value, err)
		}
		if again.ID != e.ID || again.Hop != e.Hop || again.EmitIndex != e.EmitIndex || !again.Time.Equal(e.Time) {
			t.Fatalf("%+v became %+v", e, again)
		}
	})
}

func BenchmarkParseHeaders(b *testing.B) {
	e := event.Envelope{
		ID: "id", Type: "orders.OrderPlaced", Source: "/services/orders", Time: time.Unix(1, 2), Subject: "o-1",
		DataSchema: "orders.OrderPlaced/v2", Flow: "flow", Cause: "cause", Reaction: "OrderPlaced", EmitIndex: 1, EmitCount: 1, Hop: 1,
	}
	headers := e.AppendHeaders(nil)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := event.ParseHeaders(headers); err != nil {
			b.Fatal(err)
		}
	}
}
