package tickets_test

import (
	"testing"

	"github.com/troupedev/troupe/events/bookings"
	"github.com/troupedev/troupe/events/seats"
	"github.com/troupedev/troupe/events/tickets"
	"github.com/troupedev/troupe/events/users"
	"github.com/troupedev/troupe/platform/choreotest"
	"github.com/troupedev/troupe/platform/event"
	service "github.com/troupedev/troupe/services/tickets"
)

func assigned(booking string) seats.SeatAssigned {
	return seats.SeatAssigned{BookingID: booking, Flight: "TR100", Seat: "12A", Passenger: "Ada", Email: "ada@example.com"}
}

func cancelled(booking string, cause bookings.Cancellation) bookings.BookingCancelled {
	return bookings.BookingCancelled{BookingID: booking, Flight: "TR100", Passenger: "Ada", Email: "ada@example.com", Cause: cause}
}

// TestSeatAndExpiryInEachOrder sends what tickets hears of one booking.
func TestSeatAndExpiryInEachOrder(t *testing.T) {
	seat, expired := assigned("b-1"), cancelled("b-1", bookings.Expired)
	for name, c := range map[string]struct {
		heard          []event.Event
		issued, voided int
	}{
		"a seat":               {[]event.Event{seat}, 1, 0},
		"a seat, then expired": {[]event.Event{seat, expired}, 1, 1},
		"expired, then a seat": {[]event.Event{expired, seat}, 0, 0},
		"expired, no seat":     {[]event.Event{expired}, 0, 0},
		"not paid":             {[]event.Event{cancelled("b-1", bookings.PaymentFailed)}, 0, 0},
		"a full flight":        {[]event.Event{cancelled("b-1", bookings.NoSeat)}, 0, 0},
	} {
		t.Run(name, func(t *testing.T) {
			choreotest.Play(t, func(s *choreotest.Stage) {
				for _, e := range c.heard {
					s.Send(e)
				}
				issued, voided := choreotest.All[tickets.TicketIssued](s), choreotest.All[tickets.TicketVoided](s)
				if len(issued) != c.issued || len(voided) != c.voided {
					t.Fatalf("%d tickets were issued, %d voided; want %d and %d", len(issued), len(voided), c.issued, c.voided)
				}
				for i, ticket := range issued {
					want := tickets.TicketIssued{
						BookingID: "b-1", Ticket: ticket.Ticket, BookingCode: ticket.BookingCode,
						Flight: "TR100", Seat: "12A", Passenger: "Ada", Email: "ada@example.com",
					}
					if ticket != want || len(ticket.Ticket) != 13 || len(ticket.BookingCode) != 6 {
						t.Errorf("the ticket is %+v", ticket)
					}
					if i < len(voided) && voided[i].Ticket != ticket.Ticket {
						t.Errorf("ticket %s was issued, %s voided", ticket.Ticket, voided[i].Ticket)
					}
				}
			}, service.Service())
		})
	}
}

// TestSeatRacesExpiry lets both happen at once: either there is no ticket, or it
// is voided.
func TestSeatRacesExpiry(t *testing.T) {
	choreotest.Play(t, func(s *choreotest.Stage) {
		s.Together(func() {
			s.Send(assigned("b-1"))
			s.Send(cancelled("b-1", bookings.Expired))
		})
		issued, voided := len(choreotest.All[tickets.TicketIssued](s)), len(choreotest.All[tickets.TicketVoided](s))
		if issued != voided || issued > 1 {
			t.Errorf("%d tickets were issued, %d voided", issued, voided)
		}
	}, service.Service())
}

func TestAClosedAccountsTicketsAreAnonymous(t *testing.T) {
	choreotest.Play(t, func(s *choreotest.Stage) {
		other := assigned("b-3")
		other.Passenger, other.Email = "Grace", "grace@example.com"
		s.Send(assigned("b-1"), assigned("b-2"), other)
		s.Send(users.AccountClosureRequested{UserID: "u-1", Name: "Ada", Email: "Ada@example.com"})
		s.Emitted(users.AccountDataErased{UserID: "u-1", Service: "tickets", Records: 2})
		s.Send(assigned("b-4")) // was under way
		known := s.Rows("tickets", `select booking_id from tickets join people on people.id = tickets.person where person <> ''`)
		if len(known) != 1 || known[0][0] != "b-3" {
			t.Errorf("it is known for whom the tickets of %v are, want b-3", known)
		}
		if n := len(choreotest.All[tickets.TicketIssued](s)); n != 4 {
			t.Errorf("%d tickets were issued, want all 4", n)
		}
	}, service.Service())
}

// TestASeatRacesAClosure: whichever comes first, the ticket is issued, and leads
// to nobody.
func TestASeatRacesAClosure(t *testing.T) {
	choreotest.Play(t, func(s *choreotest.Stage) {
		s.Together(func() {
			s.Send(assigned("b-1"))
			s.Send(users.AccountClosureRequested{UserID: "u-1", Name: "Ada", Email: "ada@example.com"})
		})
		rows := s.Rows("tickets", `select person from tickets where number is not null`)
		if len(rows) != 1 || rows[0][0] != "" {
			t.Errorf("the tickets are of %q", rows)
		}
		if known := s.Rows("tickets", `select id from people where id <> ''`); len(known) > 0 {
			t.Errorf("the address leads to %v", known)
		}
	}, service.Service())
}
