// Package orders takes orders over HTTP, closes them as fulfilled or cancelled
// by what it hears from the other services, and tells how they stand.
//
// An order ends once. Events of one order come from several topics, so in any
// order and at the same time: the first that ends it wins, and what comes after
// is in its history only.
package orders

import (
	"context"
	"embed"

	"github.com/troupedev/troupe/events/inventory"
	"github.com/troupedev/troupe/events/orders"
	"github.com/troupedev/troupe/events/payments"
	"github.com/troupedev/troupe/events/shipping"
	"github.com/troupedev/troupe/events/users"
	"github.com/troupedev/troupe/platform/choreo"
	"github.com/troupedev/troupe/platform/store"
	"github.com/troupedev/troupe/platform/web"
	"github.com/troupedev/troupe/services/internal/account"
)

const name = "orders"

//go:embed migrations/*.sql
var migrations embed.FS

// Service declares the orders service.
func Service() choreo.Service {
	ours := choreo.Where("purpose", choreo.Is(payments.Storefront, payments.Wholesale))
	return choreo.Service{
		Name: name, Doc: "Takes orders, and closes them as fulfilled or cancelled.",
		Store: store.Tables(migrations),
		Routes: []choreo.Route{
			web.Post("/orders", place, choreo.Emits(orders.OrderPlaced{}, orders.OrderCreated{})),
			web.Get("/orders", list),
			web.Get("/orders/{id}", show),
		},
		Reactions: []choreo.Reaction{
			choreo.On(cancelUnpaid, ours, choreo.Emits(orders.OrderCancelled{})),
			choreo.On(cancelRefunded, ours, choreo.Emits(orders.OrderCancelled{})),
			choreo.On(cancelShort,
				choreo.Where("channel", choreo.Is(inventory.Wholesale)), // in the storefront it is the refund that cancels
				choreo.Emits(orders.OrderCancelled{})),
			choreo.On(fulfil, choreo.Emits(orders.OrderFulfilled{})),
			account.Erases(name, erase),
		},
	}
}

func cancelUnpaid(ctx context.Context, p payments.PaymentFailed) (choreo.Events, error) {
	return cancel(ctx, p, ending{id: p.Reference, channel: string(p.Purpose), customer: p.Customer, email: p.Email, total: p.Amount, reason: p.Reason})
}

func cancelRefunded(ctx context.Context, p payments.PaymentRefunded) (choreo.Events, error) {
	return cancel(ctx, p, ending{id: p.Reference, channel: string(p.Purpose), customer: p.Customer, email: p.Email, total: p.Amount, reason: p.Reason})
}

func cancelShort(ctx context.Context, i inventory.InventoryShort) (choreo.Events, error) {
	return cancel(ctx, i, ending{
		id: i.OrderID, channel: string(i.Channel), customer: i.Customer, email: i.Email, total: i.Total, reason: "out of stock: " + i.SKU,
	})
}

func fulfil(ctx context.Context, s shipping.ShippingArranged) (choreo.Events, error) {
	ended, err := end(ctx, s, ending{
		id: s.OrderID, status: Fulfilled, customer: s.Customer, email: s.Email, total: s.Total, trackingNumber: s.TrackingNumber,
	})
	if err != nil || !ended {
		return nil, err
	}
	return choreo.Emit(orders.OrderFulfilled{
		OrderID: s.OrderID, Customer: s.Customer, Email: s.Email, Total: s.Total, TrackingNumber: s.TrackingNumber,
	}), nil
}

// erase makes the user's orders anonymous: what was sold stays in the books, to
// whom does not. Only [place] writes it, so nothing that comes later brings it back.
func erase(ctx context.Context, u users.AccountClosureRequested) (records int64, err error) {
	return store.Exec(ctx, `update orders set customer = '', email = '', address = '' where address = $1 and address <> ''`, account.Key(u.Email))
}
