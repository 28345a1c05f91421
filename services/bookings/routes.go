package bookings

import (
	"context"
	"database/sql"
	"errors"
	"strconv"
	"strings"
	"time"

	"github.com/troupedev/troupe/events/bookings"
	"github.com/troupedev/troupe/platform/choreo"
	"github.com/troupedev/troupe/platform/event"
	"github.com/troupedev/troupe/platform/store"
	"github.com/troupedev/troupe/platform/web"
	"github.com/troupedev/troupe/services/internal/account"
	"github.com/troupedev/troupe/services/internal/history"
)

// MakeBooking is the request of POST /bookings.
type MakeBooking struct {
	Body struct {
		Flight         string        `json:"flight" pattern:"^TR[0-9]{3}$" example:"TR100" doc:"TR000 is always full"`
		Passenger      string        `json:"passenger" minLength:"1" maxLength:"200" example:"Ada"`
		Email          account.Email `json:"email" format:"email" maxLength:"200" example:"ada@example.com"`
		Card           string        `json:"card" pattern:"^[0-9]{12,19}$" example:"4242424242424242" doc:"4000000000000002 is declined"`
		SeatPreference string        `json:"seatPreference,omitempty" enum:"any,window,aisle" default:"any"`
	}
}

// MadeBooking is the answer of POST /bookings.
type MadeBooking struct {
	BookingID string `json:"bookingId"`
	FlowID    string `json:"flowId"`
}

func (s *service) book(ctx context.Context, in *MakeBooking) (MadeBooking, choreo.Events, error) {
	request := event.From(ctx)
	created := bookings.BookingCreated{
		BookingID: request.ID, Flight: in.Body.Flight, Passenger: in.Body.Passenger, Email: string(in.Body.Email), Card: in.Body.Card,
		Price: price(in.Body.Flight), SeatPreference: bookings.SeatPreference(in.Body.SeatPreference), CreatedAt: request.Time,
	}
	_, err := store.Exec(ctx, `
		insert into bookings (booking_id, flight, passenger, email, address, price, seat_preference, status, created_at)
		values ($1, $2, $3, $4, $5, $6, $7, $8, $9)`,
		request.ID, created.Flight, created.Passenger, created.Email, account.Key(created.Email), created.Price, created.SeatPreference,
		Pending, created.CreatedAt.UnixMilli())
	if err != nil {
		return MadeBooking{}, nil, err
	}
	if err := history.Note(ctx, request.ID, created, string(Pending)); err != nil {
		return MadeBooking{}, nil, err
	}
	return MadeBooking{BookingID: request.ID, FlowID: request.Flow},
		choreo.Emit(created).After(s.settings.Limit, bookings.BookingExpired{BookingID: request.ID}), nil
}

// price is what a flight costs, in cents: the higher its number, the further it goes.
func price(flight string) int64 {
	number, err := strconv.ParseInt(strings.TrimPrefix(flight, "TR"), 10, 64)
	if err != nil {
		return 0 // the route's pattern lets no such flight in
	}
	return 49_00 + 10*number
}

// Booking is how a booking stands.
type Booking struct {
	BookingID      string             `json:"bookingId"`
	Status         Status             `json:"status" enum:"pending,completed,cancelled"`
	Flight         string             `json:"flight"`
	Passenger      string             `json:"passenger" doc:"empty, like email: erased"`
	Email          string             `json:"email"`
	Price          int64              `json:"price" doc:"in cents"`
	SeatPreference string             `json:"seatPreference" enum:"any,window,aisle"`
	Reason         string             `json:"reason,omitempty" doc:"of a cancelled booking: why"`
	Seat           string             `json:"seat,omitempty" doc:"of a completed booking"`
	BookingCode    string             `json:"bookingCode,omitempty" doc:"of a completed booking"`
	CreatedAt      time.Time          `json:"createdAt"`
	History        []history.Happened `json:"history,omitempty" doc:"what happened, in the order in which it was heard; not in a list"`
}

// columns of a booking, in the order in which [scan] reads them.
const columns = `booking_id, status, flight, passenger, email, price, seat_preference, reason, seat, booking_code, created_at`

func scan(row interface{ Scan(...any) error }) (b Booking, err error) {
	var at int64
	err = row.Scan(&b.BookingID, &b.Status, &b.Flight, &b.Passenger, &b.Email, &b.Price, &b.SeatPreference,
		&b.Reason, &b.Seat, &b.BookingCode, &at)
	b.CreatedAt = time.UnixMilli(at).UTC()
	return b, err
}

// ShowBooking is the request of GET /bookings/{id}.
type ShowBooking struct {
	ID string `path:"id"`
}

func show(ctx context.Context, in *ShowBooking) (Booking, error) {
	b, err := scan(store.Tx(ctx).QueryRowContext(ctx, `select `+columns+` from bookings where booking_id = $1`, in.ID))
	if errors.Is(err, sql.ErrNoRows) {
		return b, web.NotFound("no booking has the id " + in.ID)
	}
	if err == nil {
		b.History, err = history.Of(ctx, in.ID)
	}
	return b, err
}

// ListBookings is the request of GET /bookings.
type ListBookings struct {
	Limit  int    `query:"limit" default:"100" minimum:"1" maximum:"1000"`
	After  string `query:"after" maxLength:"200" doc:"the last id of the page before"`
	Status Status `query:"status" enum:"pending,completed,cancelled" doc:"only bookings that stand so"`
}

// Bookings is the answer of GET /bookings.
type Bookings struct {
	Bookings []Booking `json:"bookings" doc:"by id, without their history"`
}

func list(ctx context.Context, in *ListBookings) (Bookings, error) {
	found, err := store.Collect(ctx, func(row *sql.Rows) (Booking, error) { return scan(row) },
		`select `+columns+` from bookings where booking_id > $1 and ($2 = '' or status = $2) order by booking_id limit $3`,
		in.After, in.Status, in.Limit)
	return Bookings{append([]Booking{}, found...)}, err
}
