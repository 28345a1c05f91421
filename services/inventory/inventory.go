// Package inventory checks and reserves stock.
//
// Stock has no numbers yet: what is carried is always there, and a unicorn
// never is.
package inventory

import (
	"context"

	"github.com/troupedev/troupe/events/inventory"
	"github.com/troupedev/troupe/events/orders"
	"github.com/troupedev/troupe/events/payments"
	"github.com/troupedev/troupe/platform/choreo"
)

// OutOfStock is the item that is never there.
const OutOfStock = "unicorn"

const warehouse = "main"

// Service declares the inventory service.
func Service() choreo.Service {
	return choreo.Service{
		Name: "inventory", Doc: "Checks, reserves and releases stock.",
		Reactions: []choreo.Reaction{
			choreo.On(reserve,
				choreo.Where("purpose", choreo.Is(payments.Storefront)),
				choreo.Emits(inventory.InventoryReserved{}, inventory.InventoryShort{})),
			choreo.On(check,
				choreo.Emits(inventory.InventoryChecked{}, inventory.InventoryShort{})),
			choreo.On(release,
				choreo.Where("purpose", choreo.Is(payments.Wholesale)),
				choreo.Emits(inventory.InventoryReleased{})),
		},
	}
}

func reserve(_ context.Context, p payments.PaymentProcessed) (choreo.Events, error) {
	items := itemsOf(p.Items)
	if sku, short := firstShort(items); short {
		return choreo.Emit(inventory.InventoryShort{
			OrderID: p.Reference, Channel: inventory.Storefront, Customer: p.Customer, Email: p.Email,
			Total: p.Amount, SKU: sku, Authorization: &p.Authorization,
		}), nil
	}
	return choreo.Emit(inventory.InventoryReserved{
		OrderID: p.Reference, Channel: inventory.Storefront, Customer: p.Customer, Email: p.Email,
		Total: p.Amount, Items: items, Warehouse: warehouse,
	}), nil
}

func check(_ context.Context, o orders.OrderCreated) (choreo.Events, error) {
	items := itemsOf(o.Items)
	if sku, short := firstShort(items); short {
		return choreo.Emit(inventory.InventoryShort{
			OrderID: o.OrderID, Channel: inventory.Wholesale, Customer: o.Customer, Email: o.Email, Total: o.Total, SKU: sku,
		}), nil
	}
	return choreo.Emit(inventory.InventoryChecked{
		OrderID: o.OrderID, Channel: inventory.Wholesale, Customer: o.Customer, Email: o.Email, Card: o.Card,
		Total: o.Total, Items: items,
	}), nil
}

func release(_ context.Context, p payments.PaymentFailed) (choreo.Events, error) {
	return choreo.Emit(inventory.InventoryReleased{
		OrderID: p.Reference, Channel: inventory.Wholesale, Items: itemsOf(p.Items), Reason: p.Reason,
	}), nil
}

func firstShort(items []inventory.Item) (sku string, short bool) {
	for _, i := range items {
		if i.SKU == OutOfStock {
			return i.SKU, true
		}
	}
	return "", false
}

// itemsOf takes over another domain's items, which are of the same shape.
func itemsOf[I orders.Item | payments.Item](theirs []I) []inventory.Item {
	var out []inventory.Item
	for _, i := range theirs {
		out = append(out, inventory.Item(i))
	}
	return out
}
