// Package payments charges for what was ordered, and refunds it.
package payments

import (
	"context"
	"errors"
	"time"

	"github.com/troupedev/troupe/events/inventory"
	"github.com/troupedev/troupe/events/orders"
	"github.com/troupedev/troupe/events/payments"
	"github.com/troupedev/troupe/platform/choreo"
	"github.com/troupedev/troupe/platform/event"
)

// Cards is a provider that charges cards. Both methods are given the id of the
// event that asks for it, so that asking again has no second effect.
type Cards interface {
	// Charge returns the provider's number of the charge, or an error that
	// wraps [ErrDeclined] where no further try will help.
	Charge(ctx context.Context, id, card string, cents int64) (authorization string, err error)
	Refund(ctx context.Context, id, authorization string, cents int64) error
}

// ErrDeclined is wrapped by the error of a charge that the card's bank refused.
var ErrDeclined = errors.New("card declined")

type service struct{ cards Cards }

// Service declares the payments service over a provider.
func Service(cards Cards) choreo.Service {
	s := &service{cards}
	outcome := choreo.Emits(payments.PaymentProcessed{}, payments.PaymentFailed{})
	tries := choreo.Retries(choreo.Retry{Attempts: 6, First: 200 * time.Millisecond, Max: 5 * time.Second})
	timeout := choreo.Timeout(5 * time.Second)
	return choreo.Service{
		Name: "payments", Doc: "Charges cards and refunds them.",
		Reactions: []choreo.Reaction{
			choreo.On(s.chargeOrder, outcome, timeout, tries),
			choreo.On(s.chargeChecked, outcome, timeout, tries),
			choreo.On(s.refundShort,
				choreo.Where("channel", choreo.Is(inventory.Storefront)), // wholesale is charged only once stock is held
				choreo.Emits(payments.PaymentRefunded{}), timeout, tries),
		},
	}
}

func (s *service) chargeOrder(ctx context.Context, o orders.OrderPlaced) (choreo.Events, error) {
	return s.charge(ctx, o.Card, payments.PaymentProcessed{
		Reference: o.OrderID, Purpose: payments.Storefront, Customer: o.Customer, Email: o.Email, Amount: o.Total, Items: itemsOf(o.Items),
	})
}

func (s *service) chargeChecked(ctx context.Context, i inventory.InventoryChecked) (choreo.Events, error) {
	return s.charge(ctx, i.Card, payments.PaymentProcessed{
		Reference: i.OrderID, Purpose: payments.Wholesale, Customer: i.Customer, Email: i.Email, Amount: i.Total, Items: itemsOf(i.Items),
	})
}

// charge emits p once the card is charged, or that the card was declined.
func (s *service) charge(ctx context.Context, card string, p payments.PaymentProcessed) (choreo.Events, error) {
	authorization, err := s.cards.Charge(ctx, event.From(ctx).ID, card, p.Amount)
	if errors.Is(err, ErrDeclined) {
		return choreo.Emit(payments.PaymentFailed{
			Reference: p.Reference, Purpose: p.Purpose, Customer: p.Customer, Email: p.Email,
			Amount: p.Amount, Reason: ErrDeclined.Error(), Items: p.Items,
		}), nil
	}
	if err != nil {
		return nil, err // tried again; only this order waits
	}
	p.Authorization = authorization
	return choreo.Emit(p), nil
}

func (s *service) refundShort(ctx context.Context, i inventory.InventoryShort) (choreo.Events, error) {
	if i.Authorization == nil {
		return nil, choreo.Permanent(errors.New("nothing was charged for this order, so nothing can be refunded"))
	}
	if err := s.cards.Refund(ctx, event.From(ctx).ID, *i.Authorization, i.Total); err != nil {
		return nil, err
	}
	return choreo.Emit(payments.PaymentRefunded{
		Reference: i.OrderID, Purpose: payments.Storefront, Customer: i.Customer, Email: i.Email,
		Amount: i.Total, Reason: "out of stock: " + i.SKU,
	}), nil
}

// itemsOf takes over another domain's items, which are of the same shape.
func itemsOf[I orders.Item | inventory.Item](theirs []I) []payments.Item {
	var out []payments.Item
	for _, i := range theirs {
		out = append(out, payments.Item(i))
	}
	return out
}
