package inventory_test

import (
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/troupedev/troupe/events/inventory"
	"github.com/troupedev/troupe/events/orders"
	"github.com/troupedev/troupe/events/payments"
	"github.com/troupedev/troupe/platform/choreotest"
	service "github.com/troupedev/troupe/services/inventory"
)

func paid(order string, purpose payments.Purpose, items ...payments.Item) payments.PaymentProcessed {
	return payments.PaymentProcessed{
		Reference: order, Purpose: purpose, Customer: "Ada", Email: "ada@example.com", Amount: 2500, Authorization: "auth-1", Items: items,
	}
}

func reserved(order string, items ...inventory.Item) inventory.InventoryReserved {
	return inventory.InventoryReserved{
		OrderID: order, Channel: inventory.Storefront, Customer: "Ada", Email: "ada@example.com", Total: 2500, Items: items, Warehouse: "main",
	}
}

func created(order string, items ...orders.Item) orders.OrderCreated {
	return orders.OrderCreated{OrderID: order, Customer: "Ada", Email: "ada@example.com", Card: "4242424242424242", Total: 2500, Items: items}
}

func checked(order string, items ...inventory.Item) inventory.InventoryChecked {
	return inventory.InventoryChecked{
		OrderID: order, Channel: inventory.Wholesale, Customer: "Ada", Email: "ada@example.com", Card: "4242424242424242", Total: 2500, Items: items,
	}
}

func short(order, sku string) inventory.InventoryShort {
	return inventory.InventoryShort{
		OrderID: order, Channel: inventory.Wholesale, Customer: "Ada", Email: "ada@example.com", Total: 2500, SKU: sku,
	}
}

func failed(order string) payments.PaymentFailed {
	return payments.PaymentFailed{
		Reference: order, Purpose: payments.Wholesale, Reason: "card declined", Items: []payments.Item{{SKU: "anything", Quantity: 9, Price: 1}},
	}
}

// stands demands how much there is, and that nothing came from nowhere: it is
// asked for over HTTP, as everybody can.
func stands(t *testing.T, s *choreotest.Stage, want ...service.Stock) {
	t.Helper()
	if got := choreotest.Get[service.AllStock](s, "/stock"); !slices.Equal(got.Stock, want) {
		t.Errorf("the stock is %+v, want %+v", got.Stock, want)
	}
}

const million = 1_000_000

func TestPaidStockIsReserved(t *testing.T) {
	choreotest.Play(t, func(s *choreotest.Stage) {
		s.Send(paid("o-1", payments.Storefront, payments.Item{SKU: "mug", Quantity: 2, Price: 1250}))
		s.Emitted(reserved("o-1", inventory.Item{SKU: "mug", Quantity: 2, Price: 1250}))
		s.Send(paid("o-2", payments.Wholesale, payments.Item{SKU: "mug", Quantity: 2})) // held before it was paid
		s.NothingElse()
		stands(t, s, service.Stock{SKU: "desk", Available: million}, service.Stock{SKU: "lamp", Available: million},
			service.Stock{SKU: "mug", Available: million - 2, Reserved: 2})
	}, service.Service())
}

func TestPaidStockThatIsShortSaysWhatToRefund(t *testing.T) {
	authorization := "auth-1"
	choreotest.Play(t, func(s *choreotest.Stage) {
		s.Send(paid("o-1", payments.Storefront, payments.Item{SKU: "mug", Quantity: 1}, payments.Item{SKU: service.OutOfStock, Quantity: 1}))
		s.Emitted(inventory.InventoryShort{
			OrderID: "o-1", Channel: inventory.Storefront, Customer: "Ada", Email: "ada@example.com", Total: 2500,
			SKU: "unicorn", Authorization: &authorization,
		})
		s.NothingElse()
	}, service.Service())
}

func TestAnOrderHasAllOfItsItemsOrNone(t *testing.T) {
	cases := map[string]struct {
		items []orders.Item
		short string // the item that is short; empty: none
		taken []int64
	}{
		"of each":                       {[]orders.Item{{SKU: "mug", Quantity: 3}, {SKU: "desk", Quantity: 1}, {SKU: "lamp", Quantity: 2}}, "", []int64{1, 2, 3}},
		"all there is":                  {[]orders.Item{{SKU: "mug", Quantity: million}}, "", []int64{0, 0, million}},
		"one more than there is":        {[]orders.Item{{SKU: "mug", Quantity: million + 1}}, "mug", []int64{0, 0, 0}},
		"the last of three is short":    {[]orders.Item{{SKU: "mug", Quantity: million + 1}, {SKU: "desk", Quantity: 1}, {SKU: "lamp", Quantity: 2}}, "mug", []int64{0, 0, 0}},
		"two lines of one item":         {[]orders.Item{{SKU: "mug", Quantity: 2}, {SKU: "desk", Quantity: 1}, {SKU: "mug", Quantity: 5}}, "", []int64{1, 0, 7}},
		"two lines are short together":  {[]orders.Item{{SKU: "mug", Quantity: million}, {SKU: "mug", Quantity: 1}}, "mug", []int64{0, 0, 0}},
		"something that nobody carries": {[]orders.Item{{SKU: "lamp", Quantity: 1}, {SKU: "spoon", Quantity: 1}}, "spoon", []int64{0, 0, 0}},
	}
	choreotest.Play(t, func(s *choreotest.Stage) {
		for _, order := range slices.Sorted(maps.Keys(cases)) {
			c := cases[order]
			var items []inventory.Item
			for _, i := range c.items {
				items = append(items, inventory.Item(i))
			}
			s.Send(created(order, c.items...))
			if c.short != "" {
				s.Emitted(short(order, c.short))
			} else {
				s.Emitted(checked(order, items...))
			}
			s.NothingElse()
			var want []service.Stock
			for i, sku := range []string{"desk", "lamp", "mug"} {
				want = append(want, service.Stock{SKU: sku, Available: million - c.taken[i], Reserved: c.taken[i]})
			}
			stands(t, s, want...)

			s.Send(failed(order)) // it all comes back, whatever the event says of items
			if c.short == "" {
				s.Emitted(inventory.InventoryReleased{OrderID: order, Channel: inventory.Wholesale, Reason: "card declined", Items: items})
			}
			s.NothingElse()
		}
	}, service.Service())
}

func TestAnOrderAsksOnce(t *testing.T) {
	choreotest.Play(t, func(s *choreotest.Stage) {
		mug := inventory.Item{SKU: "mug", Quantity: 2}
		s.Send(created("o-1", orders.Item(mug)), created("o-1", orders.Item(mug)))
		s.Emitted(checked("o-1", mug))
		s.Send(failed("o-1"))
		s.Emitted(inventory.InventoryReleased{
			OrderID: "o-1", Channel: inventory.Wholesale, Reason: "card declined", Items: []inventory.Item{mug},
		})
		s.Send(failed("o-1"), created("o-1", orders.Item(mug))) // neither gives back nor takes again
		s.NothingElse()
		stands(t, s, service.Stock{SKU: "desk", Available: million}, service.Stock{SKU: "lamp", Available: million}, service.Stock{SKU: "mug", Available: million})
	}, service.Service())
}

func TestOnlyWhatIsHeldIsReleased(t *testing.T) {
	choreotest.Play(t, func(s *choreotest.Stage) {
		s.Send(failed("nobody's"))
		s.Send(created("o-1", orders.Item{SKU: "unicorn", Quantity: 1}))
		s.Emitted(short("o-1", "unicorn"))
		s.Send(failed("o-1"))
		s.Send(paid("o-2", payments.Storefront, payments.Item{SKU: "mug", Quantity: 1}))
		s.Emitted(reserved("o-2", inventory.Item{SKU: "mug", Quantity: 1}))
		storefront := failed("o-2")
		storefront.Purpose = payments.Storefront
		s.Send(storefront)
		s.NothingElse()
		stands(t, s, service.Stock{SKU: "desk", Available: million}, service.Stock{SKU: "lamp", Available: million},
			service.Stock{SKU: "mug", Available: million - 1, Reserved: 1})
	}, service.Service())
}

func TestAnOrderOfNothingIsADeadLetter(t *testing.T) {
	choreotest.Play(t, func(s *choreotest.Stage) {
		s.Send(created("o-1", orders.Item{SKU: "mug", Quantity: -1}))
		s.Dead("inventory", "-1 of mug cannot be taken")
		s.NothingElse()
	}, service.Service())
}

func TestStockCanBeAdded(t *testing.T) {
	choreotest.Play(t, func(s *choreotest.Stage) {
		status, answer := s.Request("POST", "/stock", `{"sku":"mug","quantity":5}`)
		if want := `{"sku":"mug","available":1000005,"reserved":0}`; status != 202 || strings.TrimSpace(answer) != want {
			t.Errorf("got %d %s, want %s", status, answer, want)
		}
		s.Request("POST", "/stock", `{"sku":"spoon","quantity":7}`, "Idempotency-Key: k")
		s.Request("POST", "/stock", `{"sku":"spoon","quantity":7}`, "Idempotency-Key: k")
		for _, bad := range []string{`{"sku":"unicorn","quantity":1}`, `{"sku":"mug","quantity":0}`, `{"sku":"","quantity":1}`, `{"sku":"mug"}`} {
			if status, answer := s.Request("POST", "/stock", bad); status != 422 {
				t.Errorf("%s: got %d %s", bad, status, answer)
			}
		}
		s.NothingElse()
		stands(t, s, service.Stock{SKU: "desk", Available: million}, service.Stock{SKU: "lamp", Available: million},
			service.Stock{SKU: "mug", Available: million + 5}, service.Stock{SKU: "spoon", Available: 7})
	}, service.Service())
}

// TestTheLastOnesGoToWhoComesFirst has more orders than stock come together, in
// any order: it is sold out, and no more than that.
func TestTheLastOnesGoToWhoComesFirst(t *testing.T) {
	choreotest.Play(t, func(s *choreotest.Stage) {
		s.Request("POST", "/stock", `{"sku":"spoon","quantity":5}`)
		s.Together(func() {
			for _, id := range []string{"o-1", "o-2", "o-3", "o-4"} {
				s.Send(created(id, orders.Item{SKU: "mug", Quantity: 1}, orders.Item{SKU: "spoon", Quantity: 2}))
			}
		})
		if held, refused := len(choreotest.All[inventory.InventoryChecked](s)), len(choreotest.All[inventory.InventoryShort](s)); held != 2 || refused != 2 {
			t.Errorf("%d orders have theirs, %d have not", held, refused)
		}
		stands(t, s, service.Stock{SKU: "desk", Available: million}, service.Stock{SKU: "lamp", Available: million},
			service.Stock{SKU: "mug", Available: million - 2, Reserved: 2}, service.Stock{SKU: "spoon", Available: 1, Reserved: 4})
	}, service.Service())
}
