// Package orders takes orders over HTTP, and closes them as fulfilled or
// cancelled by what it hears from the other services.
package orders

import (
	"context"

	"github.com/troupedev/troupe/events/inventory"
	"github.com/troupedev/troupe/events/orders"
	"github.com/troupedev/troupe/events/payments"
	"github.com/troupedev/troupe/events/shipping"
	"github.com/troupedev/troupe/platform/choreo"
	"github.com/troupedev/troupe/platform/web"
)

// Service declares the orders service.
func Service() choreo.Service {
	ours := choreo.Where("purpose", choreo.Is(payments.Storefront, payments.Wholesale))
	return choreo.Service{
		Name: "orders", Doc: "Takes orders, and closes them as fulfilled or cancelled.",
		Routes: []choreo.Route{
			web.Post("/orders", place, choreo.Emits(orders.OrderPlaced{}, orders.OrderCreated{})),
		},
		Reactions: []choreo.Reaction{
			choreo.On(cancelUnpaid, ours, choreo.Emits(orders.OrderCancelled{})),
			choreo.On(cancelRefunded, ours, choreo.Emits(orders.OrderCancelled{})),
			choreo.On(cancelShort,
				choreo.Where("channel", choreo.Is(inventory.Wholesale)), // in the storefront it is the refund that cancels
				choreo.Emits(orders.OrderCancelled{})),
			choreo.On(fulfil, choreo.Emits(orders.OrderFulfilled{})),
		},
	}
}

func cancelUnpaid(_ context.Context, p payments.PaymentFailed) (choreo.Events, error) {
	return cancel(p.Reference, p.Customer, p.Email, p.Reason)
}

func cancelRefunded(_ context.Context, p payments.PaymentRefunded) (choreo.Events, error) {
	return cancel(p.Reference, p.Customer, p.Email, p.Reason)
}

func cancelShort(_ context.Context, i inventory.InventoryShort) (choreo.Events, error) {
	return cancel(i.OrderID, i.Customer, i.Email, "out of stock: "+i.SKU)
}

func cancel(order, customer, email, reason string) (choreo.Events, error) {
	return choreo.Emit(orders.OrderCancelled{OrderID: order, Customer: customer, Email: email, Reason: reason}), nil
}

func fulfil(_ context.Context, s shipping.ShippingArranged) (choreo.Events, error) {
	return choreo.Emit(orders.OrderFulfilled{
		OrderID: s.OrderID, Customer: s.Customer, Email: s.Email, Total: s.Total, TrackingNumber: s.TrackingNumber,
	}), nil
}
