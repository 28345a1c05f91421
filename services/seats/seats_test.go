package seats_test

import (
	"maps"
	"slices"
	"testing"

	"github.com/troupedev/troupe/events/bookings"
	"github.com/troupedev/troupe/events/payments"
	"github.com/troupedev/troupe/events/seats"
	"github.com/troupedev/troupe/platform/choreotest"
	"github.com/troupedev/troupe/platform/event"
	service "github.com/troupedev/troupe/services/seats"
)

func confirmed(booking, flight string, p payments.SeatPreference) payments.PaymentConfirmed {
	return payments.PaymentConfirmed{
		Reference: booking, Purpose: payments.Flight, Customer: "Ada", Email: "ada@example.com", Amount: 59_00,
		Authorization: "auth-1", Flight: flight, SeatPreference: p,
	}
}

func assigned(booking, flight, seat string) seats.SeatAssigned {
	return seats.SeatAssigned{BookingID: booking, Flight: flight, Seat: seat, Passenger: "Ada", Email: "ada@example.com"}
}

func cancelled(booking, flight string, cause bookings.Cancellation) bookings.BookingCancelled {
	return bookings.BookingCancelled{BookingID: booking, Flight: flight, Passenger: "Ada", Email: "ada@example.com", Cause: cause}
}

// TestPaymentAndExpiryInEachOrder sends what seats hears of one booking, and
// then asks for the seat again, to see whether it is held.
func TestPaymentAndExpiryInEachOrder(t *testing.T) {
	paid, expired := confirmed("b-1", "TR100", payments.Window), cancelled("b-1", "TR100", bookings.Expired)
	released := seats.SeatReleased{BookingID: "b-1", Flight: "TR100", Seat: "1A"}
	for name, c := range map[string]struct {
		heard, emitted []event.Event
		held           bool
	}{
		"paid":               {[]event.Event{paid}, []event.Event{assigned("b-1", "TR100", "1A")}, true},
		"paid, then expired": {[]event.Event{paid, expired}, []event.Event{assigned("b-1", "TR100", "1A"), released}, false},
		"expired, then paid": {[]event.Event{expired, paid}, nil, false},
		"expired, not paid":  {[]event.Event{expired}, nil, false},
		"not paid":           {[]event.Event{cancelled("b-1", "TR100", bookings.PaymentFailed)}, nil, false},
		"full": {[]event.Event{confirmed("b-1", "TR000", payments.Window)},
			[]event.Event{seats.SeatUnavailable{BookingID: "b-1", Flight: "TR000", Passenger: "Ada", Email: "ada@example.com"}}, false},
		"full, then refunded": {[]event.Event{confirmed("b-1", "TR000", payments.Window), cancelled("b-1", "TR000", bookings.NoSeat)},
			[]event.Event{seats.SeatUnavailable{BookingID: "b-1", Flight: "TR000", Passenger: "Ada", Email: "ada@example.com"}}, false},
		"full, then expired": {[]event.Event{confirmed("b-1", "TR000", payments.Window), cancelled("b-1", "TR000", bookings.Expired)},
			[]event.Event{seats.SeatUnavailable{BookingID: "b-1", Flight: "TR000", Passenger: "Ada", Email: "ada@example.com"}}, false},
	} {
		t.Run(name, func(t *testing.T) {
			choreotest.Play(t, func(s *choreotest.Stage) {
				for _, e := range c.heard {
					s.Send(e)
				}
				s.Emitted(c.emitted...)
				s.NothingElse()
				next := "1A"
				if c.held {
					next = "1F"
				}
				s.Send(confirmed("b-2", "TR100", payments.Window))
				s.Emitted(assigned("b-2", "TR100", next))
				s.NothingElse()
			}, service.Service())
		})
	}
}

// TestPaymentRacesExpiry lets both happen at once: either there is no seat, or
// it is released.
func TestPaymentRacesExpiry(t *testing.T) {
	choreotest.Play(t, func(s *choreotest.Stage) {
		s.Together(func() {
			s.Send(confirmed("b-1", "TR100", payments.Any))
			s.Send(cancelled("b-1", "TR100", bookings.Expired))
		})
		got, undone := len(choreotest.All[seats.SeatAssigned](s)), len(choreotest.All[seats.SeatReleased](s))
		if got != undone || got > 1 {
			t.Errorf("%d seats were assigned, %d released", got, undone)
		}
		if rows := s.Rows("seats", "select seat from seats where seat is not null"); len(rows) != 0 {
			t.Errorf("%v is still held", rows)
		}
	}, service.Service())
}

func TestAFullFlightHasASeatAgainOnceOneIsReleased(t *testing.T) {
	small := choreotest.Setup{Settings: map[string]string{"SEATS_ROWS": "1"}}
	small.Play(t, func(s *choreotest.Stage) {
		s.Together(func() {
			for _, booking := range []string{"b-1", "b-2", "b-3", "b-4", "b-5", "b-6", "b-7", "b-8"} {
				s.Send(confirmed(booking, "TR100", payments.Aisle))
			}
		})
		given := map[string]string{}
		for _, a := range choreotest.All[seats.SeatAssigned](s) {
			given[a.Seat] = a.BookingID
		}
		if want := []string{"1A", "1B", "1C", "1D", "1E", "1F"}; !slices.Equal(slices.Sorted(maps.Keys(given)), want) {
			t.Fatalf("seats %v were given, want each of %v", given, want)
		}
		if refused := choreotest.All[seats.SeatUnavailable](s); len(refused) != 2 {
			t.Errorf("%d bookings got no seat, want 2", len(refused))
		}
		s.Send(cancelled(given["1D"], "TR100", bookings.Expired))
		s.Send(confirmed("b-9", "TR100", payments.Window)) // nothing else is left
		s.Emitted(assigned("b-9", "TR100", "1D"))
	}, service.Service())
}

func TestSeatsOfAFlightCanBeCounted(t *testing.T) {
	choreotest.Play(t, func(s *choreotest.Stage) {
		s.Send(confirmed("b-1", "TR100", payments.Window))
		s.Send(confirmed("b-2", "TR100", payments.Aisle))
		s.Send(confirmed("b-3", "TR101", payments.Aisle))
		for path, want := range map[string]service.Flight{
			"/flights/TR100/seats": {Flight: "TR100", Seats: 180, Taken: map[string]string{"1A": "b-1", "1C": "b-2"}},
			"/flights/TR000/seats": {Flight: "TR000", Seats: 0, Taken: map[string]string{}},
		} {
			if got := choreotest.Get[service.Flight](s, path); got.Flight != want.Flight || got.Seats != want.Seats || !maps.Equal(got.Taken, want.Taken) {
				t.Errorf("%s: got %+v", path, got)
			}
		}
	}, service.Service())
}
