package shipping_test

import (
	"testing"

	"github.com/troupedev/troupe/events/inventory"
	"github.com/troupedev/troupe/events/payments"
	"github.com/troupedev/troupe/events/shipping"
	"github.com/troupedev/troupe/platform/choreotest"
	service "github.com/troupedev/troupe/services/shipping"
)

func TestBothChannelsAreShippedOnceTheyArePaidAndInStock(t *testing.T) {
	choreotest.Play(t, func(s *choreotest.Stage) {
		s.Send(inventory.InventoryReserved{OrderID: "o-1", Channel: inventory.Storefront, Customer: "Ada", Email: "a@example.com", Total: 5, Warehouse: "main"})
		s.Send(payments.PaymentProcessed{Reference: "o-2", Purpose: payments.Wholesale, Customer: "Bob", Email: "b@example.com", Amount: 7})
		s.Send(payments.PaymentProcessed{Reference: "o-3", Purpose: payments.Storefront}) // not reserved yet

		parcels := choreotest.All[shipping.ShippingArranged](s)
		if len(parcels) != 2 {
			t.Fatalf("got %d parcels, want 2: %+v", len(parcels), parcels)
		}
		if p := parcels[0]; p.OrderID != "o-1" || p.Customer != "Ada" || p.Email != "a@example.com" || p.Total != 5 {
			t.Errorf("the storefront's parcel is %+v", p)
		}
		if p := parcels[1]; p.OrderID != "o-2" || p.Customer != "Bob" || p.Email != "b@example.com" || p.Total != 7 {
			t.Errorf("the wholesale parcel is %+v", p)
		}
		if parcels[0].TrackingNumber == parcels[1].TrackingNumber {
			t.Errorf("two parcels share the number %s", parcels[0].TrackingNumber)
		}
	}, service.Service())
}
