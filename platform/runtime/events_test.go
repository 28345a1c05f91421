package runtime

import (
	"strings"
	"testing"
	"time"

	"github.com/troupedev/troupe/platform/contract"
	"github.com/troupedev/troupe/platform/event"
	"github.com/troupedev/troupe/platform/kafka"
)

// Events as the generator would write them, of two domains made up here:
// something is Sold in the shop, in two versions, and then Packed and Shipped
// in the depot. Where a thing is, is Asked or
// Probed, and Told.

var (
	shop  = &event.Topic{Name: "shop", Owner: "us", Doc: "A shop.", Partitions: 3, Retention: 7 * 24 * time.Hour}
	depot = &event.Topic{Name: "depot", Owner: "us", Doc: "A depot.", Partitions: 2, Retention: -1}
)

func schema(name string, fields ...string) string {
	text := make([]string, len(fields))
	for i, f := range fields {
		text[i] = `{"name":"` + f + `","type":"string","doc":"d","default":""}`
	}
	return `{"type":"record","name":"` + name + `","doc":"d","fields":[` + strings.Join(text, ",") + `]}`
}

var typesSold = event.Versions(
	event.Type{Domain: "shop", Name: "Sold", Version: 1, ID: 11, Topic: shop, Schema: schema("Sold", "id")},
	event.Type{Domain: "shop", Name: "Sold", Version: 2, ID: 12, Topic: shop, Schema: schema("Sold", "id", "how")},
)

type soldV1 struct {
	ID string `avro:"id"`
}

func (soldV1) EventType() *event.Type          { return typesSold[0] }
func (e soldV1) Key() string                   { return e.ID }
func (e soldV1) EncodeAvro(w *contract.Writer) { w.String("id", e.ID) }
func (e *soldV1) DecodeAvro(r *contract.Reader) error {
	e.ID = r.String()
	return r.Err()
}

type sold struct {
	ID  string `avro:"id"`
	How string `avro:"how"`
}

func (sold) EventType() *event.Type          { return typesSold[1] }
func (e sold) Key() string                   { return e.ID }
func (e sold) EncodeAvro(w *contract.Writer) { w.String("id", e.ID); w.String("how", e.How) }
func (e *sold) DecodeAvro(r *contract.Reader) error {
	e.ID = r.String()
	e.How = r.String()
	return r.Err()
}

var typesPacked = event.Versions(
	event.Type{Domain: "depot", Name: "Packed", Version: 1, ID: 21, Topic: depot, Schema: schema("Packed", "id", "what")},
)

type packed struct {
	ID   string `avro:"id"`
	What string `avro:"what"`
}

func (packed) EventType() *event.Type          { return typesPacked[0] }
func (e packed) Key() string                   { return e.ID }
func (e packed) EncodeAvro(w *contract.Writer) { w.String("id", e.ID); w.String("what", e.What) }
func (e *packed) DecodeAvro(r *contract.Reader) error {
	e.ID = r.String()
	e.What = r.String()
	return r.Err()
}

var typesShipped = event.Versions(
	event.Type{Domain: "depot", Name: "Shipped", Version: 1, ID: 22, Topic: depot, Schema: schema("Shipped", "id")},
)

type shipped struct {
	ID string `avro:"id"`
}

func (shipped) EventType() *event.Type          { return typesShipped[0] }
func (e shipped) Key() string                   { return e.ID }
func (e shipped) EncodeAvro(w *contract.Writer) { w.String("id", e.ID) }
func (e *shipped) DecodeAvro(r *contract.Reader) error {
	e.ID = r.String()
	return r.Err()
}

var typesAsked = event.Versions(
	event.Type{Domain: "depot", Name: "Asked", Version: 1, ID: 23, Topic: depot, Reply: "depot.Told", Schema: schema("Asked", "id")},
)

type asked struct {
	ID string `avro:"id"`
}

func (asked) EventType() *event.Type          { return typesAsked[0] }
func (asked) Reply(told)                      {}
func (e asked) Key() string                   { return e.ID }
func (e asked) EncodeAvro(w *contract.Writer) { w.String("id", e.ID) }
func (e *asked) DecodeAvro(r *contract.Reader) error {
	e.ID = r.String()
	return r.Err()
}

var typesTold = event.Versions(
	event.Type{Domain: "depot", Name: "Told", Version: 1, ID: 24, Topic: depot, Schema: schema("Told", "id", "where")},
)

type told struct {
	ID    string `avro:"id"`
	Where string `avro:"where"`
}

func (told) EventType() *event.Type          { return typesTold[0] }
func (e told) Key() string                   { return e.ID }
func (e told) EncodeAvro(w *contract.Writer) { w.String("id", e.ID); w.String("where", e.Where) }
func (e *told) DecodeAvro(r *contract.Reader) error {
	e.ID = r.String()
	e.Where = r.String()
	return r.Err()
}

var typesProbed = event.Versions(
	event.Type{Domain: "shop", Name: "Probed", Version: 1, ID: 13, Topic: shop, Reply: "depot.Told", Schema: schema("Probed", "id")},
)

type probed struct {
	ID string `avro:"id"`
}

func (probed) EventType() *event.Type          { return typesProbed[0] }
func (probed) Reply(told)                      {}
func (e probed) Key() string                   { return e.ID }
func (e probed) EncodeAvro(w *contract.Writer) { w.String("id", e.ID) }
func (e *probed) DecodeAvro(r *contract.Reader) error {
	e.ID = r.String()
	return r.Err()
}

// noon is when test events are emitted.
var noon = time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)

// record is e as its publisher would have written it, the first of a flow.
func record(t testing.TB, e event.Event, change ...func(*event.Envelope)) kafka.Record {
	t.Helper()
	value, err := contract.Append(nil, e)
	if err != nil {
		t.Fatal(err)
	}
	typ := e.EventType()
	envelope := event.Envelope{
		ID: "id-" + e.Key(), Type: typ.FullName(), Source: "/services/test", Time: noon,
		Subject: e.Key(), DataSchema: typ.String(), Flow: "flow-" + e.Key(),
	}
	for _, c := range change {
		c(&envelope)
	}
	return kafka.Record{
		Topic: typ.Domain, Key: []byte(e.Key()), Value: value, Headers: envelope.AppendHeaders(nil), Time: noon,
	}
}
