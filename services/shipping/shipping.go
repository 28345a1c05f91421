// Package shipping books a carrier for what is paid and in stock.
package shipping

import (
	"context"
	"strings"
	"time"

	"github.com/troupedev/troupe/events/inventory"
	"github.com/troupedev/troupe/events/payments"
	"github.com/troupedev/troupe/events/shipping"
	"github.com/troupedev/troupe/platform/choreo"
	"github.com/troupedev/troupe/platform/event"
)

const (
	carrier = "Tortoise & Hare"
	transit = 3 * 24 * time.Hour
)

// Service declares the shipping service.
func Service() choreo.Service {
	arranges := choreo.Emits(shipping.ShippingArranged{})
	return choreo.Service{
		Name: "shipping", Doc: "Books a carrier for what is paid and in stock.",
		Reactions: []choreo.Reaction{
			choreo.On(shipReserved, arranges), // storefront: paid before it was reserved
			choreo.On(shipPaid, arranges,
				choreo.Where("purpose", choreo.Is(payments.Wholesale))), // wholesale: held before it was paid
		},
	}
}

func shipReserved(ctx context.Context, i inventory.InventoryReserved) (choreo.Events, error) {
	return arrange(ctx, shipping.ShippingArranged{OrderID: i.OrderID, Customer: i.Customer, Email: i.Email, Total: i.Total})
}

func shipPaid(ctx context.Context, p payments.PaymentProcessed) (choreo.Events, error) {
	return arrange(ctx, shipping.ShippingArranged{OrderID: p.Reference, Customer: p.Customer, Email: p.Email, Total: p.Amount})
}

// arrange books the parcel. What it says follows from the event alone, so that
// hearing the event again books the same parcel.
func arrange(ctx context.Context, s shipping.ShippingArranged) (choreo.Events, error) {
	heard := event.From(ctx)
	s.Carrier = carrier
	s.TrackingNumber = "TH" + strings.ToUpper(strings.ReplaceAll(heard.Flow, "-", ""))
	s.ArrivesOn = heard.Time.Add(transit).UTC().Truncate(24 * time.Hour)
	return choreo.Emit(s), nil
}
