package notifications

import (
	"context"
	"fmt"

	"github.com/troupedev/troupe/events/coupons"
	"github.com/troupedev/troupe/events/users"
	"github.com/troupedev/troupe/platform/choreo"
	"github.com/troupedev/troupe/services/internal/account"
)

// registered welcomes a user, who may be gone by now: the mail may have been
// waiting for its server.
func (s *service) registered(ctx context.Context, u users.UserRegistered) (choreo.Events, error) {
	contact, err := contactOf(ctx, u.UserID)
	if err != nil || contact.Gone {
		return nil, err
	}
	return s.send(ctx, Mail{
		Kind: "welcome", Reference: u.UserID, To: contact.Email, Subject: "Welcome",
		Text: fmt.Sprintf("Dear %s,\n\nyou are registered with this address. It is good to have you here.\n", contact.Name),
	})
}

// granted asks who is to have a welcome coupon. A big order's customer need not be a user.
func (s *service) granted(ctx context.Context, c coupons.CouponGranted) (choreo.Events, error) {
	name, email, thanks := c.Customer, c.Email, "your order"
	if c.Reason == coupons.Welcome {
		contact, err := contactOf(ctx, c.Reference)
		if err != nil || contact.Gone {
			return nil, err
		}
		name, email, thanks = contact.Name, contact.Email, "registering"
	}
	return s.send(ctx, Mail{
		Kind: "coupon", Reference: c.Reference, To: email, Subject: "A coupon for you",
		Text: fmt.Sprintf("Dear %s,\n\nthank you for %s. This coupon takes %s off your next order: %s\n", name, thanks, money(c.Amount), c.Code),
	})
}

func (s *service) deleted(ctx context.Context, u users.UserDeleted) (choreo.Events, error) {
	return s.send(ctx, Mail{
		Kind: "goodbye", Reference: u.UserID, To: u.Email, Subject: "Goodbye",
		Text: fmt.Sprintf("Dear %s,\n\nyou are no longer registered with us, and your coupons are void. Goodbye.\n", u.Name),
	})
}

func (s *service) accountClosed(ctx context.Context, a users.AccountClosed) (choreo.Events, error) {
	return s.send(ctx, Mail{
		Kind: "accountClosed", Reference: a.UserID, To: a.Email, Forget: true, Subject: "Your account is closed",
		Text: fmt.Sprintf("Dear %s,\n\nall that we knew of you is erased. You will hear from us of what you have ordered before, if that is still on its way, and of nothing else.\n", a.Name),
	})
}

// contactOf asks users how the user can be reached now.
func contactOf(ctx context.Context, user string) (users.ContactFound, error) {
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	return choreo.Ask(ctx, users.ContactRequested{UserID: user})
}

// erase forgets what was sent to the user.
func erase(ctx context.Context, a users.AccountClosureRequested) (records int64, err error) {
	return account.Forget(ctx, a.Email, `update mails set person = '' where person = $1`)
}
