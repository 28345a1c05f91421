// Package bookings takes bookings of flights over HTTP, and closes them as
// completed or cancelled by what it hears from the other services, or when their
// time is over.
//
// It alone decides how a booking ends, on the row of the booking: what comes
// first ends it, and what comes later finds it ended. The services that did
// something for a booking that expired hear of it, and each undoes its own part.
package bookings

import (
	"context"
	"embed"
	"fmt"
	"time"

	"github.com/troupedev/troupe/events/bookings"
	"github.com/troupedev/troupe/events/payments"
	"github.com/troupedev/troupe/events/tickets"
	"github.com/troupedev/troupe/events/users"
	"github.com/troupedev/troupe/platform/choreo"
	"github.com/troupedev/troupe/platform/event"
	"github.com/troupedev/troupe/platform/store"
	"github.com/troupedev/troupe/platform/web"
	"github.com/troupedev/troupe/services/internal/account"
)

const name = "bookings"

//go:embed migrations/*.sql
var migrations embed.FS

type settings struct {
	Limit time.Duration `env:"BOOKINGS_LIMIT" default:"24h" doc:"how long a booking may take, before it expires and all is undone"`
}

type service struct{ settings settings }

// Service declares the bookings service.
func Service() choreo.Service {
	s := &service{}
	flights := choreo.Where("purpose", choreo.Is(payments.Flight))
	cancelled := choreo.Emits(bookings.BookingCancelled{})
	return choreo.Service{
		Name: name, Doc: "Takes bookings of flights, and closes them as completed or cancelled.",
		Settings: &s.settings, Start: s.start, Store: store.Tables(migrations),
		Routes: []choreo.Route{
			web.Post("/bookings", s.book, choreo.Emits(bookings.BookingCreated{}, bookings.BookingExpired{})),
			web.Get("/bookings/{id}", show),
			web.Get("/bookings", list),
		},
		Reactions: []choreo.Reaction{
			choreo.On(cancelUnpaid, flights, cancelled),
			choreo.On(cancelRefunded, flights, cancelled),
			choreo.On(complete, choreo.Emits(bookings.BookingCompleted{})),
			choreo.On(expire, cancelled),
			account.Erases(name, erase),
		},
	}
}

func (s *service) start(context.Context) error {
	if s.settings.Limit <= 0 {
		return fmt.Errorf("BOOKINGS_LIMIT is %v; give a duration above 0", s.settings.Limit)
	}
	return nil
}

func cancelUnpaid(ctx context.Context, p payments.PaymentFailed) (choreo.Events, error) {
	return cancel(ctx, p.Reference, p, bookings.PaymentFailed, p.Reason)
}

// cancelRefunded hears of a refund because the flight is full. A refund because
// the booking expired comes when it is cancelled already.
func cancelRefunded(ctx context.Context, p payments.PaymentRefunded) (choreo.Events, error) {
	return cancel(ctx, p.Reference, p, bookings.NoSeat, p.Reason)
}

func expire(ctx context.Context, e bookings.BookingExpired) (choreo.Events, error) {
	return cancel(ctx, e.BookingID, e, bookings.Expired, "it was not finished in time")
}

func cancel(ctx context.Context, id string, e event.Event, cause bookings.Cancellation, reason string) (choreo.Events, error) {
	return hear(ctx, id, e, func(b *booking) event.Event {
		b.status, b.reason = Cancelled, reason
		return bookings.BookingCancelled{
			BookingID: id, Flight: b.flight, Passenger: b.passenger, Email: b.email, Cause: cause, Reason: reason,
		}
	})
}

// complete hears of the ticket. Where the booking expired meanwhile, it leaves
// the ticket to the tickets service, which hears of that and voids it.
func complete(ctx context.Context, t tickets.TicketIssued) (choreo.Events, error) {
	return hear(ctx, t.BookingID, t, func(b *booking) event.Event {
		b.status, b.seat, b.bookingCode = Completed, t.Seat, t.BookingCode
		return bookings.BookingCompleted{BookingID: t.BookingID, Flight: t.Flight, Seat: t.Seat, BookingCode: t.BookingCode}
	})
}

// erase makes the bookings of a user anonymous; flights are still counted by
// them. Only a request to book writes whose they are, so nothing that comes
// later brings it back.
func erase(ctx context.Context, u users.AccountClosureRequested) (records int64, err error) {
	return store.Exec(ctx, `update bookings set passenger = '', email = '', address = '' where address = $1 and address <> ''`, account.Key(u.Email))
}
