package orders_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/troupedev/troupe/events/inventory"
	"github.com/troupedev/troupe/events/orders"
	"github.com/troupedev/troupe/events/payments"
	"github.com/troupedev/troupe/events/shipping"
	"github.com/troupedev/troupe/platform/choreotest"
	"github.com/troupedev/troupe/platform/event"
	service "github.com/troupedev/troupe/services/orders"
)

func body(channel, sku string) string {
	return `{"channel":"` + channel + `","customer":"Ada","email":"ada@example.com","card":"4242424242424242",
		"items":[{"sku":"mug","quantity":2},{"sku":"` + sku + `","quantity":1}]}`
}

func TestAnOrderIsTakenByItsChannel(t *testing.T) {
	choreotest.Play(t, func(s *choreotest.Stage) {
		for _, channel := range []string{"storefront", "wholesale"} {
			status, answer := s.Request("POST", "/orders", body(channel, "lamp"))
			var placed service.PlacedOrder
			if err := json.Unmarshal([]byte(answer), &placed); err != nil || status != 202 || placed.OrderID == "" || placed.FlowID == "" {
				t.Errorf("%s: got %d %s", channel, status, answer)
			}
		}
		retail, bulk := choreotest.All[orders.OrderPlaced](s), choreotest.All[orders.OrderCreated](s)
		if len(retail) != 1 || len(bulk) != 1 {
			t.Fatalf("got %d storefront and %d wholesale orders, want one each", len(retail), len(bulk))
		}
		if o := retail[0]; o.Total != 2*1250+4900 || len(o.Items) != 2 || o.Items[1].Price != 4900 || o.Email != "ada@example.com" {
			t.Errorf("the order is %+v", o)
		}
	}, service.Service())
}

func TestABadOrderIsRefusedByItsField(t *testing.T) {
	good := body("storefront", "lamp")
	for name, c := range map[string]struct{ body, field string }{
		"another channel":       {body("fax", "lamp"), "body.channel"},
		"an unknown item":       {body("storefront", "spoon"), "body.items[1].sku"},
		"no items":              {`{"channel":"storefront","customer":"Ada","email":"a@example.com","card":"4242424242424242","items":[]}`, "body.items"},
		"a quantity of nothing": {strings.Replace(good, `"quantity":2`, `"quantity":0`, 1), "body.items[0].quantity"},
		"a mail that is none":   {strings.Replace(good, "ada@example.com", "ada", 1), "body.email"},
		"a card that is none":   {strings.Replace(good, "4242424242424242", "visa", 1), "body.card"},
		"no email":              {strings.Replace(good, `"email"`, `"mail"`, 1), "body.email"},
		"no quantity":           {strings.Replace(good, `"quantity":2`, `"number":2`, 1), "body.items[0].quantity"},
		"an empty customer":     {strings.Replace(good, `"Ada"`, `""`, 1), "body.customer"},
	} {
		t.Run(name, func(t *testing.T) {
			choreotest.Play(t, func(s *choreotest.Stage) {
				status, answer := s.Request("POST", "/orders", c.body)
				if status != 422 || !strings.Contains(answer, `"`+c.field+`"`) {
					t.Errorf("got %d %s, want a 422 that names %s", status, answer, c.field)
				}
				s.NothingElse()
			}, service.Service())
		})
	}
}

func TestWhatEndsAnOrder(t *testing.T) {
	cancelled := func(reason string) orders.OrderCancelled {
		return orders.OrderCancelled{OrderID: "o-1", Customer: "Ada", Email: "ada@example.com", Reason: reason}
	}
	short := func(c inventory.Channel) inventory.InventoryShort {
		return inventory.InventoryShort{OrderID: "o-1", Channel: c, Customer: "Ada", Email: "ada@example.com", SKU: "unicorn"}
	}
	failed := func(p payments.Purpose) payments.PaymentFailed {
		return payments.PaymentFailed{Reference: "o-1", Purpose: p, Customer: "Ada", Email: "ada@example.com", Reason: "card declined"}
	}
	for name, c := range map[string]struct {
		heard   event.Event
		emitted []event.Event
	}{
		"a declined card":             {failed(payments.Storefront), []event.Event{cancelled("card declined")}},
		"a declined card, wholesale":  {failed(payments.Wholesale), []event.Event{cancelled("card declined")}},
		"a declined card of a flight": {failed(payments.Flight), nil},
		"a refund": {
			payments.PaymentRefunded{Reference: "o-1", Purpose: payments.Storefront, Customer: "Ada", Email: "ada@example.com", Reason: "out of stock: unicorn"},
			[]event.Event{cancelled("out of stock: unicorn")}},
		"short stock, wholesale":      {short(inventory.Wholesale), []event.Event{cancelled("out of stock: unicorn")}},
		"short stock, to be refunded": {short(inventory.Storefront), nil},
		"a parcel that is on its way": {
			shipping.ShippingArranged{OrderID: "o-1", Customer: "Ada", Email: "ada@example.com", Total: 5, TrackingNumber: "TH1"},
			[]event.Event{orders.OrderFulfilled{OrderID: "o-1", Customer: "Ada", Email: "ada@example.com", Total: 5, TrackingNumber: "TH1"}}},
	} {
		t.Run(name, func(t *testing.T) {
			choreotest.Play(t, func(s *choreotest.Stage) {
				s.Send(c.heard)
				s.Emitted(c.emitted...)
				s.NothingElse()
			}, service.Service())
		})
	}
}
