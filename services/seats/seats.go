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
	_, err = store.Exec(ctx, `insert into seats (booking_id, flight, seat) values ($1, $2, $3)`, p.Reference, p.Flight, seat)
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
	_, err = store.Exec(ctx, `
		insert into seats (booking_id, flight) values ($1, $2)
		on conflict (booking_id) do update set seat = null`, b.BookingID, b.Flight)
	if err != nil || seat == "" {
		return nil, err
	}
	return choreo.Emit(seats.SeatReleased{BookingID: b.BookingID, Flight: b.Flight, Seat: seat}), nil
}

// lock lets nobody else change the flight's seats until the transaction ends.
func lock(ctx context.Context, flight string) error {
	_, err := store.Exec(ctx, `
		insert into flights (flight, changes) values ($1, 1)
		on conflict (flight) do update set changes = flights.changes + 1`, flight)
	return err
}

// seatOf is the seat that a booking has, empty where it is known to have none.
func seatOf(ctx context.Context, booking string) (seat string, known bool, err error) {
	err = store.Tx(ctx).QueryRowContext(ctx, `select coalesce(seat, '') from seats where booking_id = $1`, booking).Scan(&seat)
	if errors.Is(err, sql.ErrNoRows) {
		return "", false, nil
	}
	return seat, err == nil, err
}

// taken are the seats that are held on a flight, with the bookings they are held for.
func taken(ctx context.Context, flight string) (map[string]string, error) {
	type held struct{ seat, booking string }
	all, err := store.Collect(ctx, func(row *sql.Rows) (h held, err error) {
		err = row.Scan(&h.seat, &h.booking)
		return h, err
	}, `select seat, booking_id from seats where flight = $1 and seat is not null`, flight)
	bookings := map[string]string{}
	for _, h := range all {
		bookings[h.seat] = h.booking
	}
	return bookings, err
}
