package payments_test

import (
	"fmt"
	"sync"
	"testing"

	"github.com/troupedev/troupe/events/payments"
	"github.com/troupedev/troupe/platform/event"
	"github.com/troupedev/troupe/platform/store/storetest"
	"github.com/troupedev/troupe/platform/testmain"
	service "github.com/troupedev/troupe/services/payments"
)

func TestMain(m *testing.M) { testmain.Run(m) }

// TestChargeAndExpiryAtTheSameTime has each booking asked for twice and
// cancelled twice, by four events that are handled side by side.
func TestChargeAndExpiryAtTheSameTime(t *testing.T) {
	const count, atOnce = 100, 8
	storetest.Each(t, func(t *testing.T, url string) {
		c := &cards{}
		c.reset()
		s := service.Service(c)
		db := storetest.Open(t, url, "payments", s.Store, nil)
		var mu sync.Mutex
		paid, refunded := map[string]int{}, map[string]int{}
		hear := func(id string, e event.Event) {
			events := storetest.Hear(t, db, &s, id, e)
			mu.Lock()
			defer mu.Unlock()
			for _, emission := range events {
				switch e := emission.Event.(type) {
				case payments.PaymentConfirmed:
					paid[e.Reference]++
				case payments.PaymentRefunded:
					refunded[e.Reference]++
				}
			}
		}

		var wg sync.WaitGroup
		slots := make(chan struct{}, atOnce)
		for i := range 4 * count {
			slots <- struct{}{}
			wg.Go(func() {
				defer func() { <-slots }()
				id := fmt.Sprintf("b-%d", i/4)
				asked, ended := booked(good), expired
				asked.BookingID, ended.BookingID = id, id
				if i%2 == i/4%2 { // charges first for every other booking
					hear(fmt.Sprintf("created-%d", i), asked)
				} else {
					hear(fmt.Sprintf("expired-%d", i), ended)
				}
			})
		}
		wg.Wait()
		for id, n := range paid {
			if n != 1 || refunded[id] != 1 {
				t.Errorf("%s was paid %d times and refunded %d times", id, n, refunded[id])
			}
		}
		if len(refunded) != len(paid) {
			t.Errorf("%d bookings were paid, %d refunded", len(paid), len(refunded))
		}
		c.took(t, int64(len(paid))*19900, int64(len(paid))*19900)
		t.Logf("%d of %d bookings were charged before they were cancelled", len(paid), count)
	})
}
