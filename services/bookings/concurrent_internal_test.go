package bookings

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/troupedev/troupe/events/bookings"
	"github.com/troupedev/troupe/events/payments"
	"github.com/troupedev/troupe/events/tickets"
	"github.com/troupedev/troupe/platform/choreo"
	"github.com/troupedev/troupe/platform/event"
	"github.com/troupedev/troupe/platform/store/storetest"
	"github.com/troupedev/troupe/platform/testmain"
)

func TestMain(m *testing.M) { testmain.Run(m) }

// TestABookingEndsOnceUnderConcurrency lets all that can end a booking happen in
// transactions of their own, for many bookings at once.
func TestABookingEndsOnceUnderConcurrency(t *testing.T) {
	const made = 40
	storetest.Each(t, func(t *testing.T, url string) {
		db := storetest.Open(t, url, "bookings", Service().Store, nil)
		s := &service{settings{Limit: time.Hour}}
		var mu sync.Mutex
		ended := map[string]int{}
		var all sync.WaitGroup
		for i := range made {
			id := fmt.Sprintf("b-%d", i)
			meta := event.Meta{ID: id, Flow: id, Time: time.UnixMilli(1)}
			in := &MakeBooking{}
			in.Body.Flight, in.Body.Passenger = "TR100", "Ada"
			storetest.React(t, db, "POST /bookings", meta, func(ctx context.Context) (choreo.Events, error) {
				_, events, err := s.book(ctx, in)
				return events, err
			})
			for name, end := range map[string]func(context.Context) (choreo.Events, error){
				"PaymentFailed": func(ctx context.Context) (choreo.Events, error) {
					return cancelUnpaid(ctx, payments.PaymentFailed{Reference: id})
				},
				"PaymentRefunded": func(ctx context.Context) (choreo.Events, error) {
					return cancelRefunded(ctx, payments.PaymentRefunded{Reference: id})
				},
				"BookingExpired": func(ctx context.Context) (choreo.Events, error) {
					return expire(ctx, bookings.BookingExpired{BookingID: id})
				},
				"TicketIssued": func(ctx context.Context) (choreo.Events, error) {
					return complete(ctx, tickets.TicketIssued{BookingID: id})
				},
			} {
				all.Go(func() {
					events := storetest.React(t, db, name, meta, end)
					mu.Lock()
					defer mu.Unlock()
					ended[id] += len(events)
				})
			}
		}
		all.Wait()
		for id, times := range ended {
			if times != 1 {
				t.Errorf("%s ended %d times", id, times)
			}
		}
		checkHistory(t, db, made)
	})
}

// checkHistory asks that each booking has noted all that it heard.
func checkHistory(t *testing.T, db *storetest.DB, made int) {
	t.Helper()
	err := db.Read(t.Context(), func(ctx context.Context) error {
		for i := range made {
			b, err := show(ctx, &ShowBooking{ID: fmt.Sprintf("b-%d", i)})
			if err != nil {
				return err
			}
			if len(b.History) != 5 || b.Status == Pending || b.History[1].Status != string(b.Status) || b.History[4].Status != string(b.Status) {
				t.Errorf("a booking is %+v", b)
			}
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
}
