// Package payments charges for what was ordered or booked, and refunds it.
//
// It charges once and refunds once for each reference, an order's or booking's
// id, whatever comes twice and in whatever order: see ledger.go.
package payments

import (
	"context"
	"embed"
	"errors"
	"time"

	"github.com/troupedev/troupe/events/bookings"
	"github.com/troupedev/troupe/events/inventory"
	"github.com/troupedev/troupe/events/orders"
	"github.com/troupedev/troupe/events/payments"
	"github.com/troupedev/troupe/events/seats"
	"github.com/troupedev/troupe/platform/choreo"
	"github.com/troupedev/troupe/platform/store"
	"github.com/troupedev/troupe/platform/web"
	"github.com/troupedev/troupe/services/internal/account"
)

// Cards is a provider that charges cards. A charge goes by the id of the event
// that asked for it, so that asking again for the same has no second effect.
type Cards interface {
	// Charge returns the provider's number of the charge, or an error that
	// wraps [ErrDeclined] where no further try will help.
	Charge(ctx context.Context, id, card string, cents int64) (authorization string, err error)
	// Refund gives back the charge with the id, once.
	Refund(ctx context.Context, id, authorization string, cents int64) error
	// Void undoes the charge with the id, where there is one, and has it
	// refused where it comes later.
	Void(ctx context.Context, id string) error
}

// ErrDeclined is wrapped by the error of a charge that the card's bank refused.
var ErrDeclined = errors.New("card declined")

const name = "payments"

//go:embed migrations/*.sql
var migrations embed.FS

type service struct{ cards Cards }

// Service declares the payments service over a provider.
func Service(cards Cards) choreo.Service {
	s := &service{cards}
	ordered := choreo.Emits(payments.PaymentProcessed{}, payments.PaymentFailed{})
	booked := choreo.Emits(payments.PaymentConfirmed{}, payments.PaymentFailed{})
	refunded := choreo.Emits(payments.PaymentRefunded{})
	tries := choreo.Retries(choreo.Retry{Attempts: 6, First: 200 * time.Millisecond, Max: 5 * time.Second})
	timeout := choreo.Timeout(5 * time.Second)
	return choreo.Service{
		Name: name, Doc: "Charges cards and refunds them.",
		Store:  store.Tables(migrations),
		Routes: []choreo.Route{web.Get("/payments/{reference}", show)},
		Reactions: []choreo.Reaction{
			choreo.On(s.chargeOrder, ordered, timeout, tries),
			choreo.On(s.chargeChecked, ordered, timeout, tries),
			choreo.On(s.chargeBooking, booked, timeout, tries),
			choreo.On(s.refundShort,
				choreo.Where("channel", choreo.Is(inventory.Storefront)), // wholesale is charged only once stock is held
				refunded, timeout, tries),
			choreo.On(s.refundSeatless, refunded, timeout, tries),
			choreo.On(s.refundExpired, choreo.Where("cause", choreo.Is(bookings.Expired)), refunded, timeout, tries),
			account.Erases(name, erase),
		},
	}
}

func (s *service) chargeOrder(ctx context.Context, o orders.OrderPlaced) (choreo.Events, error) {
	return s.chargeItems(ctx, o.Card, payments.PaymentProcessed{
		Reference: o.OrderID, Purpose: payments.Storefront, Customer: o.Customer, Email: o.Email, Amount: o.Total, Items: itemsOf(o.Items),
	})
}

func (s *service) chargeChecked(ctx context.Context, i inventory.InventoryChecked) (choreo.Events, error) {
	return s.chargeItems(ctx, i.Card, payments.PaymentProcessed{
		Reference: i.OrderID, Purpose: payments.Wholesale, Customer: i.Customer, Email: i.Email, Amount: i.Total, Items: itemsOf(i.Items),
	})
}

// chargeItems emits p once the card is charged, or that the card was declined.
func (s *service) chargeItems(ctx context.Context, card string, p payments.PaymentProcessed) (choreo.Events, error) {
	authorization, stands, err := s.charge(ctx, card, due{p.Reference, p.Purpose, p.Email, p.Amount})
	switch {
	case err != nil:
		return nil, err
	case stands == Charged:
		p.Authorization = authorization
		return choreo.Emit(p), nil
	case stands == Declined:
		return choreo.Emit(payments.PaymentFailed{
			Reference: p.Reference, Purpose: p.Purpose, Customer: p.Customer, Email: p.Email,
			Amount: p.Amount, Reason: ErrDeclined.Error(), Items: p.Items,
		}), nil
	}
	return nil, nil
}

func (s *service) chargeBooking(ctx context.Context, b bookings.BookingCreated) (choreo.Events, error) {
	authorization, stands, err := s.charge(ctx, b.Card, due{b.BookingID, payments.Flight, b.Email, b.Price})
	switch {
	case err != nil:
		return nil, err
	case stands == Charged:
		return choreo.Emit(payments.PaymentConfirmed{
			Reference: b.BookingID, Purpose: payments.Flight, Customer: b.Passenger, Email: b.Email, Amount: b.Price,
			Authorization: authorization, Flight: b.Flight, SeatPreference: payments.SeatPreference(b.SeatPreference),
		}), nil
	case stands == Declined:
		return choreo.Emit(payments.PaymentFailed{
			Reference: b.BookingID, Purpose: payments.Flight, Customer: b.Passenger, Email: b.Email,
			Amount: b.Price, Reason: ErrDeclined.Error(),
		}), nil
	}
	return nil, nil
}

func (s *service) refundShort(ctx context.Context, i inventory.InventoryShort) (choreo.Events, error) {
	return s.refundCharged(ctx, payments.PaymentRefunded{
		Reference: i.OrderID, Customer: i.Customer, Email: i.Email, Reason: "out of stock: " + i.SKU,
	})
}

func (s *service) refundSeatless(ctx context.Context, u seats.SeatUnavailable) (choreo.Events, error) {
	return s.refundCharged(ctx, payments.PaymentRefunded{
		Reference: u.BookingID, Customer: u.Passenger, Email: u.Email, Reason: "no seat left on " + u.Flight,
	})
}

// refundExpired gives back what was charged for a booking that has expired. Its
// charge may still be to come, and is then prevented.
func (s *service) refundExpired(ctx context.Context, b bookings.BookingCancelled) (choreo.Events, error) {
	if err := prevent(ctx, b.BookingID, payments.Flight); err != nil {
		return nil, err
	}
	return s.refundCharged(ctx, payments.PaymentRefunded{
		Reference: b.BookingID, Customer: b.Passenger, Email: b.Email, Reason: b.Reason,
	})
}

// refundCharged emits r, with what was paid for and how much, once that is given back.
func (s *service) refundCharged(ctx context.Context, r payments.PaymentRefunded) (choreo.Events, error) {
	paid, refunded, err := s.refund(ctx, r.Reference)
	if err != nil || !refunded {
		return nil, err
	}
	r.Purpose, r.Amount = paid.purpose, paid.amount
	return choreo.Emit(r), nil
}

// itemsOf takes over another domain's items, which are of the same shape.
func itemsOf[I orders.Item | inventory.Item](theirs []I) []payments.Item {
	var out []payments.Item
	for _, i := range theirs {
		out = append(out, payments.Item(i))
	}
	return out
}
