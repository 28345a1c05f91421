package bookings_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/troupedev/troupe/events/bookings"
	"github.com/troupedev/troupe/events/payments"
	"github.com/troupedev/troupe/events/tickets"
	"github.com/troupedev/troupe/events/users"
	"github.com/troupedev/troupe/platform/choreotest"
	"github.com/troupedev/troupe/platform/event"
	service "github.com/troupedev/troupe/services/bookings"
)

const good = `{"flight":"TR100","passenger":"Ada","email":"ada@example.com","card":"4242424242424242","seatPreference":"aisle"}`

// book makes a booking and returns its id.
func book(t *testing.T, s *choreotest.Stage) string {
	t.Helper()
	made := choreotest.Request[service.MadeBooking](s, 202, "POST", "/bookings", good)
	if made.BookingID == "" || made.FlowID == "" {
		t.Fatalf("got %+v", made)
	}
	return made.BookingID
}

func show(s *choreotest.Stage, id string) service.Booking {
	return choreotest.Get[service.Booking](s, "/bookings/"+id)
}

func steps(b service.Booking) (out []string) {
	for _, h := range b.History {
		out = append(out, h.Event+" "+h.Status)
	}
	return out
}

func TestABookingIsPendingAtFirst(t *testing.T) {
	choreotest.Play(t, func(s *choreotest.Stage) {
		id := book(t, s)
		all := choreotest.All[bookings.BookingCreated](s)
		if len(all) != 1 {
			t.Fatalf("%d bookings were created", len(all))
		}
		created := all[0]
		s.Emitted(bookings.BookingCreated{
			BookingID: id, Flight: "TR100", Passenger: "Ada", Email: "ada@example.com", Card: "4242424242424242",
			Price: 59_00, SeatPreference: bookings.Aisle, CreatedAt: created.CreatedAt,
		})
		s.NothingElse()
		b := show(s, id)
		if b.Status != service.Pending || b.Flight != "TR100" || b.Passenger != "Ada" || b.Price != 59_00 ||
			b.SeatPreference != "aisle" || !b.CreatedAt.Equal(created.CreatedAt) {
			t.Errorf("it is %+v", b)
		}
		if got := steps(b); !slices.Equal(got, []string{"BookingCreated pending"}) {
			t.Errorf("its history is %v", got)
		}
	}, service.Service())
}

func TestABookingMayLeaveItsPreferenceOut(t *testing.T) {
	choreotest.Play(t, func(s *choreotest.Stage) {
		status, answer := s.Request("POST", "/bookings", strings.Replace(good, `,"seatPreference":"aisle"`, "", 1))
		if all := choreotest.All[bookings.BookingCreated](s); status != 202 || len(all) != 1 || all[0].SeatPreference != bookings.Any {
			t.Errorf("got %d %s and %+v", status, answer, all)
		}
	}, service.Service())
}

func TestABadBookingIsRefusedByItsField(t *testing.T) {
	for name, c := range map[string]struct{ old, new, field string }{
		"another airline":      {"TR100", "LH100", "body.flight"},
		"a flight of two":      {"TR100", "TR10", "body.flight"},
		"nobody":               {`"Ada"`, `""`, "body.passenger"},
		"a mail that is none":  {"ada@example.com", "ada", "body.email"},
		"a mail with a name":   {"ada@example.com", "Ada <ada@example.com>", "body.email"},
		"a card that is none":  {"4242424242424242", "visa", "body.card"},
		"a seat on the wing":   {"aisle", "wing", "body.seatPreference"},
		"no flight":            {`"flight"`, `"flights"`, "body.flight"},
		"a price of their own": {`"card"`, `"price":1,"card"`, "body.price"},
	} {
		t.Run(name, func(t *testing.T) {
			choreotest.Setup{Seeds: 1}.Play(t, func(s *choreotest.Stage) {
				status, answer := s.Request("POST", "/bookings", strings.Replace(good, c.old, c.new, 1))
				if status != 422 || !strings.Contains(answer, `"`+c.field) {
					t.Errorf("got %d %s, want a 422 that names %s", status, answer, c.field)
				}
				s.NothingElse()
			}, service.Service())
		})
	}
}

// end is an event that can end a booking, by its name, made for the booking.
type end func(id string) event.Event

var ends = map[string]end{
	"paymentFailed": func(id string) event.Event {
		return payments.PaymentFailed{Reference: id, Purpose: payments.Flight, Reason: "card declined"}
	},
	"noSeat": func(id string) event.Event {
		return payments.PaymentRefunded{Reference: id, Purpose: payments.Flight, Reason: "no seat left"}
	},
	"expired":   func(id string) event.Event { return bookings.BookingExpired{BookingID: id} },
	"completed": func(id string) event.Event { return issued(id) },
}

func issued(id string) tickets.TicketIssued {
	return tickets.TicketIssued{BookingID: id, Ticket: "7700000000001", BookingCode: "ABC234", Flight: "TR100", Seat: "12C"}
}

// TestTheFirstEndCounts sends each two events that can end a booking, in each
// order: the first one ends it, the second is noted and changes nothing.
func TestTheFirstEndCounts(t *testing.T) {
	for first, one := range ends {
		for second, other := range ends {
			if first == second {
				continue
			}
			t.Run(first+", then "+second, func(t *testing.T) {
				choreotest.Setup{Seeds: 100}.Play(t, func(s *choreotest.Stage) {
					id := book(t, s)
					s.Send(one(id))
					s.Send(other(id))
					checkEnd(t, s, id, first)
					if got := steps(show(s, id)); len(got) != 3 {
						t.Errorf("its history is %v", got)
					}
				}, service.Service())
			})
		}
	}
}

// checkEnd asks that the booking ended once, by the end named.
func checkEnd(t *testing.T, s *choreotest.Stage, id, name string) {
	t.Helper()
	b := show(s, id)
	completed, cancelled := choreotest.All[bookings.BookingCompleted](s), choreotest.All[bookings.BookingCancelled](s)
	if len(completed)+len(cancelled) != 1 {
		t.Fatalf("it ended by %v and %v", completed, cancelled)
	}
	if name == "completed" {
		want := bookings.BookingCompleted{BookingID: id, Flight: "TR100", Seat: "12C", BookingCode: "ABC234"}
		if len(completed) != 1 || completed[0] != want || b.Status != service.Completed || b.Seat != "12C" || b.BookingCode != "ABC234" || b.Reason != "" {
			t.Errorf("it is %+v after %v", b, completed)
		}
		return
	}
	want := bookings.BookingCancelled{
		BookingID: id, Flight: "TR100", Passenger: "Ada", Email: "ada@example.com",
		Cause: bookings.Cancellation(name), Reason: b.Reason,
	}
	if len(cancelled) != 1 || cancelled[0] != want || b.Status != service.Cancelled || b.Reason == "" || b.Seat != "" {
		t.Errorf("it is %+v after %v", b, cancelled)
	}
}

// TestEndsRace lets all of them happen at once.
func TestEndsRace(t *testing.T) {
	choreotest.Play(t, func(s *choreotest.Stage) {
		id := book(t, s)
		s.Together(func() {
			for _, end := range ends {
				s.Send(end(id))
			}
		})
		completed, cancelled := choreotest.All[bookings.BookingCompleted](s), choreotest.All[bookings.BookingCancelled](s)
		switch {
		case len(completed) == 1:
			checkEnd(t, s, id, "completed")
		case len(cancelled) == 1:
			checkEnd(t, s, id, string(cancelled[0].Cause))
		default:
			t.Errorf("it ended by %v and %v", completed, cancelled)
		}
	}, service.Service())
}

func TestABookingExpiresByItself(t *testing.T) {
	setup := choreotest.Setup{Settings: map[string]string{"BOOKINGS_LIMIT": "2h"}}
	setup.Play(t, func(s *choreotest.Stage) {
		id := book(t, s)
		s.Advance(time.Hour)
		if b := show(s, id); b.Status != service.Pending {
			t.Errorf("after 1h: %+v", b)
		}
		s.Advance(90 * time.Minute)
		checkEnd(t, s, id, "expired")
		if got, want := steps(show(s, id)), []string{"BookingCreated pending", "BookingExpired cancelled"}; !slices.Equal(got, want) {
			t.Errorf("its history is %v", got)
		}
	}, service.Service())
}

func TestPaymentsOfOrdersAreNotBookings(t *testing.T) {
	choreotest.Play(t, func(s *choreotest.Stage) {
		s.Send(payments.PaymentFailed{Reference: "o-1", Purpose: payments.Storefront})
		s.Send(payments.PaymentRefunded{Reference: "o-2", Purpose: payments.Wholesale})
		s.NothingElse()
	}, service.Service())
}

func TestABookingThatNobodyMade(t *testing.T) {
	choreotest.Play(t, func(s *choreotest.Stage) {
		s.Send(issued("b-1"))
		s.Dead("bookings", `there is no booking "b-1"`)
		if status, answer := s.Request("GET", "/bookings/b-1", ""); status != 404 || !strings.Contains(answer, "b-1") {
			t.Errorf("got %d %s", status, answer)
		}
	}, service.Service())
}

func TestBookingsAreListedInPages(t *testing.T) {
	choreotest.Setup{Seeds: 20}.Play(t, func(s *choreotest.Stage) {
		var made, listed []string
		for range 5 {
			made = append(made, book(t, s))
		}
		s.Send(bookings.BookingExpired{BookingID: made[0]})
		for after := ""; ; after = listed[len(listed)-1] {
			page := choreotest.Get[service.Bookings](s, "/bookings?limit=2&after="+after).Bookings
			for _, b := range page {
				listed = append(listed, b.BookingID)
			}
			if len(page) < 2 {
				break
			}
		}
		slices.Sort(made)
		if !slices.Equal(listed, made) {
			t.Errorf("listed %v of %v", listed, made)
		}
		if pending := choreotest.Get[service.Bookings](s, "/bookings?status=pending").Bookings; len(pending) != 4 {
			t.Errorf("%d are pending", len(pending))
		}
	}, service.Service())
}

func TestAClosedAccountsBookingsAreAnonymous(t *testing.T) {
	choreotest.Play(t, func(s *choreotest.Stage) {
		ids := []string{book(t, s), book(t, s)}
		s.Send(users.AccountClosureRequested{UserID: "u-1", Name: "Ada", Email: "ADA@example.com"})
		s.Emitted(users.AccountDataErased{UserID: "u-1", Service: "bookings", Records: 2})
		for _, id := range ids {
			if b := show(s, id); b.Passenger != "" || b.Email != "" || b.Flight != "TR100" || b.Status != service.Pending {
				t.Errorf("it is %+v", b)
			}
		}
		s.Send(bookings.BookingExpired{BookingID: ids[0]})
		all := choreotest.All[bookings.BookingCancelled](s)
		if len(all) != 1 || all[0].Email != "" || all[0].Passenger != "" {
			t.Errorf("its end is %+v", all)
		}
		if text := fmt.Sprint(s.Rows("bookings", "select * from bookings")); strings.Contains(text, "Ada") || strings.Contains(text, "4242424242424242") {
			t.Errorf("the rows are %s", text)
		}
	}, service.Service())
}
