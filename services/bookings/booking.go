package bookings

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"github.com/troupedev/troupe/platform/choreo"
	"github.com/troupedev/troupe/platform/event"
	"github.com/troupedev/troupe/platform/store"
	"github.com/troupedev/troupe/services/internal/history"
)

// Status is how a booking stands.
type Status string

// Values of Status.
const (
	Pending   Status = "pending"
	Completed Status = "completed"
	Cancelled Status = "cancelled"
)

// booking is what can change of a booking, and what a cancellation says of it.
type booking struct {
	id, flight, passenger, email string

	status                    Status
	reason, seat, bookingCode string
}

// hear notes that e was heard of a booking, and ends the booking if it is
// pending: end changes it, and returns the event that says so. The booking's row
// is locked meanwhile, so that one event at most ends it.
func hear(ctx context.Context, id string, e event.Event, end func(*booking) event.Event) (choreo.Events, error) {
	b, err := lock(ctx, id)
	if err != nil {
		return nil, err
	}
	var events choreo.Events
	if b.status == Pending {
		events = choreo.Emit(end(&b))
		if err := b.save(ctx); err != nil {
			return nil, err
		}
	}
	return events, history.Note(ctx, id, e, string(b.status))
}

// lock reads a booking, by an update that changes nothing but keeps others from
// the row until the transaction ends.
func lock(ctx context.Context, id string) (booking, error) {
	b := booking{id: id}
	err := store.Tx(ctx).QueryRowContext(ctx, `
		update bookings set status = status where booking_id = $1
		returning flight, passenger, email, status`, id).Scan(&b.flight, &b.passenger, &b.email, &b.status)
	if errors.Is(err, sql.ErrNoRows) {
		return b, choreo.Permanent(fmt.Errorf("there is no booking %q; make bookings by POST /bookings", id))
	}
	return b, err
}

func (b *booking) save(ctx context.Context) error {
	_, err := store.Exec(ctx, `update bookings set status = $2, reason = $3, seat = $4, booking_code = $5 where booking_id = $1`,
		b.id, b.status, b.reason, b.seat, b.bookingCode)
	return err
}
