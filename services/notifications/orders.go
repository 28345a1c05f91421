package notifications

import (
	"context"
	"fmt"

	"github.com/troupedev/troupe/events/inventory"
	"github.com/troupedev/troupe/events/orders"
	"github.com/troupedev/troupe/events/shipping"
	"github.com/troupedev/troupe/platform/choreo"
)

// reserved reads version 1 of the event: where the stock lies is not the customer's concern.
func (s *service) reserved(ctx context.Context, i inventory.InventoryReservedV1) (choreo.Events, error) {
	return s.send(ctx, Mail{
		Kind: "reserved", Reference: i.OrderID, To: i.Email, Subject: "Your order is confirmed",
		Text: fmt.Sprintf("Dear %s,\n\nyour order of %s is paid and reserved. We will tell you when it is on its way.\n\nOrder %s\n",
			i.Customer, money(i.Total), i.OrderID),
	})
}

func (s *service) shipped(ctx context.Context, a shipping.ShippingArranged) (choreo.Events, error) {
	return s.send(ctx, Mail{
		Kind: "shipped", Reference: a.OrderID, To: a.Email, Subject: "Your order is on its way",
		Text: fmt.Sprintf("Dear %s,\n\n%s brings your order on %s. Follow it by its number %s.\n\nOrder %s\n",
			a.Customer, a.Carrier, a.ArrivesOn.Format("2 January 2006"), a.TrackingNumber, a.OrderID),
	})
}

func (s *service) cancelled(ctx context.Context, o orders.OrderCancelled) (choreo.Events, error) {
	return s.send(ctx, Mail{
		Kind: "cancelled", Reference: o.OrderID, To: o.Email, Subject: "Your order is cancelled",
		Text: fmt.Sprintf("Dear %s,\n\nwe had to cancel your order: %s. You have not been charged, or have your money back.\n\nOrder %s\n",
			o.Customer, o.Reason, o.OrderID),
	})
}

func money(cents int64) string { return fmt.Sprintf("%d.%02d", cents/100, cents%100) }
