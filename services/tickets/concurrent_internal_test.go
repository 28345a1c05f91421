package tickets

import (
	"context"
	"fmt"
	"sync"
	"testing"

	"github.com/troupedev/troupe/events/bookings"
	"github.com/troupedev/troupe/events/seats"
	"github.com/troupedev/troupe/platform/choreo"
	"github.com/troupedev/troupe/platform/event"
	"github.com/troupedev/troupe/platform/store"
	"github.com/troupedev/troupe/platform/store/storetest"
	"github.com/troupedev/troupe/platform/testmain"
)

func TestMain(m *testing.M) { testmain.Run(m) }

// TestATicketOfAnExpiredBookingIsVoid lets many bookings get their seat and
// expire at once: each has no ticket, or one that is voided.
func TestATicketOfAnExpiredBookingIsVoid(t *testing.T) {
	const made = 100
	storetest.Each(t, func(t *testing.T, url string) {
		db := storetest.Open(t, url, "tickets", Service().Store, nil)
		issued, voided := make([]int, made), make([]int, made)
		var all sync.WaitGroup
		for i := range made {
			id := fmt.Sprintf("b-%d", i)
			all.Go(func() {
				issued[i] = len(storetest.React(t, db, "SeatAssigned", event.Meta{ID: id}, func(ctx context.Context) (choreo.Events, error) {
					return issue(ctx, seats.SeatAssigned{BookingID: id, Flight: "TR100", Seat: "1A"})
				}))
			})
			all.Go(func() {
				voided[i] = len(storetest.React(t, db, "BookingCancelled", event.Meta{ID: id}, func(ctx context.Context) (choreo.Events, error) {
					return void(ctx, bookings.BookingCancelled{BookingID: id, Cause: bookings.Expired})
				}))
			})
		}
		all.Wait()
		undone := 0
		for i := range made {
			if issued[i] != voided[i] {
				t.Errorf("b-%d: %d tickets were issued, %d voided", i, issued[i], voided[i])
			}
			undone += voided[i]
		}
		t.Logf("of %d bookings %d had their ticket first", made, undone)
	})
}

// TestACodeThatIsTakenIsNotGivenAgain occupies the first candidates of an event.
func TestACodeThatIsTakenIsNotGivenAgain(t *testing.T) {
	storetest.Each(t, func(t *testing.T, url string) {
		db := storetest.Open(t, url, "tickets", Service().Store, nil)
		number, code := numbers("e", 0)
		other, _ := numbers("e", 1)
		_, err := db.Handle(t.Context(), store.Entry{Reaction: "SeatAssigned", ID: "e"}, func(ctx context.Context) ([]choreo.Message, error) {
			for _, taken := range [][3]string{{"b-1", "7700000000000", code}, {"b-2", other, "AAAAAA"}} {
				if _, err := store.Exec(ctx, `insert into tickets (booking_id, number, booking_code, void) values ($1, $2, $3, false)`,
					taken[0], taken[1], taken[2]); err != nil {
					return nil, err
				}
			}
			gotNumber, gotCode, err := free(ctx, "e")
			wantNumber, wantCode := numbers("e", 2)
			if gotNumber != wantNumber || gotCode != wantCode || gotNumber == number {
				t.Errorf("got %s %s, want %s %s", gotNumber, gotCode, wantNumber, wantCode)
			}
			return nil, err
		})
		if err != nil {
			t.Error(err)
		}
	})
}
