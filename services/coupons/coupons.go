// Package coupons grants coupons: one to who registers, one for a big order.
// Nobody asks it to; it hears what users and orders have to say.
//
// address.go is about people who are gone, and what is heard of them too late.
package coupons

import (
	"context"
	"crypto/sha256"
	"embed"
	"encoding/base32"
	"math"

	"github.com/troupedev/troupe/events/coupons"
	"github.com/troupedev/troupe/events/orders"
	"github.com/troupedev/troupe/events/users"
	"github.com/troupedev/troupe/platform/choreo"
	"github.com/troupedev/troupe/platform/event"
	"github.com/troupedev/troupe/platform/store"
	"github.com/troupedev/troupe/services/internal/account"
)

// What coupons are worth, in cents.
const (
	welcomeAmount = 5_00
	bigOrderFrom  = 100_00
	bigOrderShare = 10 // the order's total over this
)

const name = "coupons"

//go:embed migrations/*.sql
var migrations embed.FS

// Service declares the coupons service.
func Service() choreo.Service {
	return choreo.Service{
		Name: name, Doc: "Grants a coupon to who registers, and for orders from 100.00 on.",
		Store: store.Tables(migrations),
		Reactions: []choreo.Reaction{
			choreo.On(welcome, choreo.Emits(coupons.CouponGranted{})),
			choreo.On(reward,
				choreo.Where("total", choreo.Between[int64](bigOrderFrom, math.MaxInt64)),
				choreo.Emits(coupons.CouponGranted{})),
			choreo.On(eraseDeleted, choreo.Emits(coupons.CouponsErased{})),
			account.Erases(name, eraseClosed),
		},
	}
}

func welcome(ctx context.Context, u users.UserRegistered) (choreo.Events, error) {
	a, err := lockAddress(ctx, u.Email)
	if err != nil || !a.register(u.UserID, u.RegisteredAt.UnixMilli()) {
		return nil, err
	}
	if err := a.save(ctx); err != nil {
		return nil, err
	}
	return grant(ctx, a, coupons.CouponGranted{
		Customer: u.Name, Email: u.Email, Amount: welcomeAmount, Reason: coupons.Welcome, Reference: u.UserID,
	})
}

func reward(ctx context.Context, o orders.OrderFulfilled) (choreo.Events, error) {
	a, err := lockAddress(ctx, o.Email)
	if err != nil || a.gone {
		return nil, err
	}
	return grant(ctx, a, coupons.CouponGranted{
		Customer: o.Customer, Email: o.Email, Amount: o.Total / bigOrderShare, Reason: coupons.BigOrder, Reference: o.OrderID,
	})
}

// grant grants a coupon to whom the address belongs, which is locked.
func grant(ctx context.Context, a *address, c coupons.CouponGranted) (choreo.Events, error) {
	heard := event.From(ctx)
	c.Code = code(heard.ID)
	_, err := store.Exec(ctx, `insert into coupons (code, address, amount, reason, reference, granted_at) values ($1, $2, $3, $4, $5, $6)`,
		c.Code, a.key, c.Amount, string(c.Reason), c.Reference, heard.Time.UnixMilli())
	if err != nil {
		return nil, err
	}
	return choreo.Emit(c), nil
}

// code is the code of the coupon that an event leads to, the same whenever it is handled.
func code(id string) string {
	sum := sha256.Sum256([]byte("coupon " + id))
	return base32.StdEncoding.EncodeToString(sum[:10])
}

func eraseDeleted(ctx context.Context, u users.UserDeleted) (choreo.Events, error) {
	count, err := erase(ctx, u.UserID, u.Email)
	if err != nil {
		return nil, err
	}
	return choreo.Emit(coupons.CouponsErased{UserID: u.UserID, Count: int32(count)}), nil
}

func eraseClosed(ctx context.Context, u users.AccountClosureRequested) (records int64, err error) {
	return erase(ctx, u.UserID, u.Email)
}

// erase removes the coupons of a user who is gone, but not those of another
// who has registered with the address since.
func erase(ctx context.Context, user, email string) (count int64, err error) {
	a, err := lockAddress(ctx, email)
	if err != nil {
		return 0, err
	}
	before := int64(math.MaxInt64)
	if !a.leave(user) {
		before = a.since
	}
	if err := a.save(ctx); err != nil {
		return 0, err
	}
	return store.Exec(ctx, `delete from coupons where address = $1 and (reference = $2 or granted_at < $3)`, a.key, user, before)
}
