package history_test

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"testing/fstest"
	"time"

	"github.com/troupedev/troupe/events/bookings"
	"github.com/troupedev/troupe/platform/choreo"
	"github.com/troupedev/troupe/platform/event"
	"github.com/troupedev/troupe/platform/store"
	"github.com/troupedev/troupe/platform/store/storetest"
	"github.com/troupedev/troupe/platform/testmain"
	"github.com/troupedev/troupe/services/internal/history"
)

func TestMain(m *testing.M) { testmain.Run(m) }

// things is a service whose things have a history.
var things = store.Tables(fstest.MapFS{"00001_things.sql": {Data: []byte(`-- +goose Up
create table things (id text primary key, heard integer not null);
create table history (subject text not null, step integer not null, event text not null, event_id text not null,
	at bigint not null, status text not null, primary key (subject, step));
`)}})

// TestStepsAreInTheOrderInWhichTheyWereHeard lets many events of one thing be
// heard at once, by clocks that differ: what was noted last is the thing's last step.
func TestStepsAreInTheOrderInWhichTheyWereHeard(t *testing.T) {
	const events = 40
	storetest.Each(t, func(t *testing.T, url string) {
		db := storetest.Open(t, url, "things", things, nil)
		var all sync.WaitGroup
		for n := range events {
			all.Go(func() {
				meta := event.Meta{ID: fmt.Sprint("e-", n), Time: time.UnixMilli(int64(1000 - n))}
				storetest.React(t, db, "r", meta, func(ctx context.Context) (choreo.Events, error) {
					var heard int
					err := store.Tx(ctx).QueryRowContext(ctx, `
						insert into things (id, heard) values ('t-1', 1)
						on conflict (id) do update set heard = things.heard + 1 returning heard`).Scan(&heard)
					if err != nil {
						return nil, err
					}
					return nil, history.Note(ctx, "t-1", bookings.BookingExpired{}, fmt.Sprint(heard))
				})
			})
		}
		all.Wait()
		err := db.Read(t.Context(), func(ctx context.Context) error {
			steps, err := history.Of(ctx, "t-1")
			for i, step := range steps {
				if step.Status != fmt.Sprint(i+1) || step.Event != "BookingExpired" {
					t.Errorf("step %d is %+v", i+1, step)
				}
			}
			if len(steps) != events {
				t.Errorf("there are %d steps, want %d", len(steps), events)
			}
			return err
		})
		if err != nil {
			t.Error(err)
		}
	})
}
