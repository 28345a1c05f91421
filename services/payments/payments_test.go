package payments_test

import (
	"maps"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/troupedev/troupe/events/bookings"
	"github.com/troupedev/troupe/events/inventory"
	"github.com/troupedev/troupe/events/orders"
	"github.com/troupedev/troupe/events/payments"
	"github.com/troupedev/troupe/events/seats"
	"github.com/troupedev/troupe/events/users"
	"github.com/troupedev/troupe/platform/choreotest"
	"github.com/troupedev/troupe/platform/event"
	service "github.com/troupedev/troupe/services/payments"
)

var (
	ordered = []orders.Item{{SKU: "mug", Quantity: 2, Price: 1250}}
	held    = []inventory.Item{{SKU: "mug", Quantity: 2, Price: 1250}}
	paidFor = []payments.Item{{SKU: "mug", Quantity: 2, Price: 1250}}
)

const good = "4242424242424242"

func placed(card string) orders.OrderPlaced {
	return orders.OrderPlaced{OrderID: "o-1", Customer: "Ada", Email: "ada@example.com", Card: card, Items: ordered, Total: 2500}
}

func short(authorization string) inventory.InventoryShort {
	return inventory.InventoryShort{
		OrderID: "o-1", Channel: inventory.Storefront, Customer: "Ada", Email: "ada@example.com", Total: 2500,
		SKU: "unicorn", Authorization: &authorization,
	}
}

func booked(card string) bookings.BookingCreated {
	return bookings.BookingCreated{
		BookingID: "b-1", Flight: "TR100", Passenger: "Ada", Email: "ada@example.com", Card: card, Price: 19900,
		SeatPreference: bookings.Window, CreatedAt: time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC),
	}
}

var (
	full    = seats.SeatUnavailable{BookingID: "b-1", Flight: "TR100", Passenger: "Ada", Email: "ada@example.com"}
	expired = bookings.BookingCancelled{
		BookingID: "b-1", Flight: "TR100", Passenger: "Ada", Email: "ada@example.com", Cause: bookings.Expired, Reason: "not finished in time",
	}
)

func refundedFor(reason string) payments.PaymentRefunded {
	return payments.PaymentRefunded{
		Reference: "b-1", Purpose: payments.Flight, Customer: "Ada", Email: "ada@example.com", Amount: 19900, Reason: reason,
	}
}

// play plays script with a provider that keeps books.
func play(t *testing.T, script func(*choreotest.Stage, *cards)) {
	t.Helper()
	c := &cards{}
	choreotest.Play(t, func(s *choreotest.Stage) {
		c.reset()
		script(s, c)
	}, service.Service(c))
}

// stands demands how the payment for a reference stands, and returns it.
func stands(t *testing.T, s *choreotest.Stage, reference string, want service.Status) service.Payment {
	t.Helper()
	p := choreotest.Get[service.Payment](s, "/payments/"+reference)
	if p.Status != want {
		t.Errorf("it is %+v, want it %s", p, want)
	}
	return p
}

func TestACardIsChargedOnce(t *testing.T) {
	play(t, func(s *choreotest.Stage, c *cards) {
		s.Send(placed(good))
		paid := choreotest.All[payments.PaymentProcessed](s)
		if len(paid) != 1 || paid[0].Authorization == "" {
			t.Fatalf("got %+v, want one payment with an authorization", paid)
		}
		s.Emitted(payments.PaymentProcessed{
			Reference: "o-1", Purpose: payments.Storefront, Customer: "Ada", Email: "ada@example.com",
			Amount: 2500, Authorization: paid[0].Authorization, Items: paidFor,
		})
		s.Send(placed(good)) // another event of the same order
		s.NothingElse()
		c.took(t, 2500, 0)
		p := stands(t, s, "o-1", "charged")
		if p.Amount != 2500 || p.Purpose != payments.Storefront || p.Authorization != paid[0].Authorization || p.ChargedAt == nil || p.RefundedAt != nil {
			t.Errorf("the payment is %+v", p)
		}
	})
}

func TestADeclinedCardFailsThePayment(t *testing.T) {
	play(t, func(s *choreotest.Stage, c *cards) {
		s.Send(placed(service.CardDeclined))
		s.Emitted(payments.PaymentFailed{
			Reference: "o-1", Purpose: payments.Storefront, Customer: "Ada", Email: "ada@example.com",
			Amount: 2500, Reason: "card declined", Items: paidFor,
		})
		s.Send(placed(good)) // it was declined: the order is cancelled
		s.NothingElse()
		c.took(t, 0, 0)
		if p := stands(t, s, "o-1", "declined"); p.ChargedAt != nil {
			t.Errorf("the payment is %+v", p)
		}
	})
}

func TestAProviderThatFailsTwiceIsTriedAgain(t *testing.T) {
	play(t, func(s *choreotest.Stage, c *cards) {
		s.Send(placed(service.CardFailsTwice))
		if paid := choreotest.All[payments.PaymentProcessed](s); len(paid) != 1 {
			t.Errorf("got %+v, want one payment", paid)
		}
		c.took(t, 2500, 0)
	})
}

func TestAProviderThatAlwaysFailsEndsInADeadLetter(t *testing.T) {
	play(t, func(s *choreotest.Stage, c *cards) {
		s.Send(placed(service.CardAlwaysFails))
		s.Dead("payments", "card provider is unavailable")
		s.NothingElse()
		c.took(t, 0, 0)
		if status, answer := s.Request("GET", "/payments/o-1", ""); status != 404 || !strings.Contains(answer, "o-1") {
			t.Errorf("got %d %s", status, answer)
		}
	})
}

func TestWholesaleIsChargedOnceStockIsHeld(t *testing.T) {
	play(t, func(s *choreotest.Stage, c *cards) {
		s.Send(inventory.InventoryChecked{
			OrderID: "o-1", Channel: inventory.Wholesale, Customer: "Ada", Email: "ada@example.com",
			Card: good, Total: 2500, Items: held,
		})
		paid := choreotest.All[payments.PaymentProcessed](s)
		if len(paid) != 1 || paid[0].Purpose != payments.Wholesale || len(paid[0].Items) != 1 || paid[0].Items[0] != paidFor[0] {
			t.Errorf("got %+v, want one wholesale payment for its items", paid)
		}
		c.took(t, 2500, 0)
	})
}

func TestShortStockIsRefundedOnceAndInTheStorefrontOnly(t *testing.T) {
	play(t, func(s *choreotest.Stage, c *cards) {
		s.Send(placed(good))
		s.Emitted(choreotest.All[payments.PaymentProcessed](s)[0])
		wholesale := short("auth-1")
		wholesale.Channel, wholesale.Authorization = inventory.Wholesale, nil
		s.Send(wholesale)
		s.NothingElse()
		s.Send(short("auth-1"))
		s.Emitted(payments.PaymentRefunded{
			Reference: "o-1", Purpose: payments.Storefront, Customer: "Ada", Email: "ada@example.com",
			Amount: 2500, Reason: "out of stock: unicorn",
		})
		s.Send(short("auth-1"), placed(good))
		s.NothingElse()
		c.took(t, 2500, 2500)
		if p := stands(t, s, "o-1", "refunded"); p.RefundedAt == nil {
			t.Errorf("the payment is %+v", p)
		}
	})
}

func TestARefundOfNothingIsADeadLetter(t *testing.T) {
	play(t, func(s *choreotest.Stage, c *cards) {
		s.Send(short("auth-1"))
		s.Dead("payments", "nothing was charged for o-1")
		s.Send(full)
		s.Dead("payments", "nothing was charged for b-1")
		s.NothingElse()
		c.took(t, 0, 0)
	})
}

func TestABookingIsCharged(t *testing.T) {
	play(t, func(s *choreotest.Stage, c *cards) {
		s.Send(booked(good))
		paid := choreotest.All[payments.PaymentConfirmed](s)
		if len(paid) != 1 || paid[0].Authorization == "" {
			t.Fatalf("got %+v", paid)
		}
		s.Emitted(payments.PaymentConfirmed{
			Reference: "b-1", Purpose: payments.Flight, Customer: "Ada", Email: "ada@example.com", Amount: 19900,
			Authorization: paid[0].Authorization, Flight: "TR100", SeatPreference: payments.Window,
		})
		s.NothingElse()
		c.took(t, 19900, 0)
	})
}

func TestABookingWithADeclinedCardFails(t *testing.T) {
	play(t, func(s *choreotest.Stage, c *cards) {
		s.Send(booked(service.CardDeclined))
		s.Emitted(payments.PaymentFailed{
			Reference: "b-1", Purpose: payments.Flight, Customer: "Ada", Email: "ada@example.com", Amount: 19900, Reason: "card declined",
		})
		s.Send(expired)
		s.NothingElse()
		c.took(t, 0, 0)
	})
}

func TestWhatEndsABookingIsRefundedOnce(t *testing.T) {
	cases := map[string]struct {
		ends   []event.Event
		reason string // of the refund; empty: none
	}{
		"no seat":               {[]event.Event{full, full}, "no seat left on TR100"},
		"expired":               {[]event.Event{expired, expired}, "not finished in time"},
		"no seat, then expired": {[]event.Event{full, expired}, "no seat left on TR100"},
		"expired, then no seat": {[]event.Event{expired, full}, "not finished in time"},
		"cancelled by no seat":  {[]event.Event{full, cancelledBy(bookings.NoSeat)}, "no seat left on TR100"},
		"cancelled otherwise":   {[]event.Event{cancelledBy(bookings.PaymentFailed)}, ""},
	}
	play(t, func(s *choreotest.Stage, books *cards) {
		charged, refunded := int64(0), int64(0)
		for _, id := range slices.Sorted(maps.Keys(cases)) {
			c := cases[id]
			s.Send(of(id, booked(good)))
			all := choreotest.All[payments.PaymentConfirmed](s)
			s.Emitted(all[len(all)-1])
			charged += 19900
			for _, e := range c.ends {
				s.Send(of(id, e))
			}
			want := service.Status("charged")
			if c.reason != "" {
				back := refundedFor(c.reason)
				back.Reference = id
				s.Emitted(back)
				refunded += 19900
				want = "refunded"
			}
			s.NothingElse()
			stands(t, s, url.PathEscape(id), want)
		}
		books.took(t, charged, refunded)
	})
}

// of is e, of another booking.
func of(booking string, e event.Event) event.Event {
	switch e := e.(type) {
	case bookings.BookingCreated:
		e.BookingID = booking
		return e
	case bookings.BookingCancelled:
		e.BookingID = booking
		return e
	case seats.SeatUnavailable:
		e.BookingID = booking
		return e
	}
	panic("not an event of a booking")
}

func cancelledBy(cause bookings.Cancellation) bookings.BookingCancelled {
	other := expired
	other.Cause = cause
	return other
}

func TestACancellationThatIsHeardFirstPreventsTheCharge(t *testing.T) {
	play(t, func(s *choreotest.Stage, c *cards) {
		s.Send(expired, booked(good), expired)
		s.NothingElse()
		c.took(t, 0, 0)
		stands(t, s, "b-1", "prevented")
	})
}

// TestExpiryOnTheHeelsOfTheCharge has both under way at once, one behind the
// other in their topic, and crashes of every kind in between.
func TestExpiryOnTheHeelsOfTheCharge(t *testing.T) {
	play(t, func(s *choreotest.Stage, c *cards) {
		s.Together(func() {
			s.Send(booked(good))
			s.Send(expired)
		})
		s.Emitted(choreotest.All[payments.PaymentConfirmed](s)[0], refundedFor("not finished in time"))
		s.NothingElse()
		c.took(t, 19900, 19900)
	})
}

// TestTwoWhoAskToChargeForOneReference come from different topics, so in any
// order: one may have the card charged and crash before that is written, and find
// that the other was charged for meanwhile.
func TestTwoWhoAskToChargeForOneReference(t *testing.T) {
	play(t, func(s *choreotest.Stage, c *cards) {
		s.Together(func() {
			s.Send(placed(good))
			s.Send(inventory.InventoryChecked{OrderID: "o-1", Channel: inventory.Wholesale, Card: good, Total: 2500, Items: held})
		})
		if paid := choreotest.All[payments.PaymentProcessed](s); len(paid) != 1 {
			t.Errorf("got %+v, want one payment", paid)
		}
		c.took(t, 2500, 0)
	})
}

func TestNoSeatAndExpiryTogetherAreOneRefund(t *testing.T) {
	play(t, func(s *choreotest.Stage, c *cards) {
		s.Send(booked(good))
		s.Together(func() {
			s.Send(full)
			s.Send(expired)
		})
		if got := choreotest.All[payments.PaymentRefunded](s); len(got) != 1 {
			t.Errorf("got %+v, want one refund", got)
		}
		c.took(t, 19900, 19900)
	})
}

func TestAClosedAccountsPaymentsAreAnonymous(t *testing.T) {
	play(t, func(s *choreotest.Stage, c *cards) {
		bob := booked(good)
		bob.BookingID, bob.Email = "b-2", "bob@example.com"
		s.Send(placed(good), booked(service.CardDeclined), bob)
		s.Send(users.AccountClosureRequested{UserID: "u-1", Name: "Ada", Email: "Ada@example.com"})
		if got := choreotest.All[users.AccountDataErased](s); len(got) != 1 || got[0] != (users.AccountDataErased{UserID: "u-1", Service: "payments", Records: 2}) {
			t.Errorf("got %+v", got)
		}
		if rows := s.Rows("payments", `select reference from payments where payer <> ''`); len(rows) != 1 || rows[0][0] != "b-2" {
			t.Errorf("whose payer is still known: %v", rows)
		}
		s.Send(short("auth-1")) // what is under way goes on
		stands(t, s, "o-1", "refunded")
		late := placed(good)
		late.OrderID = "o-2"
		s.Send(late)
		stands(t, s, "o-2", "charged")
		if rows := s.Rows("payments", `select reference from payments where payer <> ''`); len(rows) != 1 || rows[0][0] != "b-2" {
			t.Errorf("whose payer is known again: %v", rows)
		}
		c.took(t, 2500+19900+2500, 2500)
	})
}
