package seats

import (
	"context"
	"fmt"
	"sync"
	"testing"

	"github.com/troupedev/troupe/events/bookings"
	"github.com/troupedev/troupe/events/payments"
	"github.com/troupedev/troupe/events/seats"
	"github.com/troupedev/troupe/platform/choreo"
	"github.com/troupedev/troupe/platform/event"
	"github.com/troupedev/troupe/platform/store/storetest"
	"github.com/troupedev/troupe/platform/testmain"
)

func TestMain(m *testing.M) { testmain.Run(m) }

// tally is what came of concurrent handlers.
type tally struct {
	mu                              sync.Mutex
	assigned, unavailable, released int
}

func (c *tally) add(events choreo.Events) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, e := range events {
		switch e.Event.(type) {
		case seats.SeatAssigned:
			c.assigned++
		case seats.SeatUnavailable:
			c.unavailable++
		case seats.SeatReleased:
			c.released++
		}
	}
}

// TestSeatsAreNeverHeldTwice lets more bookings be paid than a flight has seats,
// and every third of them expire, all at once.
func TestSeatsAreNeverHeldTwice(t *testing.T) {
	const rows, paid = 10, 120
	storetest.Each(t, func(t *testing.T, url string) {
		db := storetest.Open(t, url, "seats", Service().Store, nil)
		s := &service{settings{Rows: rows}}
		var c tally
		var all sync.WaitGroup
		expired := 0
		for i := range paid {
			booking := fmt.Sprintf("b-%d", i)
			confirmed := payments.PaymentConfirmed{Reference: booking, Flight: "TR100", SeatPreference: payments.Window}
			all.Go(func() {
				c.add(storetest.React(t, db, "PaymentConfirmed", event.Meta{ID: booking},
					func(ctx context.Context) (choreo.Events, error) { return s.assign(ctx, confirmed) }))
			})
			if i%3 != 0 {
				continue
			}
			expired++
			cancelled := bookings.BookingCancelled{BookingID: booking, Flight: "TR100", Cause: bookings.Expired}
			all.Go(func() {
				c.add(storetest.React(t, db, "BookingCancelled", event.Meta{ID: booking},
					func(ctx context.Context) (choreo.Events, error) { return release(ctx, cancelled) }))
			})
		}
		all.Wait()
		c.check(t, db, s, rows, paid, expired)
	})
}

func (c *tally) check(t *testing.T, db *storetest.DB, s *service, rows, paid, expired int) {
	t.Helper()
	var flight Flight
	err := db.Read(t.Context(), func(ctx context.Context) (err error) {
		flight, err = s.show(ctx, &ShowFlight{Flight: "TR100"})
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	held := map[string]bool{}
	for _, booking := range flight.Taken {
		held[booking] = true
	}
	// Of the bookings that expired, some got no seat and some have it no more.
	never := paid - c.assigned - c.unavailable
	if len(held) != len(flight.Taken) || len(held) != c.assigned-c.released || len(held) > 6*rows || never < 0 || never+c.released > expired {
		t.Errorf("%d seats are held by %d bookings; %d were assigned, %d released, %d not to be had",
			len(flight.Taken), len(held), c.assigned, c.released, c.unavailable)
	}
	for i := 0; i < paid; i += 3 {
		if held[fmt.Sprintf("b-%d", i)] {
			t.Errorf("b-%d has expired, and holds a seat", i)
		}
	}
	t.Logf("%d assigned, %d released, %d unavailable, %d expired before", c.assigned, c.released, c.unavailable, never)
}

// TestASeatOfAnExpiredBookingIsReleased lets many bookings, each of a flight of
// its own, be paid and expire at once: each has no seat, or one that is released.
func TestASeatOfAnExpiredBookingIsReleased(t *testing.T) {
	const made = 200
	storetest.Each(t, func(t *testing.T, url string) {
		db := storetest.Open(t, url, "seats", Service().Store, nil)
		s := &service{settings{Rows: 1}}
		var c tally
		var all sync.WaitGroup
		for i := range made {
			meta := event.Meta{ID: fmt.Sprintf("b-%d", i)}
			flight := fmt.Sprintf("TR%03d", 100+i)
			all.Go(func() {
				c.add(storetest.React(t, db, "PaymentConfirmed", meta, func(ctx context.Context) (choreo.Events, error) {
					return s.assign(ctx, payments.PaymentConfirmed{Reference: meta.ID, Flight: flight})
				}))
			})
			all.Go(func() {
				c.add(storetest.React(t, db, "BookingCancelled", meta, func(ctx context.Context) (choreo.Events, error) {
					return release(ctx, bookings.BookingCancelled{BookingID: meta.ID, Flight: flight, Cause: bookings.Expired})
				}))
			})
		}
		all.Wait()
		if c.assigned != c.released || c.unavailable != 0 {
			t.Errorf("%d were assigned, %d released, %d not to be had", c.assigned, c.released, c.unavailable)
		}
		t.Logf("of %d bookings %d had their seat first", made, c.assigned)
	})
}
