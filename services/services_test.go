package services_test

import (
	"testing"

	"github.com/troupedev/troupe/events/coupons"
	"github.com/troupedev/troupe/events/inventory"
	"github.com/troupedev/troupe/events/orders"
	"github.com/troupedev/troupe/events/payments"
	"github.com/troupedev/troupe/events/shipping"
	"github.com/troupedev/troupe/platform/choreo"
	"github.com/troupedev/troupe/platform/choreotest"
	"github.com/troupedev/troupe/platform/testmain"
	"github.com/troupedev/troupe/services"
	paymentsservice "github.com/troupedev/troupe/services/payments"
)

func TestMain(m *testing.M) { testmain.Run(m) }

func TestTheTopologyHoldsTogether(t *testing.T) {
	if err := services.All().Validate(); err != nil {
		t.Error(err)
	}
}

// shipped are the services that are here: a subscriber that is added to them
// gets mails sent and holds data too, and is to break no test that counts these.
func shipped(t *testing.T) choreo.Topology {
	t.Helper()
	topology, err := services.All().Select("orders", "payments", "inventory", "shipping", "notifications",
		"users", "coupons", "bookings", "seats", "tickets")
	if err != nil {
		t.Fatal(err)
	}
	return topology
}

// TestFlows plays whole flows over all services: what is in the order decides
// which events it leads to, how often each.
func TestFlows(t *testing.T) {
	const good = "4242424242424242"
	for name, c := range map[string]struct {
		channel, card, sku string
		leadsTo            flow
		dead               string
	}{
		"storefront":                        {"storefront", good, "mug", flow{placed: 1, paid: 1, reserved: 1, shipped: 1, fulfilled: 1, told: 2}, ""},
		"storefront, declined":              {"storefront", paymentsservice.CardDeclined, "mug", flow{placed: 1, unpaid: 1, cancelled: 1, told: 1}, ""},
		"storefront, short":                 {"storefront", good, "unicorn", flow{placed: 1, paid: 1, short: 1, refunded: 1, cancelled: 1, told: 1}, ""},
		"storefront, provider fails twice":  {"storefront", paymentsservice.CardFailsTwice, "mug", flow{placed: 1, paid: 1, reserved: 1, shipped: 1, fulfilled: 1, told: 2}, ""},
		"storefront, provider always fails": {"storefront", paymentsservice.CardAlwaysFails, "mug", flow{placed: 1}, "attempts"},
		"wholesale":                         {"wholesale", good, "desk", flow{created: 1, checked: 1, paid: 1, shipped: 1, fulfilled: 1, granted: 1, told: 2}, ""},
		"wholesale, declined":               {"wholesale", paymentsservice.CardDeclined, "desk", flow{created: 1, checked: 1, unpaid: 1, released: 1, cancelled: 1, told: 1}, ""},
		"wholesale, short":                  {"wholesale", good, "unicorn", flow{created: 1, short: 1, cancelled: 1, told: 1}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			choreotest.Play(t, func(s *choreotest.Stage) {
				status, answer := s.Request("POST", "/orders", `{"channel":"`+c.channel+`","customer":"Ada","email":"ada@example.com","card":"`+
					c.card+`","items":[{"sku":"`+c.sku+`","quantity":1}]}`)
				if status != 202 {
					t.Fatalf("got %d %s", status, answer)
				}
				if c.dead != "" {
					s.Dead("payments", c.dead)
				}
				if got := count(s); got != c.leadsTo {
					t.Errorf("it led to\n%+v, want\n%+v", got, c.leadsTo)
				}
			}, shipped(t)...)
		})
	}
}

// flow counts the events of a flow, and the mails.
type flow struct {
	placed, created, cancelled, fulfilled int
	paid, unpaid, refunded                int
	reserved, checked, short, released    int
	shipped, granted, told                int
}

func count(s *choreotest.Stage) flow {
	return flow{
		placed:    len(choreotest.All[orders.OrderPlaced](s)),
		created:   len(choreotest.All[orders.OrderCreated](s)),
		cancelled: len(choreotest.All[orders.OrderCancelled](s)),
		fulfilled: len(choreotest.All[orders.OrderFulfilled](s)),
		paid:      len(choreotest.All[payments.PaymentProcessed](s)),
		unpaid:    len(choreotest.All[payments.PaymentFailed](s)),
		refunded:  len(choreotest.All[payments.PaymentRefunded](s)),
		reserved:  len(choreotest.All[inventory.InventoryReserved](s)),
		checked:   len(choreotest.All[inventory.InventoryChecked](s)),
		short:     len(choreotest.All[inventory.InventoryShort](s)),
		released:  len(choreotest.All[inventory.InventoryReleased](s)),
		shipped:   len(choreotest.All[shipping.ShippingArranged](s)),
		granted:   len(choreotest.All[coupons.CouponGranted](s)),
		told:      len(s.Mails()),
	}
}
