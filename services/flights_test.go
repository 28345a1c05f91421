package services_test

import (
	"bytes"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/troupedev/troupe/events/bookings"
	"github.com/troupedev/troupe/events/payments"
	"github.com/troupedev/troupe/events/seats"
	"github.com/troupedev/troupe/events/tickets"
	"github.com/troupedev/troupe/platform/choreo"
	"github.com/troupedev/troupe/platform/choreotest"
	"github.com/troupedev/troupe/services"
	bookingsservice "github.com/troupedev/troupe/services/bookings"
	paymentsservice "github.com/troupedev/troupe/services/payments"
)

// airline are the services that a flight needs, without those named: the others
// hear nothing of it, and would cost each of the many runs their database.
func airline(t *testing.T, without ...string) choreo.Topology {
	t.Helper()
	names := slices.DeleteFunc([]string{"bookings", "payments", "seats", "tickets", "notifications"},
		func(name string) bool { return slices.Contains(without, name) })
	topology, err := services.All().Select(names...)
	if err != nil {
		t.Fatal(err)
	}
	return topology
}

// trip counts the events of a booking.
type trip struct {
	created, completed, cancelled   int
	paid, unpaid, refunded          int
	assigned, unavailable, released int
	issued, voided                  int
}

func tripOf(s *choreotest.Stage) trip {
	return trip{
		created:     len(choreotest.All[bookings.BookingCreated](s)),
		completed:   len(choreotest.All[bookings.BookingCompleted](s)),
		cancelled:   len(choreotest.All[bookings.BookingCancelled](s)),
		paid:        len(choreotest.All[payments.PaymentConfirmed](s)),
		unpaid:      len(choreotest.All[payments.PaymentFailed](s)),
		refunded:    len(choreotest.All[payments.PaymentRefunded](s)),
		assigned:    len(choreotest.All[seats.SeatAssigned](s)),
		unavailable: len(choreotest.All[seats.SeatUnavailable](s)),
		released:    len(choreotest.All[seats.SeatReleased](s)),
		issued:      len(choreotest.All[tickets.TicketIssued](s)),
		voided:      len(choreotest.All[tickets.TicketVoided](s)),
	}
}

const (
	goodCard = "4242424242424242"
	dayAfter = 25 * time.Hour
)

func book(t *testing.T, s *choreotest.Stage, flight, card string) {
	t.Helper()
	choreotest.Request[bookingsservice.MadeBooking](s, 202, "POST", "/bookings",
		`{"flight":"`+flight+`","passenger":"Ada","email":"ada@example.com","card":"`+card+`","seatPreference":"window"}`)
}

// statusOf is how the one booking of the stage stands.
func statusOf(t *testing.T, s *choreotest.Stage) string {
	t.Helper()
	page := choreotest.Get[bookingsservice.Bookings](s, "/bookings")
	if len(page.Bookings) != 1 {
		t.Fatalf("the bookings are %+v", page.Bookings)
	}
	return string(page.Bookings[0].Status)
}

// TestFlights plays whole flows of a booking to their end and beyond: when the
// time of a booking that has ended is over, nothing more happens.
func TestFlights(t *testing.T) {
	for name, c := range map[string]struct {
		flight, card string
		leadsTo      trip
		cause        bookings.Cancellation
	}{
		"booked": {"TR100", goodCard, trip{created: 1, paid: 1, assigned: 1, issued: 1, completed: 1}, ""},
		"the provider fails twice": {"TR100", paymentsservice.CardFailsTwice,
			trip{created: 1, paid: 1, assigned: 1, issued: 1, completed: 1}, ""},
		"declined": {"TR100", paymentsservice.CardDeclined, trip{created: 1, unpaid: 1, cancelled: 1}, bookings.PaymentFailed},
		"full":     {"TR000", goodCard, trip{created: 1, paid: 1, unavailable: 1, refunded: 1, cancelled: 1}, bookings.NoSeat},
	} {
		t.Run(name, func(t *testing.T) {
			choreotest.Play(t, func(s *choreotest.Stage) {
				book(t, s, c.flight, c.card)
				checkTrip(t, s, c.leadsTo, c.cause)
				checkTold(t, s)
				s.Advance(dayAfter)
				checkTrip(t, s, c.leadsTo, c.cause)
			}, airline(t)...)
		})
	}
}

func checkTrip(t *testing.T, s *choreotest.Stage, want trip, cause bookings.Cancellation) {
	t.Helper()
	if got := tripOf(s); got != want {
		t.Errorf("it led to\n%+v, want\n%+v", got, want)
	}
	for _, c := range choreotest.All[bookings.BookingCancelled](s) {
		if c.Cause != cause {
			t.Errorf("it was cancelled because of %s, want %s", c.Cause, cause)
		}
	}
	checkKept(t, s)
}

// checkKept asks that a seat is held, a ticket valid and a payment kept where
// the booking is completed, and nowhere else.
func checkKept(t *testing.T, s *choreotest.Stage) {
	t.Helper()
	kept := len(choreotest.All[bookings.BookingCompleted](s))
	for service, query := range map[string]string{
		"seats":    "select booking_id from seats where seat is not null",
		"tickets":  "select booking_id from tickets where not void",
		"payments": "select reference from payments where status = 'charged'",
	} {
		if rows := s.Rows(service, query); len(rows) != kept {
			t.Errorf("%s keeps %v, and %d bookings are completed", service, rows, kept)
		}
	}
}

// checkTold asks for one mail: with the ticket, or that there is none.
func checkTold(t *testing.T, s *choreotest.Stage) {
	t.Helper()
	mails := s.Mails()
	if len(mails) != 1 || !slices.Equal(mails[0].To, []string{"ada@example.com"}) {
		t.Errorf("the mails are %+v", mails)
		return
	}
	for _, ticket := range choreotest.All[tickets.TicketIssued](s) {
		attached := mails[0].Attachments
		if len(attached) != 1 || !strings.Contains(mails[0].Text, ticket.BookingCode) || !bytes.Contains(attached[0].Content, []byte(ticket.BookingCode)) {
			t.Errorf("the mail of ticket %s is %+v", ticket.BookingCode, mails[0])
		}
	}
}

// TestABookingExpiresAtEachStep leaves out the service that would do the next
// step: what was done before is undone when the time of the booking is over.
func TestABookingExpiresAtEachStep(t *testing.T) {
	for name, c := range map[string]struct {
		next    string
		leadsTo trip
	}{
		"before it is paid":     {"payments", trip{created: 1, cancelled: 1}},
		"before it has a seat":  {"seats", trip{created: 1, paid: 1, refunded: 1, cancelled: 1}},
		"before it has tickets": {"tickets", trip{created: 1, paid: 1, assigned: 1, released: 1, refunded: 1, cancelled: 1}},
	} {
		t.Run(name, func(t *testing.T) {
			choreotest.Play(t, func(s *choreotest.Stage) {
				book(t, s, "TR100", goodCard)
				s.Advance(dayAfter)
				if got := tripOf(s); got != c.leadsTo {
					t.Errorf("it led to\n%+v, want\n%+v", got, c.leadsTo)
				}
				if status := statusOf(t, s); status != "cancelled" {
					t.Errorf("it is %s", status)
				}
			}, airline(t, c.next)...)
		})
	}
}

// TestACardWhoseProviderIsAwayExpires has nothing to refund.
func TestACardWhoseProviderIsAwayExpires(t *testing.T) {
	choreotest.Play(t, func(s *choreotest.Stage) {
		book(t, s, "TR100", paymentsservice.CardAlwaysFails)
		s.Dead("payments", "attempts")
		if status := statusOf(t, s); status != "pending" {
			t.Errorf("it is %s", status)
		}
		s.Advance(dayAfter)
		checkTrip(t, s, trip{created: 1, cancelled: 1}, bookings.Expired)
	}, airline(t)...)
}

// TestExpiryRacesEachStep lets the time of a booking be over between any two
// steps. What was done of a booking that expired is undone, once; a booking that
// was completed first is left alone.
func TestExpiryRacesEachStep(t *testing.T) {
	for _, flight := range []string{"TR100", "TR000"} {
		t.Run(flight, func(t *testing.T) {
			seen := map[trip]int{}
			choreotest.Play(t, func(s *choreotest.Stage) {
				s.Together(func() {
					book(t, s, flight, goodCard)
					s.Advance(dayAfter)
				})
				got := tripOf(s)
				seen[got]++
				undone := got.refunded == got.paid && got.released == got.assigned && got.voided == got.issued
				kept := got == trip{created: 1, paid: 1, assigned: 1, issued: 1, completed: 1}
				once := got.completed+got.cancelled == 1 && got.paid <= 1 && got.assigned <= 1 && got.issued <= 1
				told := len(s.Mails()) == got.issued+got.cancelled
				if !once || !told || got.cancelled == 1 && !undone || got.completed == 1 && !kept {
					t.Errorf("it led to\n%+v and %d mails", got, len(s.Mails()))
				}
				checkKept(t, s)
			}, airline(t)...)
			played := 0
			for _, times := range seen {
				played += times
			}
			if want := map[string]int{"TR100": 4, "TR000": 2}[flight]; played > 500 && len(seen) != want {
				t.Errorf("%d seeds led to %d different ends, want %d: %v", played, len(seen), want, seen)
			}
		})
	}
}

// TestAFlightIsNeverDoubleBooked books more seats than there are, all at once.
func TestAFlightIsNeverDoubleBooked(t *testing.T) {
	const rows, asked = 1, 9
	setup := choreotest.Setup{Settings: map[string]string{"SEATS_ROWS": "1"}, Seeds: 200}
	setup.Play(t, func(s *choreotest.Stage) {
		s.Together(func() {
			for range asked {
				book(t, s, "TR100", goodCard)
			}
		})
		got := tripOf(s)
		want := trip{
			created: asked, paid: asked, assigned: 6 * rows, issued: 6 * rows, completed: 6 * rows,
			unavailable: asked - 6*rows, refunded: asked - 6*rows, cancelled: asked - 6*rows,
		}
		if got != want {
			t.Errorf("it led to\n%+v, want\n%+v", got, want)
		}
		var taken []string
		for _, a := range choreotest.All[seats.SeatAssigned](s) {
			taken = append(taken, a.Seat)
		}
		slices.Sort(taken)
		if !slices.Equal(taken, []string{"1A", "1B", "1C", "1D", "1E", "1F"}) {
			t.Errorf("the seats are %v", taken)
		}
		checkKept(t, s)
	}, airline(t)...)
}
