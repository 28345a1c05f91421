package bookings

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"github.com/troupedev/troupe/events/bookings"
	"github.com/troupedev/troupe/platform/choreo"
	"github.com/troupedev/troupe/platform/event"
	"github.com/troupedev/troupe/platform/store"
)

// What a booking can be.
const (
	pending   = "pending"
	completed = "completed"
	cancelled = "cancelled"
)

// booking is what is needed of a booking to end it.
type booking struct{ flight, passenger, email, status string }

// hear locks the booking until the transaction ends, notes in its history that
// e was heard, and returns it.
func hear(ctx context.Context, id string, e event.Event) (b booking, err error) {
	var step int
	err = store.Tx(ctx).QueryRowContext(ctx, `UPDATE bookings SET steps = steps + 1 WHERE booking_id = $1
		RETURNING steps, flight, passenger, email, status`, id).Scan(&step, &b.flight, &b.passenger, &b.email, &b.status)
	if errors.Is(err, sql.ErrNoRows) {
		return b, choreo.Permanent(fmt.Errorf("there is no booking %q", id))
	}
	if err != nil {
		return b, err
	}
	return b, note(ctx, id, step, e)
}

func note(ctx context.Context, id string, step int, e event.Event) error {
	_, err := store.Tx(ctx).ExecContext(ctx, `INSERT INTO history (booking_id, step, event, at) VALUES ($1, $2, $3, $4)`,
		id, step, e.EventType().Name, event.From(ctx).Time.UnixMilli())
	return err
}

// cancel ends a booking because of e, if nothing has ended it before.
func cancel(ctx context.Context, e event.Event, id string, cause bookings.Cancellation, reason string) (choreo.Events, error) {
	b, err := hear(ctx, id, e)
	if err != nil || b.status != pending {
		return nil, err
	}
	_, err = store.Tx(ctx).ExecContext(ctx, `UPDATE bookings SET status = $2, reason = $3 WHERE booking_id = $1`, id, cancelled, reason)
	return choreo.Emit(bookings.BookingCancelled{
		BookingID: id, Flight: b.flight, Passenger: b.passenger, Email: b.email, Cause: cause, Reason: reason,
	}), err
}
