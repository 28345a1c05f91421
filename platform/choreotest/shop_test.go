package choreotest_test

import (
	"context"
	"fmt"
	"testing/fstest"
	"time"

	"github.com/troupedev/troupe/platform/choreo"
	"github.com/troupedev/troupe/platform/contract"
	"github.com/troupedev/troupe/platform/event"
	"github.com/troupedev/troupe/platform/store"
	"github.com/troupedev/troupe/platform/web"
)

// Events as the generator would write them, of three domains made up here: what
// becomes of an order in a shop.

type fields struct {
	ID string `avro:"id"`
	N  int64  `avro:"n"`
}

func (f fields) Key() string { return f.ID }
func (f fields) EncodeAvro(w *contract.Writer) {
	w.String("id", f.ID)
	w.Long(f.N)
}
func (f *fields) DecodeAvro(r *contract.Reader) error {
	f.ID, f.N = r.String(), r.Long()
	return r.Err()
}

func typeOf(id int32, domain, name, reply string) []*event.Type {
	return event.Versions(event.Type{
		Domain: domain, Name: name, Version: 1, ID: id, Reply: reply, Topic: &event.Topic{Name: domain},
		Schema: fmt.Sprintf(`{"type":"record","name":%q,"namespace":%q,"doc":"d","fields":[
			{"name":"id","type":"string","doc":"d","key":true},{"name":"n","type":"long","doc":"d"}]}`, name, domain),
	})
}

type (
	ordered  struct{ fields } // the customer wants N of something
	paid     struct{ fields }
	refunded struct{ fields }
	reserved struct{ fields }
	short    struct{ fields } // there is not enough in stock
	late     struct{ fields } // the shop's own clock
	expired  struct{ fields } // the order took too long, and is given up
	priced   struct{ fields } // asks for the price of N
	price    struct{ fields }
	closing  struct{ fields } // everybody is to forget the customer
	forgot   struct{ fields }
	closed   struct{ fields } // N have forgotten
)

var (
	orderedType  = typeOf(11, "orders", "Ordered", "")
	paidType     = typeOf(12, "money", "Paid", "")
	refundedType = typeOf(13, "money", "Refunded", "")
	reservedType = typeOf(14, "stock", "Reserved", "")
	shortType    = typeOf(15, "stock", "Short", "")
	expiredType  = typeOf(16, "orders", "Expired", "")
	lateType     = typeOf(22, "orders", "Late", "")
	pricedType   = typeOf(17, "money", "Priced", "money.Price")
	priceType    = typeOf(18, "money", "Price", "")
	closingType  = typeOf(19, "orders", "Closing", "")
	forgotType   = typeOf(20, "orders", "Forgot", "")
	closedType   = typeOf(21, "orders", "Closed", "")
)

func (ordered) EventType() *event.Type  { return orderedType[0] }
func (paid) EventType() *event.Type     { return paidType[0] }
func (refunded) EventType() *event.Type { return refundedType[0] }
func (reserved) EventType() *event.Type { return reservedType[0] }
func (short) EventType() *event.Type    { return shortType[0] }
func (expired) EventType() *event.Type  { return expiredType[0] }
func (late) EventType() *event.Type     { return lateType[0] }
func (priced) EventType() *event.Type   { return pricedType[0] }
func (priced) Reply(price)              {}
func (price) EventType() *event.Type    { return priceType[0] }
func (closing) EventType() *event.Type  { return closingType[0] }
func (forgot) EventType() *event.Type   { return forgotType[0] }
func (closed) EventType() *event.Type   { return closedType[0] }

func of[E ~struct{ fields }](id string, n int64) E { return E{fields{id, n}} }

// tables are those of a service, by one migration.
func tables(create string) choreo.Store {
	return store.Tables(fstest.MapFS{"00001_tables.sql": {Data: []byte("-- +goose Up\n" + create + "\n")}})
}

// bank charges what is ordered, and gives back what is short or expired: a
// card that is charged twice, or never given back, is what faults bring about.
type bank struct {
	charged, given map[string]int64 // by order, at the card company
}

func newBank() *bank { return &bank{map[string]int64{}, map[string]int64{}} }

const payments = `CREATE TABLE payments (id text PRIMARY KEY, amount bigint NOT NULL DEFAULT 0, over boolean NOT NULL);`

func (b *bank) service() choreo.Service {
	return choreo.Service{Name: "bank", Doc: "Charges and refunds.", Store: tables(payments), Reactions: []choreo.Reaction{
		choreo.On(b.charge, choreo.Emits(paid{})),
		choreo.On(func(ctx context.Context, e short) (choreo.Events, error) { return b.refund(ctx, e.ID) }, choreo.Emits(refunded{})),
		choreo.On(func(ctx context.Context, e expired) (choreo.Events, error) { return b.refund(ctx, e.ID) }, choreo.Emits(refunded{})),
	}}
}

// charge tells the card company for which order it charges: asked again, it
// charges no second time.
func (b *bank) charge(ctx context.Context, o ordered) (choreo.Events, error) {
	var over bool
	err := store.Tx(ctx).QueryRowContext(ctx,
		`INSERT INTO payments (id, amount, over) VALUES ($1, $2, false) ON CONFLICT (id) DO UPDATE SET id = excluded.id RETURNING over`,
		o.ID, o.N).Scan(&over)
	if over || err != nil {
		return nil, err
	}
	b.charged[o.ID] = o.N
	return choreo.Emit(of[paid](o.ID, o.N)), nil
}

// refund gives back what was charged, once; what has not been charged yet
// never will be.
func (b *bank) refund(ctx context.Context, id string) (choreo.Events, error) {
	var amount int64
	err := store.Tx(ctx).QueryRowContext(ctx,
		`INSERT INTO payments (id, over) VALUES ($1, true) ON CONFLICT (id) DO UPDATE SET amount = payments.amount RETURNING amount`, id).Scan(&amount)
	if amount == 0 || err != nil {
		return nil, err
	}
	if _, err := store.Tx(ctx).ExecContext(ctx, `UPDATE payments SET amount = 0, over = true WHERE id = $1`, id); err != nil {
		return nil, err
	}
	b.given[id] = amount
	return choreo.Emit(of[refunded](id, amount)), nil
}

const stock = `
CREATE TABLE stock (sku text PRIMARY KEY, n bigint NOT NULL CHECK (n >= 0));
INSERT INTO stock VALUES ('mug', 3);`

// warehouse has three mugs.
func warehouse() choreo.Service {
	return choreo.Service{Name: "warehouse", Doc: "Keeps the stock.", Store: tables(stock), Reactions: []choreo.Reaction{
		choreo.On(reserve, choreo.Emits(reserved{}, short{})),
	}}
}

func reserve(ctx context.Context, p paid) (choreo.Events, error) {
	result, err := store.Tx(ctx).ExecContext(ctx, `UPDATE stock SET n = n - $1 WHERE sku = 'mug' AND n >= $1`, p.N)
	if err != nil {
		return nil, err
	}
	if n, err := result.RowsAffected(); err != nil || n == 0 {
		return choreo.Emit(of[short](p.ID, p.N)), err
	}
	return choreo.Emit(of[reserved](p.ID, p.N)), nil
}

type settings struct {
	Limit time.Duration `env:"SHOP_LIMIT" default:"24h" doc:"after which an order is given up"`
}

// shop takes orders, and gives up those that are not done in time.
func shop() choreo.Service {
	var set settings
	type request struct {
		Body struct {
			N int64 `json:"n" minimum:"1"`
		}
	}
	take := func(ctx context.Context, in *request) (map[string]string, choreo.Events, error) {
		id := event.From(ctx).ID
		if _, err := store.Tx(ctx).ExecContext(ctx, `INSERT INTO orders VALUES ($1, 'taken')`, id); err != nil {
			return nil, nil, err
		}
		return map[string]string{"id": id}, choreo.Emit(of[ordered](id, in.Body.N)).After(set.Limit, of[late](id, 0)), nil
	}
	return choreo.Service{
		Name: "shop", Doc: "Takes orders.", Settings: &set,
		Store:  tables(`CREATE TABLE orders (id text PRIMARY KEY, status text NOT NULL);`),
		Routes: []choreo.Route{web.Post("/orders", take, choreo.Emits(ordered{}, late{}))},
		Reactions: []choreo.Reaction{
			choreo.On(func(ctx context.Context, e reserved) (choreo.Events, error) {
				_, err := end(ctx, e.ID, "done")
				return nil, err
			}),
			choreo.On(func(ctx context.Context, e short) (choreo.Events, error) {
				_, err := end(ctx, e.ID, "sold out")
				return nil, err
			}),
			choreo.On(func(ctx context.Context, e late) (choreo.Events, error) {
				if ended, err := end(ctx, e.ID, "given up"); !ended || err != nil {
					return nil, err
				}
				return choreo.Emit(of[expired](e.ID, 0)), nil
			}, choreo.Emits(expired{})),
		},
	}
}

// end ends an order that has not ended yet.
func end(ctx context.Context, id, status string) (bool, error) {
	result, err := store.Tx(ctx).ExecContext(ctx, `UPDATE orders SET status = $2 WHERE id = $1 AND status = 'taken'`, id, status)
	if err != nil {
		return false, err
	}
	n, err := result.RowsAffected()
	return n == 1, err
}

// catalogue answers what things cost.
func catalogue() choreo.Service {
	return choreo.Service{
		Name: "catalogue", Doc: "Knows prices.",
		Store: tables("CREATE TABLE prices (one bigint NOT NULL);\nINSERT INTO prices VALUES (5);"),
		Reactions: []choreo.Reaction{choreo.Answer(func(ctx context.Context, q priced) (p price, err error) {
			err = store.Tx(ctx).QueryRowContext(ctx, `SELECT one * $1 FROM prices`, q.N).Scan(&p.N)
			p.ID = q.ID
			return p, err
		})},
	}
}

// clerk pays what is ordered by the price that it asks for.
func clerk() choreo.Service {
	return choreo.Service{Name: "clerk", Doc: "Asks for prices.", Reactions: []choreo.Reaction{
		choreo.On(func(ctx context.Context, o ordered) (choreo.Events, error) {
			cost, err := choreo.Ask(ctx, of[priced](o.ID, o.N))
			if err != nil {
				return nil, err
			}
			return choreo.Emit(of[paid](o.ID, cost.N)), nil
		}, choreo.Emits(priced{}, paid{})),
	}}
}

// registry gathers who has forgotten a customer.
func registry() choreo.Service {
	return choreo.Service{
		Name: "registry", Doc: "Closes accounts.", Store: tables(`CREATE TABLE unused (id text);`),
		Reactions: []choreo.Reaction{choreo.Gather(func(_ context.Context, c closing, answers []forgot) (choreo.Events, error) {
			return choreo.Emit(of[closed](c.ID, int64(len(answers)))), nil
		}, choreo.Emits(closed{}))},
	}
}

// forgetter has something to forget.
func forgetter(name string) choreo.Service {
	return choreo.Service{Name: name, Doc: "Forgets.", Reactions: []choreo.Reaction{
		choreo.On(func(_ context.Context, c closing) (choreo.Events, error) {
			return choreo.Emit(of[forgot](c.ID, 0)), nil
		}, choreo.Emits(forgot{})),
	}}
}
