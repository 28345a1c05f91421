package choreo_test

import (
	"context"
	"time"

	"github.com/troupedev/troupe/platform/choreo"
	"github.com/troupedev/troupe/platform/contract"
	"github.com/troupedev/troupe/platform/event"
)

// Events as the generator would write them, of two domains made up here.

var shop = &event.Topic{Name: "shop", Owner: "us", Doc: "A shop.", Partitions: 3, Retention: 7 * 24 * time.Hour}

type address struct {
	City string `avro:"city"`
}

// bought has a field of each kind that a filter can look at.
type bought struct {
	ID      string    `avro:"id"`
	Channel string    `avro:"channel"`
	Total   int64     `avro:"total"`
	Weight  float64   `avro:"weight"`
	Gift    bool      `avro:"gift"`
	Coupon  *string   `avro:"coupon"`
	To      address   `avro:"to"`
	Via     *address  `avro:"via"`
	Count   int32     `avro:"count"`
	Ratio   float32   `avro:"ratio"`
	At      time.Time `avro:"at"`
}

var typesBought = event.Versions(event.Type{
	Domain: "shop", Name: "Bought", Version: 1, ID: 11, Topic: shop,
	Schema: `{"type":"record","name":"Bought","namespace":"shop","doc":"d","fields":[
		{"name":"id","type":"string","doc":"d","key":true},
		{"name":"channel","type":{"type":"enum","name":"Channel","symbols":["web","phone"]},"doc":"d"},
		{"name":"total","type":"long","doc":"d"},
		{"name":"weight","type":"double","doc":"d"},
		{"name":"gift","type":"boolean","doc":"d"},
		{"name":"coupon","type":["null","string"],"doc":"d","default":null},
		{"name":"to","type":{"type":"record","name":"Address","fields":[{"name":"city","type":"string","doc":"d"}]},"doc":"d"},
		{"name":"via","type":["null","Address"],"doc":"d","default":null},
		{"name":"count","type":"int","doc":"d"},
		{"name":"ratio","type":"float","doc":"d"},
		{"name":"at","type":{"type":"long","logicalType":"timestamp-millis"},"doc":"d"}]}`,
})

func (bought) EventType() *event.Type               { return typesBought[0] }
func (b bought) Key() string                        { return b.ID }
func (b bought) EncodeAvro(w *contract.Writer)      { w.String("id", b.ID) }
func (b *bought) DecodeAvro(*contract.Reader) error { return nil }

// paid has nothing but its key.
type paid struct{ ID string }

var typesPaid = event.Versions(event.Type{
	Domain: "shop", Name: "Paid", Version: 1, ID: 12, Topic: shop,
	Schema: `{"type":"record","name":"Paid","namespace":"shop","doc":"d","fields":[{"name":"id","type":"string","doc":"d","key":true}]}`,
})

func (paid) EventType() *event.Type               { return typesPaid[0] }
func (p paid) Key() string                        { return p.ID }
func (p paid) EncodeAvro(w *contract.Writer)      { w.String("id", p.ID) }
func (p *paid) DecodeAvro(*contract.Reader) error { return nil }

// imported comes from outside; wrongly placed, its domain is one of Troupe's own names.
type imported struct{}

var typesImported = event.Versions(
	event.Type{Domain: "retry", Name: "Imported", Version: 1, ID: 13, Topic: &event.Topic{Name: "retry"}, External: true},
)

func (imported) EventType() *event.Type               { return typesImported[0] }
func (imported) Key() string                          { return "" }
func (imported) EncodeAvro(*contract.Writer)          {}
func (i *imported) DecodeAvro(*contract.Reader) error { return nil }

// arrived comes from outside.
type arrived struct{}

var typesArrived = event.Versions(event.Type{Domain: "port", Name: "Arrived", Version: 1, ID: 14, Topic: &event.Topic{Name: "port"}, External: true})

func (arrived) EventType() *event.Type               { return typesArrived[0] }
func (arrived) Key() string                          { return "" }
func (arrived) EncodeAvro(*contract.Writer)          {}
func (a *arrived) DecodeAvro(*contract.Reader) error { return nil }

func onArrived(context.Context, arrived) (choreo.Events, error)   { return nil, nil }
func onBought(context.Context, bought) (choreo.Events, error)     { return nil, nil }
func onPaid(context.Context, paid) (choreo.Events, error)         { return nil, nil }
func onImported(context.Context, imported) (choreo.Events, error) { return nil, nil }
func onAny(context.Context, event.Event) (choreo.Events, error)   { return nil, nil }

// route is an HTTP route of package web, without the HTTP.
type route struct {
	method, path string
	options      []choreo.Option
}

func (r route) Pattern() (method, path string) { return r.method, r.path }
func (r route) Options() []choreo.Option       { return r.options }

// till emits Bought, so that others may hear it.
func till() choreo.Service {
	return choreo.Service{Name: "till", Doc: "Sells.", Routes: []choreo.Route{
		route{"POST", "/sales", []choreo.Option{choreo.Emits(bought{})}},
	}}
}
