// Package history keeps what happened to an order or booking, step by step: which
// event, and how it stood after it. A service that uses it has a table
//
//	create table history (
//	    subject  text not null,    -- the order or booking
//	    step     integer not null, -- from 1
//	    event    text not null,
//	    event_id text not null,
//	    at       bigint not null,  -- unix milliseconds
//	    status   text not null,    -- of the subject, after it
//	    primary key (subject, step)
//	);
package history

import (
	"context"
	"database/sql"
	"time"

	"github.com/troupedev/troupe/platform/event"
	"github.com/troupedev/troupe/platform/store"
)

// Happened is one step.
type Happened struct {
	Event   string    `json:"event" example:"PaymentFailed"`
	EventID string    `json:"eventId"`
	At      time.Time `json:"at"`
	Status  string    `json:"status" doc:"how it stood then"`
}

// Note adds the event or request in hand as e, after which the subject stands as
// status says. The transaction must have the subject's row locked.
func Note(ctx context.Context, subject string, e event.Event, status string) error {
	in := event.From(ctx)
	_, err := store.Exec(ctx, `
		insert into history (subject, step, event, event_id, at, status)
		values ($1, (select coalesce(max(step), 0) + 1 from history where subject = $1), $2, $3, $4, $5)`,
		subject, e.EventType().Name, in.ID, in.Time.UnixMilli(), status)
	return err
}

// Of returns what happened to a subject, in the order in which it was heard.
func Of(ctx context.Context, subject string) ([]Happened, error) {
	return store.Collect(ctx, func(row *sql.Rows) (h Happened, err error) {
		var at int64
		err = row.Scan(&h.Event, &h.EventID, &at, &h.Status)
		h.At = time.UnixMilli(at).UTC()
		return h, err
	}, `select event, event_id, at, status from history where subject = $1 order by step`, subject)
}
