package orders

import (
	"context"
	"database/sql"
	"errors"

	"github.com/troupedev/troupe/events/orders"
	"github.com/troupedev/troupe/platform/choreo"
	"github.com/troupedev/troupe/platform/event"
	"github.com/troupedev/troupe/platform/store"
	"github.com/troupedev/troupe/services/internal/history"
)

// Status is how an order stands.
type Status string

// An order is placed until it ends, in one of two ways.
const (
	Placed    Status = "placed"
	Fulfilled Status = "fulfilled"
	Cancelled Status = "cancelled"
)

// ending is what an event says of the order that it ends.
type ending struct {
	id, channel     string
	status          Status
	customer, email string
	total           int64
	reason          string
	trackingNumber  string
}

func cancel(ctx context.Context, heard event.Event, e ending) (choreo.Events, error) {
	e.status = Cancelled
	ended, err := end(ctx, heard, e)
	if err != nil || !ended {
		return nil, err
	}
	return choreo.Emit(orders.OrderCancelled{OrderID: e.id, Customer: e.customer, Email: e.email, Reason: e.reason}), nil
}

// end closes an order, and reports whether it did: an order that has ended
// stays as it is. An order that was placed by another producer, straight to
// the topic, is known from then on; whose it is, is not kept, since that may
// have been erased before. Whichever way it goes, the order's row is locked from
// here on: Postgres locks also a row that the condition then spares.
func end(ctx context.Context, heard event.Event, e ending) (ended bool, err error) {
	now := event.From(ctx).Time.UnixMilli()
	var stands Status
	err = store.Tx(ctx).QueryRowContext(ctx, `
		insert into orders (id, channel, status, customer, email, address, lines, total, tracking_number, reason, placed_at)
		values ($1, $2, $3, '', '', '', '[]', $4, $5, $6, $7)
		on conflict (id) do update set status = excluded.status, tracking_number = excluded.tracking_number, reason = excluded.reason
		where orders.status = 'placed' returning status`,
		e.id, e.channel, e.status, e.total, e.trackingNumber, e.reason, now).Scan(&stands)
	if errors.Is(err, sql.ErrNoRows) {
		err = store.Tx(ctx).QueryRowContext(ctx, `select status from orders where id = $1`, e.id).Scan(&stands)
	} else {
		ended = err == nil
	}
	if err != nil {
		return false, err
	}
	return ended, history.Note(ctx, e.id, heard, string(stands))
}
