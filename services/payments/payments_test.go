package payments_test

import (
	"testing"

	"github.com/troupedev/troupe/events/inventory"
	"github.com/troupedev/troupe/events/orders"
	"github.com/troupedev/troupe/events/payments"
	"github.com/troupedev/troupe/platform/choreotest"
	service "github.com/troupedev/troupe/services/payments"
)

var (
	ordered = []orders.Item{{SKU: "mug", Quantity: 2, Price: 1250}}
	held    = []inventory.Item{{SKU: "mug", Quantity: 2, Price: 1250}}
	paidFor = []payments.Item{{SKU: "mug", Quantity: 2, Price: 1250}}
)

func placed(card string) orders.OrderPlaced {
	return orders.OrderPlaced{OrderID: "o-1", Customer: "Ada", Email: "ada@example.com", Card: card, Items: ordered, Total: 2500}
}

func play(t *testing.T, script func(*choreotest.Stage)) {
	t.Helper()
	choreotest.Play(t, script, service.Service(service.TestCards{}))
}

func TestACardIsCharged(t *testing.T) {
	play(t, func(s *choreotest.Stage) {
		s.Send(placed("4242424242424242"))
		paid := choreotest.All[payments.PaymentProcessed](s)
		if len(paid) != 1 || paid[0].Authorization == "" {
			t.Fatalf("got %+v, want one payment with an authorization", paid)
		}
		s.Emitted(payments.PaymentProcessed{
			Reference: "o-1", Purpose: payments.Storefront, Customer: "Ada", Email: "ada@example.com",
			Amount: 2500, Authorization: paid[0].Authorization, Items: paidFor,
		})
		s.NothingElse()
	})
}

func TestADeclinedCardFailsThePayment(t *testing.T) {
	play(t, func(s *choreotest.Stage) {
		s.Send(placed(service.CardDeclined))
		s.Emitted(payments.PaymentFailed{
			Reference: "o-1", Purpose: payments.Storefront, Customer: "Ada", Email: "ada@example.com",
			Amount: 2500, Reason: "card declined", Items: paidFor,
		})
		s.NothingElse()
	})
}

func TestAProviderThatFailsTwiceIsTriedAgain(t *testing.T) {
	play(t, func(s *choreotest.Stage) {
		s.Send(placed(service.CardFailsTwice))
		if paid := choreotest.All[payments.PaymentProcessed](s); len(paid) != 1 {
			t.Errorf("got %+v, want one payment", paid)
		}
	})
}

func TestAProviderThatAlwaysFailsEndsInADeadLetter(t *testing.T) {
	play(t, func(s *choreotest.Stage) {
		s.Send(placed(service.CardAlwaysFails))
		s.Dead("payments", "card provider is unavailable")
		s.NothingElse()
	})
}

func TestWholesaleIsChargedOnceStockIsHeld(t *testing.T) {
	play(t, func(s *choreotest.Stage) {
		s.Send(inventory.InventoryChecked{
			OrderID: "o-1", Channel: inventory.Wholesale, Customer: "Ada", Email: "ada@example.com",
			Card: "4242424242424242", Total: 2500, Items: held,
		})
		paid := choreotest.All[payments.PaymentProcessed](s)
		if len(paid) != 1 || paid[0].Purpose != payments.Wholesale || len(paid[0].Items) != 1 || paid[0].Items[0] != paidFor[0] {
			t.Errorf("got %+v, want one wholesale payment for its items", paid)
		}
	})
}

func TestShortStockIsRefundedInTheStorefrontOnly(t *testing.T) {
	authorization := "auth-1"
	short := inventory.InventoryShort{
		OrderID: "o-1", Channel: inventory.Storefront, Customer: "Ada", Email: "ada@example.com", Total: 2500,
		SKU: "unicorn", Authorization: &authorization,
	}
	play(t, func(s *choreotest.Stage) {
		s.Send(short)
		s.Emitted(payments.PaymentRefunded{
			Reference: "o-1", Purpose: payments.Storefront, Customer: "Ada", Email: "ada@example.com",
			Amount: 2500, Reason: "out of stock: unicorn",
		})
		wholesale := short
		wholesale.Channel, wholesale.Authorization = inventory.Wholesale, nil
		s.Send(wholesale)
		s.NothingElse()
	})
}

func TestARefundOfNothingIsADeadLetter(t *testing.T) {
	play(t, func(s *choreotest.Stage) {
		s.Send(inventory.InventoryShort{OrderID: "o-1", Channel: inventory.Storefront, SKU: "unicorn"})
		s.Dead("payments", "nothing was charged")
	})
}
