// Package tickets issues a ticket to each booking that has a seat, and voids it
// where the booking expires.
//
// What is heard of a booking comes from two topics, and so in either order, or
// at once. Whichever comes first inserts the booking's row, and the other finds
// it there.
//
// Whom a ticket is for is told in TicketIssued, and not kept: the ticket refers
// to the person by an id, which a closure cuts.
package tickets

import (
	"context"
	"embed"

	"github.com/troupedev/troupe/events/bookings"
	"github.com/troupedev/troupe/events/seats"
	"github.com/troupedev/troupe/events/tickets"
	"github.com/troupedev/troupe/events/users"
	"github.com/troupedev/troupe/platform/choreo"
	"github.com/troupedev/troupe/platform/event"
	"github.com/troupedev/troupe/platform/store"
	"github.com/troupedev/troupe/services/internal/account"
)

const name = "tickets"

//go:embed migrations/*.sql
var migrations embed.FS

// Service declares the tickets service.
func Service() choreo.Service {
	return choreo.Service{
		Name: name, Doc: "Issues tickets to bookings that have a seat.",
		Store: store.Tables(migrations),
		Reactions: []choreo.Reaction{
			choreo.On(issue, choreo.Emits(tickets.TicketIssued{})),
			choreo.On(void,
				choreo.Where("cause", choreo.Is(bookings.Expired)), // other bookings that are cancelled never had a ticket
				choreo.Emits(tickets.TicketVoided{})),
			account.Erases(name, erase),
		},
	}
}

func issue(ctx context.Context, s seats.SeatAssigned) (choreo.Events, error) {
	number, code, err := free(ctx, event.From(ctx).ID)
	if err != nil {
		return nil, err
	}
	person, err := account.Person(ctx, s.Email)
	if err != nil {
		return nil, err
	}
	inserted, err := store.Exec(ctx, `
		insert into tickets (booking_id, number, booking_code, flight, seat, person, void)
		values ($1, $2, $3, $4, $5, $6, false) on conflict (booking_id) do nothing`,
		s.BookingID, number, code, s.Flight, s.Seat, person)
	if err != nil || inserted == 0 {
		return nil, err // the booking expired before
	}
	return choreo.Emit(tickets.TicketIssued{
		BookingID: s.BookingID, Ticket: number, BookingCode: code, Flight: s.Flight, Seat: s.Seat, Passenger: s.Passenger, Email: s.Email,
	}), nil
}

// void takes back the ticket of a booking that expired. Where it has none, its
// row remembers that it is not to get one.
func void(ctx context.Context, b bookings.BookingCancelled) (choreo.Events, error) {
	var number string
	err := store.Tx(ctx).QueryRowContext(ctx, `
		insert into tickets (booking_id, void) values ($1, true)
		on conflict (booking_id) do update set void = true returning coalesce(number, '')`, b.BookingID).Scan(&number)
	if err != nil || number == "" {
		return nil, err
	}
	return choreo.Emit(tickets.TicketVoided{BookingID: b.BookingID, Ticket: number}), nil
}

// erase makes the tickets of a user anonymous; their numbers stay taken.
func erase(ctx context.Context, u users.AccountClosureRequested) (records int64, err error) {
	return account.Forget(ctx, u.Email, `update tickets set person = '' where person = $1`)
}
