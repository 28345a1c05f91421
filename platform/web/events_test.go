package web

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/troupedev/troupe/platform/choreo"
	"github.com/troupedev/troupe/platform/contract"
	"github.com/troupedev/troupe/platform/event"
	"github.com/troupedev/troupe/platform/kafka"
)

// structured is an event in structured mode; members are added to it, or stand
// for those that it has.
func structured(members ...string) string {
	all := map[string]json.RawMessage{
		"specversion": json.RawMessage(`"1.0"`), "id": json.RawMessage(`"e-1"`), "source": json.RawMessage(`"https://till.example/7"`),
		"type": json.RawMessage(`"shop.Sold"`), "data": json.RawMessage(`{"id":"s-1"}`),
	}
	for i := 0; i < len(members); i += 2 {
		if members[i+1] == "" {
			delete(all, members[i])
			continue
		}
		all[members[i]] = json.RawMessage(members[i+1])
	}
	text, err := json.Marshal(all)
	if err != nil {
		panic(err)
	}
	return string(text)
}

func TestEventsFromOutsideArePublished(t *testing.T) {
	binary := []string{"ce-specversion", "1.0", "ce-id", "e-1", "ce-source", "https://till.example/7", "ce-type", "shop.Sold"}
	id := event.DeriveID("cloudevent", "https://till.example/7", "e-1")
	plain := event.Envelope{
		ID: id, Type: "shop.Sold", Source: "https://till.example/7", Time: noon, Subject: "s-1", DataSchema: "shop.Sold/v1", Flow: id,
	}
	in := func(change func(*event.Envelope)) event.Envelope {
		e := plain
		change(&e)
		return e
	}
	tests := []struct {
		name, body string
		headers    []string
		want       event.Envelope
	}{
		{"structured", structured(), []string{"Content-Type", typeStructured + "; charset=utf-8"}, plain},
		{"binary", `{"id":"s-1"}`, binary, plain},
		{"of a version", structured("dataschema", `"shop.Sold/v1"`), []string{"Content-Type", typeStructured}, plain},
		{"of a flow", structured("correlationid", `"f-1"`), []string{"Content-Type", typeStructured}, in(func(e *event.Envelope) { e.Flow = "f-1" })},
		{"of another time", `{"id":"s-1"}`, append(binary[:8:8], "ce-time", "2026-03-01T13:00:00+01:00"), in(func(e *event.Envelope) {
			e.Time = noon.AddDate(0, -8, -20)
		})},
		{"with a trace", structured("traceparent", `"00-aa-bb-01"`), []string{"Content-Type", typeStructured}, in(func(e *event.Envelope) { e.TraceParent = "00-aa-bb-01" })},
		{"with what is Troupe's own", structured("replyto", `"orders"`, "expects", `"a,b"`, "causationid", `"c"`, "hop", `7`, "reaction", `"R"`, "subject", `"s-9"`),
			[]string{"Content-Type", typeStructured}, plain},
		{"with an id that is encoded", `{"id":"s-1"}`, append(binary[:2:2], "ce-id", "%C3%A9%20%22%251", "ce-source", `"/a%20till"`, "ce-type", "shop.Sold"), in(func(e *event.Envelope) {
			e.Source = "/a till"
			e.ID = event.DeriveID("cloudevent", e.Source, `é "%1`)
			e.Flow = e.ID
		})},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			b := &broker{}
			w := do(serve(t, b), "POST", PathEvents, test.body, test.headers...)
			if want := fmt.Sprintf(`{"id":%q,"flowId":%q}`, test.want.ID, test.want.Flow); w.Code != http.StatusAccepted || strings.TrimSpace(w.Body.String()) != want {
				t.Fatalf("got %d %s\nwant %s", w.Code, w.Body, want)
			}
			m := b.taken[0]
			got, err := event.ParseHeaders(m.Headers)
			if err != nil || fmt.Sprintf("%+v", got) != fmt.Sprintf("%+v", test.want) || m.ID != test.want.ID || string(m.Key) != "s-1" || m.Domain != "shop" {
				t.Errorf("published %+v, %v\nwant %+v", got, err, test.want)
			}
			if value, err := contract.Append(nil, sold{ID: "s-1"}); err != nil || string(value) != string(m.Value) {
				t.Errorf("published the value %q, want %q; %v", m.Value, value, err)
			}
		})
	}
}

func TestAnEventSentAgainHasItsID(t *testing.T) {
	b := &broker{}
	h := serve(t, b)
	send := func(members ...string) {
		do(h, "POST", PathEvents, structured(members...), "Content-Type", typeStructured)
	}
	send()
	send()
	send("id", `"e-2"`)
	send("source", `"https://till.example/8"`)
	if ids := b.ids(); len(ids) != 4 || ids[0] != ids[1] || ids[0] == ids[2] || ids[0] == ids[3] || ids[2] == ids[3] {
		t.Errorf("got %v", ids)
	}
}

func TestEventsThatAreNotTaken(t *testing.T) {
	tests := []struct {
		name, body, contentType string
		status                  int
		want                    []string // in the body
	}{
		{"an unknown type", structured("type", `"shop.Bought"`), typeStructured, 422,
			[]string{`"location":"body.type"`, `\"shop.Bought\" is no event that is known here; there are shop.Other, shop.Sold`}},
		{"an unknown version", structured("dataschema", `"shop.Sold/v9"`), typeStructured, 422,
			[]string{`"location":"body.dataschema"`, "is no version of shop.Sold; there are shop.Sold/v1"}},
		{"several attributes missing", structured("id", "", "type", "", "data", ""), typeStructured, 422,
			[]string{`{"message":"is required","location":"body.id"}`, `{"message":"is required","location":"body.type"}`, `{"message":"is required","location":"body.data"}`}},
		{"no headers in binary mode", `{"id":"s-1"}`, typeJSON, 422, []string{`"header.ce-id"`, `"header.ce-source"`, `"header.ce-type"`, `"header.ce-specversion"`}},
		{"another CloudEvents", structured("specversion", `"0.3"`), typeStructured, 422, []string{`"location":"body.specversion"`, "1.0 is taken"}},
		{"an id that is a number", structured("id", `1`), typeStructured, 422, []string{`{"message":"is not a text","location":"body.id"}`}},
		{"an id that is long", structured("id", `"`+strings.Repeat("x", 1025)+`"`), typeStructured, 422, []string{"is 1025 bytes long; at most 1024 are taken"}},
		{"an id with a line break", structured("id", `"a\nb"`), typeStructured, 422, []string{`"location":"body.id"`}},
		{"a source that is no URI", structured("source", `"http://[::1"`), typeStructured, 422, []string{`{"message":"is no URI","location":"body.source"}`}},
		{"a source that is a service's", structured("source", `"/services/sales"`), typeStructured, 422, []string{`"location":"body.source"`, "names a service of Troupe"}},
		{"a time that is none", structured("time", `"yesterday"`), typeStructured, 422, []string{`"location":"body.time"`}},
		{"a time beyond what can be written", structured("time", `"9999-12-31T23:59:59-01:00"`), typeStructured, 422, []string{`"location":"body.time"`}},
		{"data without a field", structured("data", `{}`), typeStructured, 422, []string{`"location":"body.data.id"`}},
		{"data with a field too many", structured("data", `{"id":"s-1","secret":"x"}`), typeStructured, 422, []string{`"location":"body.data.secret"`}},
		{"data of another kind", structured("data", `[]`), typeStructured, 422, []string{`"location":"body.data`}},
		{"data as base64", structured("data_base64", `"e30="`), typeStructured, 422, []string{`"location":"body.data_base64"`, "send data as JSON"}},
		{"data that is XML", structured("datacontenttype", `"application/xml"`), typeStructured, 422, []string{`"location":"body.datacontenttype"`}},
		{"no JSON", `{"id"`, typeStructured, 400, []string{"the body is no JSON object"}},
		{"no object", `null`, typeStructured, 400, []string{`"the body is no JSON object, but null"}`}},
		{"a NUL in its key", structured("data", `{"id":"s-\u0000"}`), typeStructured, 422, []string{`"location":"body.data.id"`, noText}},
		{"a NUL in its key, in binary mode", `{"id":"s-\u0000"}`, typeJSON, 422, []string{`"location":"body.id"`, noText}},
		{"bytes that are no text", "{\"\xff\":1}", typeStructured, 422, []string{`"location":"body"`, noText}},
		{"a batch", "[" + structured() + "]", "application/cloudevents-batch+json", 415, []string{"send one event"}},
		{"a text", "hello", "text/plain", 415, []string{"text/plain", "send one event"}},
		{"too much", structured("data", `{"id":"`+strings.Repeat("x", maxBody)+`"}`), typeStructured, 413, []string{"larger than 1048576 bytes"}},
	}
	b := &broker{}
	tells := choreo.Service{Name: "teller", Routes: []choreo.Route{Post("/tell", nothing, choreo.Emits(other{}))}}
	h := serve(t, b, shop("sales"), tells)
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			w := do(h, "POST", PathEvents, test.body, "Content-Type", test.contentType)
			if w.Code != test.status || w.Header().Get("Content-Type") != "application/problem+json" {
				t.Errorf("got %d %s", w.Code, w.Body)
			}
			for _, want := range test.want {
				if !strings.Contains(w.Body.String(), want) {
					t.Errorf("got %s\nwant %s", w.Body, want)
				}
			}
		})
	}
	if len(b.taken) > 0 {
		t.Errorf("published %d events", len(b.taken))
	}
}

func nothing(context.Context, *struct{}) (receipt, choreo.Events, error) { return receipt{}, nil, nil }

func TestAHeaderThatIsSentTwice(t *testing.T) {
	w := do(serve(t, &broker{}), "POST", PathEvents, `{"id":"s-1"}`,
		"ce-specversion", "1.0", "ce-id", "a", "ce-id", "b", "ce-source", "/%zz", "ce-type", "shop.Sold")
	for _, want := range []string{`{"message":"is sent twice","location":"header.ce-id"}`, `"location":"header.ce-source"`} {
		if w.Code != 422 || !strings.Contains(w.Body.String(), want) {
			t.Errorf("got %d %s\nwant %s", w.Code, w.Body, want)
		}
	}
}

func TestEventsThatTheBrokerDoesNotTake(t *testing.T) {
	b := &broker{refusals: 1}
	h := serve(t, b)
	w := do(h, "POST", PathEvents, structured(), "Content-Type", typeStructured)
	if w.Code != 503 || w.Header().Get("Retry-After") == "" || !strings.Contains(w.Body.String(), "send it again with the same source and id") {
		t.Errorf("got %d %s", w.Code, w.Body)
	}
	b.refusals, b.refusal = 1, fmt.Errorf("shop/0: %w", kafka.ErrTooLarge)
	if w := do(h, "POST", PathEvents, structured(), "Content-Type", typeStructured); w.Code != 413 {
		t.Errorf("got %d %s", w.Code, w.Body)
	}
}

func TestEventsAreDescribed(t *testing.T) {
	w := do(serve(t, &broker{}), "GET", "/openapi.json", "")
	var spec struct {
		Paths map[string]map[string]struct {
			RequestBody struct {
				Content map[string]struct{ Schema map[string]any }
			}
			Responses map[string]any
		}
	}
	if err := json.Unmarshal(w.Body.Bytes(), &spec); err != nil {
		t.Fatal(err)
	}
	op := spec.Paths[PathEvents]["post"]
	if op.Responses["202"] == nil || op.Responses["422"] == nil || op.RequestBody.Content[typeJSON].Schema == nil {
		t.Errorf("got %+v", op)
	}
	if text := fmt.Sprint(op.RequestBody.Content[typeStructured].Schema); !strings.Contains(text, "shop.Sold") {
		t.Errorf("got %s", text)
	}
}

func FuzzReadCloudEvent(f *testing.F) {
	f.Add(typeStructured, "", structured("time", `"0000-01-01T00:00:00+01:00"`))
	f.Add(typeJSON, "%C3%A9", `{"id":"s-1"}`)
	f.Add("application/vnd.till+json", `"\""`, `{"id":"s-1"}`)
	f.Fuzz(func(t *testing.T, contentType, id, body string) {
		r := httptest.NewRequest("POST", PathEvents, io.NopCloser(strings.NewReader(body)))
		for name, value := range map[string]string{"Content-Type": contentType, "ce-id": id, "ce-source": id, "ce-type": "shop.Sold", "ce-specversion": "1.0"} {
			r.Header.Set(name, value)
		}
		c, err := readCloudEvent(r)
		if err != nil {
			return
		}
		s := &site{Options: Options{Now: func() time.Time { return noon }}, types: map[string][]*event.Type{"shop.Sold": typesSold}}
		m, flow, err := s.messageOf(c)
		if err != nil {
			return
		}
		e, err := event.ParseHeaders(m.Headers)
		if err != nil || e.Flow != flow || e.ID != m.ID || e.Source != c.source {
			t.Fatalf("%+v was published, which reads as %+v, %v", c, e, err)
		}
	})
}

func TestAnEventFromOutsideSaysWhoIsToAnswer(t *testing.T) {
	b := &broker{}
	h, err := Handler(choreo.Topology{shop("sales")}, Options{
		Publish: b.publish, Logger: slog.New(slog.DiscardHandler), Now: func() time.Time { return noon },
		Expects: func(t *event.Type) []string { return []string{"one", "two of " + t.FullName()} },
	})
	if err != nil {
		t.Fatal(err)
	}
	if w := do(h, "POST", PathEvents, structured("expects", `"nobody"`), "Content-Type", typeStructured); w.Code != http.StatusAccepted {
		t.Fatal(w.Code, w.Body)
	}
	got, err := event.ParseHeaders(b.taken[0].Headers)
	if err != nil || fmt.Sprint(got.Expects) != "[one two of shop.Sold]" {
		t.Errorf("expects %v, %v", got.Expects, err)
	}
}
