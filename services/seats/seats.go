// Package seats holds the seats of flights: it assigns one to each booking that
// is paid, and releases it where the booking expires. No seat is held twice.
//
// Every change to a flight's seats locks the flight first. What is heard of a
// booking comes from two topics, and so in either order, or at once: a booking
// that is known to have expired gets no seat any more.
package seats

import (
	"context"
	"database/sql"
	"embed"
	"errors"
	"fmt"

	"github.com/troupedev/troupe/events/bookings"
	"github.com/troupedev/troupe/events/payments"
	"github.com/troupedev/troupe/events/seats"
	"github.com/troupedev/troupe/platform/choreo"
	"github.com/troupedev/troupe/platform/store"
	"github.com/troupedev/troupe/platform/web"
)

//go:embed migrations/*.sql
var migrations embed.FS

type settings struct {
	Rows int `env:"SEATS_ROWS" default:"30" doc:"rows of six seats that a flight has"`
}

type service struct{ settings settings }

// Service declares the seats service.
func Service() choreo.Service {
	s := &service{}
	return choreo.Service{
		Name: "seats", Doc: "Holds a seat for each booking that is paid.",
		Settings: &s.settings, Start: s.start, Store: store.Tables(migrations),
		Routes: []choreo.Route{web.Get("/flights/{flight}/seats", s.show)},
		Reactions: []choreo.Reaction{
			choreo.On(s.assign, choreo.Emits(seats.SeatAssigned{}, seats.SeatUnavailable{})),
			choreo.On(release,
				choreo.Where("cause", choreo.Is(bookings.Expired)), // other bookings that are cancelled never had a seat
				choreo.Emits(seats.SeatReleased{})),
		},
	}
}

func (s *service) start(context.Context) error {
	if s.settings.Rows < 0 || s.settings.Rows > 999 {
		return fmt.Errorf("SEATS_ROWS is %d; give 0 to 999", s.settings.Rows)
	}
	return nil
}

func (s *service) assign(ctx context.Context, p payments.PaymentConfirmed) (choreo.Events, error) {
	if err := lock(ctx, p.Flight); err != nil {
		return nil, err
	}
	_, known, err := seatOf(ctx, p.Reference)
	if err != nil || known {
		return nil, err // it expired, so the payment is being refunded
	}
	taken, err := taken(ctx, p.Flight)
	if err != nil {
		return nil, err
	}
	seat, ok := s.plan(p.Flight).choose(p.SeatPreference, taken)
	if !ok {
		return choreo.Emit(seats.SeatUnavailable{
			BookingID: p.Reference, Flight: p.Flight, Passenger: p.Customer, Email: p.Email,
		}), nil
	}
	_, err = store.Tx(ctx).ExecContext(ctx, `INSERT INTO seats (booking_id, flight, seat) VALUES ($1, $2, $3)`, p.Reference, p.Flight, seat)
	return choreo.Emit(seats.SeatAssigned{
		BookingID: p.Reference, Flight: p.Flight, Seat: seat, Passenger: p.Customer, Email: p.Email,
	}), err
}

// release frees the seat of a booking that expired. Where it has none, it
// remembers that it is not to get one.
func release(ctx context.Context, b bookings.BookingCancelled) (choreo.Events, error) {
	if err := lock(ctx, b.Flight); err != nil {
		return nil, err
	}
	seat, _, err := seatOf(ctx, b.BookingID)
	if err != nil {
		return nil, err
	}
	_, err = store.Tx(ctx).ExecContext(ctx, `INSERT INTO seats (booking_id, flight) VALUES ($1, $2)
		ON CONFLICT (booking_id) DO UPDATE SET seat = NULL`, b.BookingID, b.Flight)
	if err != nil || seat == "" {
		return nil, err
	}
	return choreo.Emit(seats.SeatReleased{BookingID: b.BookingID, Flight: b.Flight, Seat: seat}), nil
}

// lock lets nobody else change the flight's seats until the transaction ends.
func lock(ctx context.Context, flight string) error {
	_, err := store.Tx(ctx).ExecContext(ctx, `INSERT INTO flights (flight, changes) VALUES ($1, 1)
		ON CONFLICT (flight) DO UPDATE SET changes = flights.changes + 1`, flight)
	return err
}

// seatOf is the seat that a booking has, empty where it is known to have none.
func seatOf(ctx context.Context, booking string) (seat string, known bool, err error) {
	err = store.Tx(ctx).QueryRowContext(ctx, `SELECT coalesce(seat, '') FROM seats WHERE booking_id = $1`, booking).Scan(&seat)
	if errors.Is(err, sql.ErrNoRows) {
		return "", false, nil
	}
	return seat, err == nil, err
}

// taken are the seats that are held on a flight, with the bookings they are held for.
func taken(ctx context.Context, flight string) (map[string]string, error) {
	bookings := map[string]string{}
	_, err := store.Collect(ctx, func(row *sql.Rows) (seat string, err error) {
		var booking string
		err = row.Scan(&seat, &booking)
		bookings[seat] = booking
		return seat, err
	}, `SELECT seat, booking_id FROM seats WHERE flight = $1 AND seat IS NOT NULL`, flight)
	return bookings, err
}
