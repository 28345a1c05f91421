package orders_test

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/troupedev/troupe/events/inventory"
	"github.com/troupedev/troupe/events/orders"
	"github.com/troupedev/troupe/events/payments"
	"github.com/troupedev/troupe/events/shipping"
	"github.com/troupedev/troupe/events/users"
	"github.com/troupedev/troupe/platform/choreotest"
	"github.com/troupedev/troupe/platform/event"
	"github.com/troupedev/troupe/platform/testmain"
	"github.com/troupedev/troupe/services/internal/history"
	service "github.com/troupedev/troupe/services/orders"
)

func TestMain(m *testing.M) { testmain.Run(m) }

func body(channel, sku string) string {
	return `{"channel":"` + channel + `","customer":"Ada","email":"ada@example.com","card":"4242424242424242",
		"items":[{"sku":"mug","quantity":2},{"sku":"` + sku + `","quantity":1}]}`
}

// place places an order, and returns its id.
func place(t *testing.T, s *choreotest.Stage, body string) string {
	t.Helper()
	placed := choreotest.Request[service.PlacedOrder](s, 202, "POST", "/orders", body)
	if placed.OrderID == "" || placed.FlowID == "" {
		t.Fatalf("got %+v", placed)
	}
	return placed.OrderID
}

func TestAnOrderIsTakenByItsChannel(t *testing.T) {
	choreotest.Play(t, func(s *choreotest.Stage) {
		first, second := place(t, s, body("storefront", "lamp")), place(t, s, body("wholesale", "lamp"))
		retail, bulk := choreotest.All[orders.OrderPlaced](s), choreotest.All[orders.OrderCreated](s)
		if len(retail) != 1 || len(bulk) != 1 {
			t.Fatalf("got %d storefront and %d wholesale orders, want one each", len(retail), len(bulk))
		}
		if o := retail[0]; o.OrderID != first || o.Total != 2*1250+4900 || len(o.Items) != 2 || o.Items[1].Price != 4900 || o.Email != "ada@example.com" {
			t.Errorf("the order is %+v", o)
		}
		if bulk[0].OrderID != second {
			t.Errorf("the wholesale order is %+v", bulk[0])
		}
	}, service.Service())
}

func TestABadOrderIsRefusedByItsField(t *testing.T) {
	good := body("storefront", "lamp")
	choreotest.Play(t, func(s *choreotest.Stage) {
		for name, c := range map[string]struct{ body, field string }{
			"another channel":       {body("fax", "lamp"), "body.channel"},
			"an unknown item":       {body("storefront", "spoon"), "body.items[1].sku"},
			"no items":              {`{"channel":"storefront","customer":"Ada","email":"a@example.com","card":"4242424242424242","items":[]}`, "body.items"},
			"a quantity of nothing": {strings.Replace(good, `"quantity":2`, `"quantity":0`, 1), "body.items[0].quantity"},
			"a mail that is none":   {strings.Replace(good, "ada@example.com", "ada", 1), "body.email"},
			"a mail with a name":    {strings.Replace(good, "ada@example.com", "Ada <ada@example.com>", 1), "body.email"},
			"a card that is none":   {strings.Replace(good, "4242424242424242", "visa", 1), "body.card"},
			"no email":              {strings.Replace(good, `"email"`, `"mail"`, 1), "body.email"},
			"no quantity":           {strings.Replace(good, `"quantity":2`, `"number":2`, 1), "body.items[0].quantity"},
			"an empty customer":     {strings.Replace(good, `"Ada"`, `""`, 1), "body.customer"},
		} {
			status, answer := s.Request("POST", "/orders", c.body)
			if status != 422 || !strings.Contains(answer, `"`+c.field+`"`) {
				t.Errorf("%s: got %d %s, want a 422 that names %s", name, status, answer, c.field)
			}
		}
		s.NothingElse()
		if got := choreotest.Get[service.Orders](s, "/orders"); len(got.Orders) > 0 {
			t.Errorf("there are orders: %+v", got)
		}
	}, service.Service())
}

// Events that may end the order with the id given.

func short(id string, c inventory.Channel) inventory.InventoryShort {
	return inventory.InventoryShort{OrderID: id, Channel: c, Customer: "Ada", Email: "ada@example.com", Total: 7400, SKU: "unicorn"}
}

func failed(id string, p payments.Purpose) payments.PaymentFailed {
	return payments.PaymentFailed{Reference: id, Purpose: p, Customer: "Ada", Email: "ada@example.com", Amount: 7400, Reason: "card declined"}
}

func refunded(id string, p payments.Purpose) payments.PaymentRefunded {
	return payments.PaymentRefunded{Reference: id, Purpose: p, Customer: "Ada", Email: "ada@example.com", Amount: 7400, Reason: "out of stock: unicorn"}
}

func shipped(id string) shipping.ShippingArranged {
	return shipping.ShippingArranged{OrderID: id, Customer: "Ada", Email: "ada@example.com", Total: 7400, TrackingNumber: "TH1"}
}

func cancelled(id, reason string) orders.OrderCancelled {
	return orders.OrderCancelled{OrderID: id, Customer: "Ada", Email: "ada@example.com", Reason: reason}
}

func fulfilled(id string) orders.OrderFulfilled {
	return orders.OrderFulfilled{OrderID: id, Customer: "Ada", Email: "ada@example.com", Total: 7400, TrackingNumber: "TH1"}
}

func TestWhatEndsAnOrder(t *testing.T) {
	cases := map[string]struct {
		heard   func(id string) event.Event
		emitted func(id string) event.Event // nil: nothing
		stands  service.Order
	}{
		"a declined card": {
			func(id string) event.Event { return failed(id, payments.Storefront) },
			func(id string) event.Event { return cancelled(id, "card declined") },
			service.Order{Status: "cancelled", Reason: "card declined"}},
		"a declined card, wholesale": {
			func(id string) event.Event { return failed(id, payments.Wholesale) },
			func(id string) event.Event { return cancelled(id, "card declined") },
			service.Order{Status: "cancelled", Reason: "card declined"}},
		"a declined card of a flight": {
			func(id string) event.Event { return failed(id, payments.Flight) }, nil, service.Order{Status: "placed"}},
		"a refund": {
			func(id string) event.Event { return refunded(id, payments.Storefront) },
			func(id string) event.Event { return cancelled(id, "out of stock: unicorn") },
			service.Order{Status: "cancelled", Reason: "out of stock: unicorn"}},
		"a refund of a flight": {
			func(id string) event.Event { return refunded(id, payments.Flight) }, nil, service.Order{Status: "placed"}},
		"short stock, wholesale": {
			func(id string) event.Event { return short(id, inventory.Wholesale) },
			func(id string) event.Event { return cancelled(id, "out of stock: unicorn") },
			service.Order{Status: "cancelled", Reason: "out of stock: unicorn"}},
		"short stock, to be refunded": {
			func(id string) event.Event { return short(id, inventory.Storefront) }, nil, service.Order{Status: "placed"}},
		"a parcel that is on its way": {
			func(id string) event.Event { return shipped(id) },
			func(id string) event.Event { return fulfilled(id) },
			service.Order{Status: "fulfilled", TrackingNumber: "TH1"}},
	}
	choreotest.Play(t, func(s *choreotest.Stage) {
		for _, name := range slices.Sorted(maps.Keys(cases)) {
			c := cases[name]
			id, before := place(t, s, body("storefront", "lamp")), len(s.Happened())
			all := choreotest.All[orders.OrderPlaced](s)
			placed := all[len(all)-1]
			s.Emitted(placed)
			s.Send(c.heard(id))
			if c.emitted != nil {
				s.Emitted(c.emitted(id))
			}
			s.NothingElse()

			o := choreotest.Get[service.Order](s, "/orders/"+id)
			if o.Status != c.stands.Status || o.Reason != c.stands.Reason || o.TrackingNumber != c.stands.TrackingNumber {
				t.Errorf("%s: it stands so: %+v", name, o)
			}
			if o.OrderID != id || o.Channel != "storefront" || o.Customer != "Ada" || o.Email != "ada@example.com" || o.Total != 7400 ||
				!slices.Equal(o.Lines, placed.Items) || !o.PlacedAt.Equal(placed.PlacedAt) {
				t.Errorf("%s: the order is %+v", name, o)
			}
			if err := tells(o, s.Happened()[before-1:], c.emitted != nil); err != nil {
				t.Errorf("%s: %v", name, err)
			}
		}
	}, service.Service())
}

// tells compares a history with what happened: the order was placed first, and
// then heard what came next, if that was for it.
func tells(o service.Order, happened []event.Envelope, ended bool) error {
	want := []history.Happened{{Event: "OrderPlaced", EventID: happened[0].ID, At: happened[0].Time, Status: "placed"}}
	if ended {
		_, name, _ := strings.Cut(happened[1].Type, ".")
		want = append(want, history.Happened{Event: name, EventID: happened[1].ID, At: happened[1].Time, Status: string(o.Status)})
	}
	same := func(a, b history.Happened) bool {
		return a.Event == b.Event && a.EventID == b.EventID && a.Status == b.Status && a.At.UnixMilli() == b.At.UnixMilli()
	}
	if !slices.EqualFunc(o.History, want, same) {
		return fmt.Errorf("the history is\n%+v, want\n%+v", o.History, want)
	}
	return nil
}

func TestAnOrderEndsOnceWhateverComesTogether(t *testing.T) {
	choreotest.Play(t, func(s *choreotest.Stage) {
		id := place(t, s, body("storefront", "lamp"))
		s.Together(func() {
			s.Send(refunded(id, payments.Storefront))
			s.Send(shipped(id))
			s.Send(failed(id, payments.Storefront))
		})
		ended := len(choreotest.All[orders.OrderCancelled](s)) + len(choreotest.All[orders.OrderFulfilled](s))
		o := choreotest.Get[service.Order](s, "/orders/"+id)
		if ended != 1 || o.Status == "placed" || len(o.History) != 4 {
			t.Errorf("it ended %d times, and stands so: %+v", ended, o)
		}
		for _, h := range o.History[1:] {
			if h.Status != string(o.Status) {
				t.Errorf("after it had ended it changed: %+v", o.History)
			}
		}
	}, service.Service())
}

func TestAnOrderOfAnotherProducerIsKnownFromItsEndOn(t *testing.T) {
	choreotest.Play(t, func(s *choreotest.Stage) {
		s.Send(shipped("o-1"))
		s.Send(failed("o-1", payments.Storefront))
		s.Emitted(fulfilled("o-1"))
		s.NothingElse()
		o := choreotest.Get[service.Order](s, "/orders/o-1")
		if o.Status != "fulfilled" || o.Total != 7400 || o.Email != "" || len(o.Lines) > 0 || len(o.History) != 2 {
			t.Errorf("the order is %+v", o)
		}
	}, service.Service())
}

func TestOrdersAreListedByIDAndStatus(t *testing.T) {
	choreotest.Play(t, func(s *choreotest.Stage) {
		var all []string
		for range 5 {
			all = append(all, place(t, s, body("storefront", "lamp")))
		}
		slices.Sort(all)
		s.Send(shipped(all[1]), shipped(all[3]))
		for query, want := range map[string][]string{
			"":                                  all,
			"?limit=2":                          all[:2],
			"?limit=2&after=" + all[1]:          all[2:4],
			"?after=" + all[4]:                  nil,
			"?status=fulfilled":                 {all[1], all[3]},
			"?status=placed&limit=2":            {all[0], all[2]},
			"?status=placed&after=" + all[2]:    {all[4]},
			"?status=cancelled":                 nil,
			"?status=fulfilled&after=" + all[1]: {all[3]},
			"?status=fulfilled&limit=1":         {all[1]},
			"?after=nobody-knows-this-one":      nil,
			"?after=0&limit=1000&status=placed": {all[0], all[2], all[4]},
		} {
			var got []string
			for _, o := range choreotest.Get[service.Orders](s, "/orders"+query).Orders {
				got = append(got, o.OrderID)
			}
			if !slices.Equal(got, want) {
				t.Errorf("GET /orders%s: got %v, want %v", query, got, want)
			}
		}
		for _, bad := range []string{"?limit=0", "?limit=1001", "?status=lost", "?before=a"} {
			if status, answer := s.Request("GET", "/orders"+bad, ""); status != 422 {
				t.Errorf("GET /orders%s: got %d %s", bad, status, answer)
			}
		}
		if status, answer := s.Request("GET", "/orders/none", ""); status != 404 || !strings.Contains(answer, "no order has the id none") {
			t.Errorf("an order that is not there: %d %s", status, answer)
		}
	}, service.Service())
}

func TestAClosedAccountsOrdersAreAnonymous(t *testing.T) {
	choreotest.Play(t, func(s *choreotest.Stage) {
		first, second := place(t, s, body("storefront", "lamp")), place(t, s, strings.Replace(body("wholesale", "lamp"), "ada@", "Ada@", 1))
		other := place(t, s, strings.Replace(body("storefront", "lamp"), "ada@", "bob@", 1))
		s.Send(users.AccountClosureRequested{UserID: "u-1", Name: "Ada", Email: "ada@example.com"})
		if got := choreotest.All[users.AccountDataErased](s); len(got) != 1 || got[0] != (users.AccountDataErased{UserID: "u-1", Service: "orders", Records: 2}) {
			t.Errorf("got %+v", got)
		}
		s.Send(shipped(first)) // what is under way goes on
		for id, want := range map[string]service.Order{first: {Status: "fulfilled"}, second: {Status: "placed"}, other: {Status: "placed", Customer: "Ada", Email: "bob@example.com"}} {
			if o := choreotest.Get[service.Order](s, "/orders/"+id); o.Status != want.Status || o.Customer != want.Customer || o.Email != want.Email || o.Total != 7400 {
				t.Errorf("order %s is %+v", id, o)
			}
		}
		if rows := s.Rows("orders", `select id from orders where (customer <> '' or email <> '' or address <> '') and id <> $1`, other); len(rows) > 0 {
			t.Errorf("not erased: %v", rows)
		}
	}, service.Service())
}
