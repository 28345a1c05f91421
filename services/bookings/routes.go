package bookings

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/troupedev/troupe/events/bookings"
	"github.com/troupedev/troupe/platform/choreo"
	"github.com/troupedev/troupe/platform/event"
	"github.com/troupedev/troupe/platform/store"
	"github.com/troupedev/troupe/platform/web"
)

// Book is the request of POST /bookings.
type Book struct {
	Body struct {
		Flight         string `json:"flight" pattern:"^TR[0-9]{3}$" example:"TR100" doc:"TR000 is always full"`
		Passenger      string `json:"passenger" minLength:"1" maxLength:"200" example:"Ada"`
		Email          string `json:"email" format:"email" maxLength:"200" example:"ada@example.com"`
		Card           string `json:"card" pattern:"^[0-9]{12,19}$" example:"4242424242424242" doc:"4000000000000002 is declined"`
		SeatPreference string `json:"seatPreference,omitempty" enum:"any,window,aisle" default:"any"`
	}
}

// Booked is the answer of POST /bookings.
type Booked struct {
	BookingID string `json:"bookingId"`
	FlowID    string `json:"flowId"`
}

func (s *service) book(ctx context.Context, in *Book) (Booked, choreo.Events, error) {
	request := event.From(ctx)
	created := bookings.BookingCreated{
		BookingID: request.ID, Flight: in.Body.Flight, Passenger: in.Body.Passenger, Email: in.Body.Email, Card: in.Body.Card,
		Price: price(in.Body.Flight), SeatPreference: bookings.SeatPreference(in.Body.SeatPreference), CreatedAt: request.Time,
	}
	_, err := store.Tx(ctx).ExecContext(ctx, `INSERT INTO bookings (booking_id, flight, passenger, email, price, seat_preference, status, steps)
		VALUES ($1, $2, $3, $4, $5, $6, $7, 1)`,
		created.BookingID, created.Flight, created.Passenger, created.Email, created.Price, in.Body.SeatPreference, pending)
	if err != nil {
		return Booked{}, nil, err
	}
	if err := note(ctx, created.BookingID, 1, created); err != nil {
		return Booked{}, nil, err
	}
	return Booked{BookingID: request.ID, FlowID: request.Flow},
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

// Booking is the answer of GET /bookings/{id}.
type Booking struct {
	BookingID      string `json:"bookingId"`
	Flight         string `json:"flight"`
	Passenger      string `json:"passenger" doc:"empty once the passenger's account is erased, as email"`
	Email          string `json:"email"`
	Price          int64  `json:"price" doc:"in cents"`
	SeatPreference string `json:"seatPreference"`
	Status         string `json:"status" enum:"pending,completed,cancelled"`
	Reason         string `json:"reason,omitempty" doc:"of a cancelled booking"`
	Seat           string `json:"seat,omitempty" doc:"of a completed booking"`
	BookingCode    string `json:"bookingCode,omitempty" doc:"of a completed booking"`
	History        []Step `json:"history,omitempty" doc:"what was heard of it, oldest first; left out of lists"`
}

// Step is one event in the history of a [Booking].
type Step struct {
	Event string    `json:"event" example:"BookingCreated"`
	At    time.Time `json:"at" doc:"when the event was emitted"`
}

const columns = `booking_id, flight, passenger, email, price, seat_preference, status, reason, seat, booking_code`

// scan reads [columns].
func scan(row interface{ Scan(...any) error }) (b Booking, err error) {
	return b, row.Scan(&b.BookingID, &b.Flight, &b.Passenger, &b.Email, &b.Price, &b.SeatPreference, &b.Status,
		&b.Reason, &b.Seat, &b.BookingCode)
}

// Show is the request of GET /bookings/{id}.
type Show struct {
	ID string `path:"id"`
}

func show(ctx context.Context, in *Show) (Booking, error) {
	b, err := scan(store.Tx(ctx).QueryRowContext(ctx, `SELECT `+columns+` FROM bookings WHERE booking_id = $1`, in.ID))
	if errors.Is(err, sql.ErrNoRows) {
		return b, web.NotFound(fmt.Sprintf("there is no booking %q", in.ID))
	}
	if err != nil {
		return b, err
	}
	b.History, err = history(ctx, in.ID)
	return b, err
}

func history(ctx context.Context, id string) ([]Step, error) {
	rows, err := store.Tx(ctx).QueryContext(ctx, `SELECT event, at FROM history WHERE booking_id = $1 ORDER BY step`, id)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var steps []Step
	for rows.Next() {
		var s Step
		var at int64
		if err := rows.Scan(&s.Event, &at); err != nil {
			return nil, err
		}
		s.At = time.UnixMilli(at).UTC()
		steps = append(steps, s)
	}
	return steps, rows.Err()
}

// List is the request of GET /bookings.
type List struct {
	Limit int    `query:"limit" minimum:"1" maximum:"1000" default:"100"`
	After string `query:"after" doc:"the last bookingId of the page before"`
}

// Page is the answer of GET /bookings.
type Page struct {
	Bookings []Booking `json:"bookings" doc:"in the order of their ids"`
}

func list(ctx context.Context, in *List) (Page, error) {
	page := Page{Bookings: []Booking{}}
	rows, err := store.Tx(ctx).QueryContext(ctx,
		`SELECT `+columns+` FROM bookings WHERE booking_id > $1 ORDER BY booking_id LIMIT $2`, in.After, in.Limit)
	if err != nil {
		return page, err
	}
	defer rows.Close()
	for rows.Next() {
		b, err := scan(rows)
		if err != nil {
			return page, err
		}
		page.Bookings = append(page.Bookings, b)
	}
	return page, rows.Err()
}
