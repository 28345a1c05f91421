// Package tickets issues a ticket to each booking that has a seat, and voids it
// where the booking expires.
//
// What is heard of a booking comes from two topics, and so in either order, or
// at once. Whichever comes first inserts the booking's row, and the other finds
// it there.
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
)

//go:embed migrations/*.sql
var migrations embed.FS

// Service declares the tickets service.
func Service() choreo.Service {
	return choreo.Service{
		Name: "tickets", Doc: "Issues tickets to bookings that have a seat.",
		Store: store.Tables(migrations),
		Reactions: []choreo.Reaction{
			choreo.On(issue, choreo.Emits(tickets.TicketIssued{})),
			choreo.On(void,
				choreo.Where("cause", choreo.Is(bookings.Expired)), // other bookings that are cancelled never had a ticket
				choreo.Emits(tickets.TicketVoided{})),
			choreo.On(erase, choreo.Emits(users.AccountDataErased{})),
		},
	}
}

func issue(ctx context.Context, s seats.SeatAssigned) (choreo.Events, error) {
	number, code, err := free(ctx, event.From(ctx).ID)
	if err != nil {
		return nil, err
	}
	result, err := store.Tx(ctx).ExecContext(ctx, `INSERT INTO tickets (booking_id, number, booking_code, flight, seat, passenger, email, void)
		VALUES ($1, $2, $3, $4, $5, $6, $7, false) ON CONFLICT (booking_id) DO NOTHING`,
		s.BookingID, number, code, s.Flight, s.Seat, s.Passenger, s.Email)
	if err != nil {
		return nil, err
	}
	if inserted, err := result.RowsAffected(); err != nil || inserted == 0 {
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
	err := store.Tx(ctx).QueryRowContext(ctx, `INSERT INTO tickets (booking_id, void) VALUES ($1, true)
		ON CONFLICT (booking_id) DO UPDATE SET void = true RETURNING coalesce(number, '')`, b.BookingID).Scan(&number)
	if err != nil || number == "" {
		return nil, err
	}
	return choreo.Emit(tickets.TicketVoided{BookingID: b.BookingID, Ticket: number}), nil
}

// erase makes the tickets of a user anonymous; their numbers stay taken.
func erase(ctx context.Context, u users.AccountClosureRequested) (choreo.Events, error) {
	result, err := store.Tx(ctx).ExecContext(ctx,
		`UPDATE tickets SET passenger = '', email = '' WHERE lower(email) = lower($1)`, u.Email)
	if err != nil {
		return nil, err
	}
	erased, err := result.RowsAffected()
	return choreo.Emit(users.AccountDataErased{UserID: u.UserID, Service: "tickets", Records: int32(erased)}), err
}
