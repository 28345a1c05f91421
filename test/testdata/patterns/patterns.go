// Package patterns is what the README's "More patterns" shows, as two services
// that can be compiled and played.
package patterns

import (
	"context"
	"database/sql"
	"embed"
	"errors"
	"math"
	"time"

	"github.com/troupedev/troupe/events/bookings"
	"github.com/troupedev/troupe/events/coupons"
	"github.com/troupedev/troupe/events/orders"
	"github.com/troupedev/troupe/events/users"
	"github.com/troupedev/troupe/platform/choreo"
	"github.com/troupedev/troupe/platform/event"
	"github.com/troupedev/troupe/platform/store"
	"github.com/troupedev/troupe/platform/web"
)

//go:embed migrations/*.sql
var migrations embed.FS

// Members knows users, and closes their accounts.
func Members() choreo.Service {
	return choreo.Service{
		Name: "members", Doc: "Knows users.", Store: store.Tables(migrations),
		Routes: []choreo.Route{web.Post("/members", register, choreo.Emits(users.UserRegistered{}))},
		Reactions: []choreo.Reaction{
			choreo.Answer(contact),
			choreo.Gather(closeAccount, choreo.Emits(users.AccountClosed{})),
		},
	}
}

// Concierge does what Members does not.
func Concierge() choreo.Service {
	return choreo.Service{
		Name: "concierge", Doc: "Sees to everything.", Store: store.Tables(migrations),
		Reactions: []choreo.Reaction{
			choreo.On(thank,
				choreo.Where("total", choreo.Between[int64](100_00, math.MaxInt64)),
				choreo.Emits(coupons.CouponGranted{})),
			choreo.OnTopic("orders", note, choreo.Named("note")),
			choreo.On(letExpire, choreo.Emits(bookings.BookingExpired{})),
			choreo.On(greet, choreo.Emits(users.ContactRequested{}, coupons.CouponGranted{})),
			choreo.On(erase, choreo.Emits(users.AccountDataErased{})),
		},
	}
}

func thank(_ context.Context, o orders.OrderFulfilled) (choreo.Events, error) {
	return choreo.Emit(coupons.CouponGranted{
		Code: "THANKS", Customer: o.Customer, Email: o.Email, Amount: 10_00, Reason: coupons.BigOrder, Reference: o.OrderID,
	}), nil
}

func note(ctx context.Context, e event.Event) (choreo.Events, error) {
	_, err := store.Tx(ctx).ExecContext(ctx, `insert into notes (what, about) values ($1, $2)`, e.EventType().Name, e.Key())
	return nil, err
}

func letExpire(_ context.Context, b bookings.BookingCreated) (choreo.Events, error) {
	return choreo.Emit().After(24*time.Hour, bookings.BookingExpired{BookingID: b.BookingID}), nil
}

type member struct {
	Body struct {
		Name  string `json:"name"`
		Email string `json:"email"`
	}
}

func register(ctx context.Context, in *member) (struct{}, choreo.Events, error) {
	u := users.UserRegistered{UserID: event.From(ctx).ID, Name: in.Body.Name, Email: in.Body.Email}
	_, err := store.Tx(ctx).ExecContext(ctx, `insert into members (id, name, email) values ($1, $2, $3)`, u.UserID, u.Name, u.Email)
	return struct{}{}, choreo.Emit(u), err
}

func contact(ctx context.Context, q users.ContactRequested) (users.ContactFound, error) {
	found := users.ContactFound{UserID: q.UserID}
	err := store.Tx(ctx).QueryRowContext(ctx, `select name, email from members where id = $1`, q.UserID).Scan(&found.Name, &found.Email)
	if errors.Is(err, sql.ErrNoRows) {
		found.Gone, err = true, nil
	}
	return found, err
}

func greet(ctx context.Context, u users.UserRegistered) (choreo.Events, error) {
	who, err := choreo.Ask(ctx, users.ContactRequested{UserID: u.UserID})
	if err != nil || who.Gone {
		return nil, err
	}
	return choreo.Emit(coupons.CouponGranted{
		Code: "HELLO", Customer: who.Name, Email: who.Email, Amount: 5_00, Reason: coupons.Welcome, Reference: u.UserID,
	}), nil
}

func erase(ctx context.Context, q users.AccountClosureRequested) (choreo.Events, error) {
	_, err := store.Tx(ctx).ExecContext(ctx, `delete from notes where about = $1`, q.UserID)
	return choreo.Emit(users.AccountDataErased{UserID: q.UserID, Service: "concierge"}), err
}

func closeAccount(_ context.Context, q users.AccountClosureRequested, all []users.AccountDataErased) (choreo.Events, error) {
	return choreo.Emit(users.AccountClosed(q)), nil
}
