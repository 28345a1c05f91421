package inventory_test

import (
	"testing"

	"github.com/troupedev/troupe/events/inventory"
	"github.com/troupedev/troupe/events/orders"
	"github.com/troupedev/troupe/events/payments"
	"github.com/troupedev/troupe/platform/choreotest"
	service "github.com/troupedev/troupe/services/inventory"
)

func paid(purpose payments.Purpose, sku string) payments.PaymentProcessed {
	return payments.PaymentProcessed{
		Reference: "o-1", Purpose: purpose, Customer: "Ada", Email: "ada@example.com", Amount: 2500, Authorization: "auth-1",
		Items: []payments.Item{{SKU: sku, Quantity: 2, Price: 1250}},
	}
}

func TestPaidStockIsReserved(t *testing.T) {
	choreotest.Play(t, func(s *choreotest.Stage) {
		s.Send(paid(payments.Storefront, "mug"))
		s.Emitted(inventory.InventoryReserved{
			OrderID: "o-1", Channel: inventory.Storefront, Customer: "Ada", Email: "ada@example.com", Total: 2500,
			Items: []inventory.Item{{SKU: "mug", Quantity: 2, Price: 1250}}, Warehouse: "main",
		})
		s.Send(paid(payments.Wholesale, "mug")) // held before it was paid
		s.NothingElse()
	}, service.Service())
}

func TestPaidStockThatIsShortSaysWhatToRefund(t *testing.T) {
	authorization := "auth-1"
	choreotest.Play(t, func(s *choreotest.Stage) {
		s.Send(paid(payments.Storefront, service.OutOfStock))
		s.Emitted(inventory.InventoryShort{
			OrderID: "o-1", Channel: inventory.Storefront, Customer: "Ada", Email: "ada@example.com", Total: 2500,
			SKU: "unicorn", Authorization: &authorization,
		})
		s.NothingElse()
	}, service.Service())
}

func TestWholesaleStockIsCheckedFirst(t *testing.T) {
	created := orders.OrderCreated{
		OrderID: "o-1", Customer: "Ada", Email: "ada@example.com", Card: "4242424242424242", Total: 2500,
		Items: []orders.Item{{SKU: "mug", Quantity: 2, Price: 1250}},
	}
	choreotest.Play(t, func(s *choreotest.Stage) {
		s.Send(created)
		s.Emitted(inventory.InventoryChecked{
			OrderID: "o-1", Channel: inventory.Wholesale, Customer: "Ada", Email: "ada@example.com", Card: "4242424242424242",
			Total: 2500, Items: []inventory.Item{{SKU: "mug", Quantity: 2, Price: 1250}},
		})
		created.Items[0].SKU = service.OutOfStock
		s.Send(created)
		s.Emitted(inventory.InventoryShort{
			OrderID: "o-1", Channel: inventory.Wholesale, Customer: "Ada", Email: "ada@example.com", Total: 2500, SKU: "unicorn",
		})
		s.NothingElse()
	}, service.Service())
}

func TestHeldStockOfAFailedPaymentIsReleasedInWholesaleOnly(t *testing.T) {
	failed := payments.PaymentFailed{
		Reference: "o-1", Purpose: payments.Wholesale, Reason: "card declined", Items: []payments.Item{{SKU: "mug", Quantity: 2, Price: 1250}},
	}
	choreotest.Play(t, func(s *choreotest.Stage) {
		s.Send(failed)
		s.Emitted(inventory.InventoryReleased{
			OrderID: "o-1", Channel: inventory.Wholesale, Reason: "card declined", Items: []inventory.Item{{SKU: "mug", Quantity: 2, Price: 1250}},
		})
		failed.Purpose = payments.Storefront
		s.Send(failed)
		s.NothingElse()
	}, service.Service())
}
