package runtime

import (
	"context"
	"slices"
	"testing"

	"github.com/troupedev/troupe/platform/choreo"
	"github.com/troupedev/troupe/platform/event"
	"github.com/troupedev/troupe/platform/kafka"
)

func onSold(context.Context, sold) (choreo.Events, error)       { return nil, nil }
func onSoldV1(context.Context, soldV1) (choreo.Events, error)   { return nil, nil }
func onAny(context.Context, event.Event) (choreo.Events, error) { return nil, nil }

// listener hears both versions of Sold, one of them filtered, and all of the depot.
func listener() (choreo.Topology, *choreo.Service) {
	t := choreo.Topology{
		{Name: "listener", Reactions: []choreo.Reaction{
			choreo.On(onSold),
			choreo.On(onSold, choreo.Named("web"), choreo.Where("how", choreo.Is("web"))),
			choreo.On(onSoldV1, choreo.Named("old")),
			choreo.OnTopic("depot", onAny, choreo.Named("depot")),
		}},
		{Name: "packer", Reactions: []choreo.Reaction{choreo.On(onSold, choreo.Emits(packed{}))}},
	}
	return t, &t[0]
}

func reactions(v *Verdict) []string {
	var names []string
	for i := range v.Work {
		names = append(names, v.Work[i].Reaction())
	}
	return names
}

func TestJudge(t *testing.T) {
	web, phone := sold{"1", "web"}, sold{"1", "phone"}
	deep := func(hop int) func(*event.Envelope) {
		return func(e *event.Envelope) { e.Hop = hop }
	}
	as := func(name string) func(*event.Envelope) {
		return func(e *event.Envelope) { e.Type = name }
	}
	with := func(r kafka.Record, value []byte) kafka.Record { r.Value = value; return r }
	bare := func(value []byte) kafka.Record { return kafka.Record{Topic: "shop", Value: value} }
	on := func(topic string, r kafka.Record) kafka.Record { r.Topic = topic; return r }
	good := record(t, web)

	for name, c := range map[string]struct {
		record kafka.Record
		work   []string
		cause  Cause
	}{
		"every reaction whose filter holds":        {good, []string{"Sold", "web", "old"}, ""},
		"a filter says no":                         {record(t, phone), []string{"Sold", "old"}, ""},
		"an older version is resolved":             {record(t, soldV1{"1"}), []string{"Sold", "old"}, ""},
		"any event of a topic":                     {record(t, packed{"1", "x"}), []string{"depot"}, ""},
		"a type that the topology does not know":   {record(t, shipped{"1"}), nil, ""},
		"a type that is not heard is not decoded":  {with(record(t, web, as("shop.Bought")), nil), nil, ""},
		"a topic that is not heard":                {on("elsewhere", good), nil, ""},
		"an event on another domain's topic":       {on("depot", record(t, shipped{"1"})), nil, ""},
		"as deep as a flow may be":                 {record(t, web, deep(32)), []string{"Sold", "web", "old"}, ""},
		"deeper than a flow may be":                {record(t, web, deep(33)), nil, CauseHopLimit},
		"deep, but nobody's":                       {record(t, shipped{"1"}, deep(33)), nil, ""},
		"our headers, tombstone":                   {with(good, nil), nil, CauseTombstone},
		"our headers, empty":                       {with(good, []byte{}), nil, CauseEmpty},
		"our headers, JSON":                        {with(good, []byte(`{"id":"1"}`)), nil, CauseBadMagic},
		"our headers, cut in the schema id":        {with(good, good.Value[:3]), nil, CauseTruncated},
		"our headers, cut in the event":            {with(good, good.Value[:len(good.Value)-1]), nil, CauseTruncated},
		"our headers, bytes after the event":       {with(good, append(slices.Clone(good.Value), 1)), nil, CauseTrailingBytes},
		"our headers, unknown schema":              {with(good, []byte{0, 0, 0, 0, 99, 2, 'a'}), nil, CauseUnknownSchema},
		"our headers, hostile length":              {with(good, []byte{0, 0, 0, 0, 12, 0x01}), nil, CauseHostile},
		"our headers, text that is not UTF-8":      {with(good, []byte{0, 0, 0, 0, 12, 2, 0xff, 0}), nil, CauseUndecodable},
		"our headers, another event":               {with(good, record(t, packed{"1", "x"}).Value), nil, CauseTypeMismatch},
		"our headers, another event, any of topic": {with(record(t, packed{"1", "x"}), good.Value), nil, CauseTypeMismatch},
		"no headers, a good value":                 {bare(good.Value), nil, CauseNotAnEvent},
		"no headers, tombstone":                    {bare(nil), nil, CauseTombstone},
		"no headers, empty":                        {bare([]byte{}), nil, CauseEmpty},
		"no headers, JSON":                         {bare([]byte(`{"id":"1"}`)), nil, CauseBadMagic},
		"no headers, short":                        {bare([]byte{0, 0}), nil, CauseTruncated},
		"no headers, unknown schema":               {bare([]byte{0, 0, 0, 0, 99, 2, 'a'}), nil, CauseUnknownSchema},
		"a header that cannot be read": {kafka.Record{Topic: "shop", Value: good.Value,
			Headers: append(slices.Clone(good.Headers), event.Header{Key: event.HeaderTime, Value: []byte("noon")})}, nil, CauseNotAnEvent},
	} {
		t.Run(name, func(t *testing.T) {
			topology, service := listener()
			v := NewService(topology, service, ServiceOptions{}).Judge(&c.record)
			if got := reactions(&v); !slices.Equal(got, c.work) || v.Cause != c.cause {
				t.Errorf("got %v %q (%v), want %v %q", got, v.Cause, v.Err, c.work, c.cause)
			}
			if (v.Err != nil) != (v.Cause != "") {
				t.Errorf("cause %q with error %v", v.Cause, v.Err)
			}
		})
	}
}

func TestJudgeDecodesOncePerVersion(t *testing.T) {
	topology, service := listener()
	r := record(t, sold{"1", "web"})
	v := NewService(topology, service, ServiceOptions{}).Judge(&r)
	want := []event.Event{sold{"1", "web"}, sold{"1", "web"}, soldV1{"1"}}
	for i, w := range v.Work {
		if w.Event != want[i] {
			t.Errorf("%s got %#v, want %#v", w.Reaction(), w.Event, want[i])
		}
	}
}

func TestJudgeKnowsTopicsByPrefix(t *testing.T) {
	topology, service := listener()
	s := NewService(topology, service, ServiceOptions{Prefix: "test."})
	r := record(t, sold{"1", "web"})
	if v := s.Judge(&r); len(v.Work) != 0 {
		t.Errorf("heard %v on a topic without the prefix", reactions(&v))
	}
	r.Topic = "test.shop"
	if v := s.Judge(&r); len(v.Work) != 3 {
		t.Errorf("heard %v", reactions(&v))
	}
}

// FuzzJudge: whatever a record holds, it is judged, and a dead letter has a reason.
func FuzzJudge(f *testing.F) {
	good := record(f, sold{"1", "web"})
	f.Add(good.Value, "shop.Sold", "id", "1/1")
	f.Add([]byte(nil), "", "", "")
	f.Add([]byte{0, 0, 0, 0, 12, 0x80, 0x80}, "depot.Packed", "id", "0/1")
	topology, service := listener()
	s := NewService(topology, service, ServiceOptions{})
	f.Fuzz(func(t *testing.T, value []byte, typ, id, emit string) {
		for _, topic := range []string{"shop", "depot"} {
			v := s.Judge(&kafka.Record{Topic: topic, Value: value, Headers: []event.Header{
				{Key: event.HeaderType, Value: []byte(typ)}, {Key: event.HeaderID, Value: []byte(id)}, {Key: event.HeaderEmit, Value: []byte(emit)},
			}})
			if (v.Err != nil) != (v.Cause != "") || v.Cause != "" && len(v.Work) > 0 {
				t.Errorf("cause %q, error %v, work %v", v.Cause, v.Err, reactions(&v))
			}
		}
	})
}
