package choreo_test

import (
	"context"
	"fmt"
	"io/fs"
	"strings"
	"testing/fstest"
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

// wanted is a request, and found its reply, which is also what others answer to
// a closed.
type wanted struct {
	ID string `avro:"id"`
}

type found struct {
	ID    string `avro:"id"`
	Where string `avro:"where"`
}

type closed struct {
	ID string `avro:"id"`
}

func record(name string, fields ...string) string {
	var b strings.Builder
	for i, f := range fields {
		fmt.Fprintf(&b, `%s{"name":%q,"type":"string","doc":"d"}`, strings.Repeat(",", min(i, 1)), f)
	}
	return fmt.Sprintf(`{"type":"record","name":%q,"namespace":"shop","doc":"d","fields":[%s]}`, name, &b)
}

var (
	typesWanted = event.Versions(event.Type{Domain: "shop", Name: "Wanted", Version: 1, ID: 15, Topic: shop, Reply: "shop.Found", Schema: record("Wanted", "id")})
	typesFound  = event.Versions(event.Type{Domain: "shop", Name: "Found", Version: 1, ID: 16, Topic: shop, Schema: record("Found", "id", "where")})
	typesClosed = event.Versions(event.Type{Domain: "shop", Name: "Closed", Version: 1, ID: 17, Topic: shop, Schema: record("Closed", "id")})
)

func (wanted) EventType() *event.Type           { return typesWanted[0] }
func (wanted) Reply(found)                      {}
func (w wanted) Key() string                    { return w.ID }
func (w wanted) EncodeAvro(to *contract.Writer) { to.String("id", w.ID) }
func (w *wanted) DecodeAvro(r *contract.Reader) error {
	w.ID = r.String()
	return r.Err()
}

func (found) EventType() *event.Type           { return typesFound[0] }
func (f found) Key() string                    { return f.ID }
func (f found) EncodeAvro(to *contract.Writer) { to.String("id", f.ID); to.String("where", f.Where) }
func (f *found) DecodeAvro(r *contract.Reader) error {
	f.ID, f.Where = r.String(), r.String()
	return r.Err()
}

func (closed) EventType() *event.Type           { return typesClosed[0] }
func (c closed) Key() string                    { return c.ID }
func (c closed) EncodeAvro(to *contract.Writer) { to.String("id", c.ID) }
func (c *closed) DecodeAvro(r *contract.Reader) error {
	c.ID = r.String()
	return r.Err()
}

func onWanted(_ context.Context, w wanted) (found, error)                { return found{w.ID, "here"}, nil }
func onClosed(context.Context, closed) (choreo.Events, error)            { return nil, nil }
func onAllFound(context.Context, closed, []found) (choreo.Events, error) { return nil, nil }
func onAllPaid(context.Context, closed, []paid) (choreo.Events, error)   { return nil, nil }

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

// tables are a database without a table.
type tables struct{}

func (tables) Migrations() fs.FS { return fstest.MapFS{} }

// till emits Bought, so that others may hear it.
func till() choreo.Service {
	return choreo.Service{Name: "till", Doc: "Sells.", Routes: []choreo.Route{
		route{"POST", "/sales", []choreo.Option{choreo.Emits(bought{})}},
	}}
}
