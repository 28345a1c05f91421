// Package inventory checks, reserves and releases stock.
//
// Stock is never below zero, and an order has all of its items or none. What an
// order took is remembered: it takes once, and gives back once, what it took.
package inventory

import (
	"context"
	"embed"

	"github.com/troupedev/troupe/events/inventory"
	"github.com/troupedev/troupe/events/orders"
	"github.com/troupedev/troupe/events/payments"
	"github.com/troupedev/troupe/platform/choreo"
	"github.com/troupedev/troupe/platform/store"
	"github.com/troupedev/troupe/platform/web"
)

// OutOfStock is the item that is never there.
const OutOfStock = "unicorn"

const warehouse = "main"

//go:embed migrations/*.sql
var migrations embed.FS

// Service declares the inventory service.
func Service() choreo.Service {
	return choreo.Service{
		Name: "inventory", Doc: "Checks, reserves and releases stock.",
		Store: store.Tables(migrations),
		Routes: []choreo.Route{
			web.Get("/stock", show),
			web.Post("/stock", add),
		},
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

func reserve(ctx context.Context, p payments.PaymentProcessed) (choreo.Events, error) {
	items := itemsOf(p.Items)
	switch short, result, err := take(ctx, p.Reference, items); {
	case err != nil || result == askedBefore:
		return nil, err
	case result == isShort:
		return choreo.Emit(inventory.InventoryShort{
			OrderID: p.Reference, Channel: inventory.Storefront, Customer: p.Customer, Email: p.Email,
			Total: p.Amount, SKU: short, Authorization: &p.Authorization,
		}), nil
	}
	return choreo.Emit(inventory.InventoryReserved{
		OrderID: p.Reference, Channel: inventory.Storefront, Customer: p.Customer, Email: p.Email,
		Total: p.Amount, Items: items, Warehouse: warehouse,
	}), nil
}

func check(ctx context.Context, o orders.OrderCreated) (choreo.Events, error) {
	items := itemsOf(o.Items)
	switch short, result, err := take(ctx, o.OrderID, items); {
	case err != nil || result == askedBefore:
		return nil, err
	case result == isShort:
		return choreo.Emit(inventory.InventoryShort{
			OrderID: o.OrderID, Channel: inventory.Wholesale, Customer: o.Customer, Email: o.Email, Total: o.Total, SKU: short,
		}), nil
	}
	return choreo.Emit(inventory.InventoryChecked{
		OrderID: o.OrderID, Channel: inventory.Wholesale, Customer: o.Customer, Email: o.Email, Card: o.Card,
		Total: o.Total, Items: items,
	}), nil
}

func release(ctx context.Context, p payments.PaymentFailed) (choreo.Events, error) {
	items, err := giveBack(ctx, p.Reference)
	if err != nil || items == nil {
		return nil, err
	}
	return choreo.Emit(inventory.InventoryReleased{
		OrderID: p.Reference, Channel: inventory.Wholesale, Items: items, Reason: p.Reason,
	}), nil
}

// itemsOf takes over another domain's items, which are of the same shape.
func itemsOf[I orders.Item | payments.Item](theirs []I) []inventory.Item {
	var out []inventory.Item
	for _, i := range theirs {
		out = append(out, inventory.Item(i))
	}
	return out
}
