package orders

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/troupedev/troupe/events/inventory"
	"github.com/troupedev/troupe/events/payments"
	"github.com/troupedev/troupe/events/shipping"
	"github.com/troupedev/troupe/platform/choreo"
	"github.com/troupedev/troupe/platform/event"
	"github.com/troupedev/troupe/platform/store/storetest"
)

// TestAnOrderEndsOnceUnderConcurrency lets all that can end an order happen in
// transactions of their own, for many orders at once; nobody has placed every
// other one here. What is heard after the end is in the history, too.
func TestAnOrderEndsOnceUnderConcurrency(t *testing.T) {
	const all = 40
	storetest.Each(t, func(t *testing.T, url string) {
		db := storetest.Open(t, url, "orders", Service().Store, nil)
		ended := make([]atomic.Int32, all)
		var group sync.WaitGroup
		for i := range all {
			id := fmt.Sprint("o-", i)
			meta := event.Meta{ID: id, Flow: id, Time: time.UnixMilli(1)}
			if i%2 == 0 {
				in := &PlaceOrder{}
				in.Body.Channel, in.Body.Items = "storefront", []Item{{SKU: "mug", Quantity: 1}}
				storetest.React(t, db, "POST /orders", meta, func(ctx context.Context) (choreo.Events, error) {
					_, events, err := place(ctx, in)
					return events, err
				})
			}
			for name, end := range map[string]func(context.Context) (choreo.Events, error){
				"PaymentFailed": func(ctx context.Context) (choreo.Events, error) {
					return cancelUnpaid(ctx, payments.PaymentFailed{Reference: id})
				},
				"PaymentRefunded": func(ctx context.Context) (choreo.Events, error) {
					return cancelRefunded(ctx, payments.PaymentRefunded{Reference: id})
				},
				"InventoryShort": func(ctx context.Context) (choreo.Events, error) {
					return cancelShort(ctx, inventory.InventoryShort{OrderID: id})
				},
				"ShippingArranged": func(ctx context.Context) (choreo.Events, error) {
					return fulfil(ctx, shipping.ShippingArranged{OrderID: id})
				},
			} {
				group.Go(func() { ended[i].Add(int32(len(storetest.React(t, db, name, meta, end)))) })
			}
		}
		group.Wait()
		err := db.Read(t.Context(), func(ctx context.Context) error {
			for i := range all {
				o, err := show(ctx, &ShowOrder{ID: fmt.Sprint("o-", i)})
				if err != nil {
					return err
				}
				steps := 4 + 1 - i%2
				if n := ended[i].Load(); n != 1 || len(o.History) != steps || o.History[steps-4].Status != string(o.Status) || o.Status == Placed {
					t.Errorf("order %d ended %d times: %+v", i, n, o)
				}
			}
			return nil
		})
		if err != nil {
			t.Error(err)
		}
	})
}
