// Package coupons is the service of the README without its database.
package coupons

import (
	"context"

	"github.com/troupedev/troupe/events/coupons"
	"github.com/troupedev/troupe/events/users"
	"github.com/troupedev/troupe/platform/choreo"
	"github.com/troupedev/troupe/platform/event"
)

// Service declares the coupons service.
func Service() choreo.Service {
	return choreo.Service{
		Name: "coupons", Doc: "Grants a coupon to who registers.",
		Reactions: []choreo.Reaction{choreo.On(welcome, choreo.Emits(coupons.CouponGranted{}))},
	}
}

func welcome(ctx context.Context, u users.UserRegistered) (choreo.Events, error) {
	code := event.DeriveID("coupon", event.From(ctx).ID)
	return choreo.Emit(coupons.CouponGranted{
		Code: code, Customer: u.Name, Email: u.Email, Amount: 5_00, Reason: coupons.Welcome, Reference: u.UserID,
	}), nil
}
