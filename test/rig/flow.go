package rig

import (
	"fmt"
	"slices"
	"strings"
)

// Kind is a kind of order, booking or registration, and what must become of it.
type Kind struct {
	Name string
	// What is sent: one of these, the others are empty.
	Order   Order
	Booking Booking
	User    User
	// Tree is every event of the flow but the first, each as "child < parent".
	Tree []string
	// Expires says that the time of a booking is so short that it may be over
	// at any step: [CheckExpired] says what must become of it.
	Expires bool
	// Dead is "service topic" of the dead letter that the flow stops at, if any.
	Dead string
}

// Kinds are all the ways that an order can go: both flows, with every
// compensation, and what a failing provider does to them.
func Kinds() []Kind {
	good, broken := NewOrder("storefront", CardGood), NewOrder("storefront", CardBroken)
	flaky, declined := NewOrder("storefront", CardFlaky), NewOrder("storefront", CardDeclined)
	trade, tradeBroken := NewOrder("wholesale", CardGood), NewOrder("wholesale", CardBroken)
	sold := []string{
		"payments.PaymentProcessed < orders.OrderPlaced",
		"inventory.InventoryReserved < payments.PaymentProcessed",
		"notifications.NotificationSent < inventory.InventoryReserved",
		"shipping.ShippingArranged < inventory.InventoryReserved",
		"notifications.NotificationSent < shipping.ShippingArranged",
		"orders.OrderFulfilled < shipping.ShippingArranged",
	}
	return []Kind{
		{Name: "storefront", Order: good, Tree: sold},
		{Name: "storefront, provider fails twice", Order: flaky, Tree: sold},
		{Name: "storefront, card declined", Order: declined, Tree: []string{
			"payments.PaymentFailed < orders.OrderPlaced",
			"orders.OrderCancelled < payments.PaymentFailed",
			"notifications.NotificationSent < orders.OrderCancelled",
		}},
		{Name: "storefront, out of stock", Order: good.Short(), Tree: []string{
			"payments.PaymentProcessed < orders.OrderPlaced",
			"inventory.InventoryShort < payments.PaymentProcessed",
			"payments.PaymentRefunded < inventory.InventoryShort",
			"orders.OrderCancelled < payments.PaymentRefunded",
			"notifications.NotificationSent < orders.OrderCancelled",
		}},
		{Name: "storefront, provider always fails", Order: broken, Dead: "payments orders"},
		{Name: "wholesale", Order: trade, Tree: []string{
			"inventory.InventoryChecked < orders.OrderCreated",
			"payments.PaymentProcessed < inventory.InventoryChecked",
			"shipping.ShippingArranged < payments.PaymentProcessed",
			"notifications.NotificationSent < shipping.ShippingArranged",
			"orders.OrderFulfilled < shipping.ShippingArranged",
		}},
		{Name: "wholesale, card declined", Order: NewOrder("wholesale", CardDeclined), Tree: []string{
			"inventory.InventoryChecked < orders.OrderCreated",
			"payments.PaymentFailed < inventory.InventoryChecked",
			"inventory.InventoryReleased < payments.PaymentFailed",
			"orders.OrderCancelled < payments.PaymentFailed",
			"notifications.NotificationSent < orders.OrderCancelled",
		}},
		{Name: "wholesale, out of stock", Order: trade.Short(), Tree: []string{
			"inventory.InventoryShort < orders.OrderCreated",
			"orders.OrderCancelled < inventory.InventoryShort",
			"notifications.NotificationSent < orders.OrderCancelled",
		}},
		{Name: "wholesale, provider always fails", Order: tradeBroken, Dead: "payments inventory", Tree: []string{
			"inventory.InventoryChecked < orders.OrderCreated",
		}},
	}
}

// BigOrder is a kind of order that is worth a coupon.
func BigOrder() Kind {
	k := Kinds()[0]
	k.Name = "storefront, big"
	k.Order.Items = []Item{{SKU: "mug", Quantity: 8}}
	k.Tree = append(slices.Clone(k.Tree), "coupons.CouponGranted < orders.OrderFulfilled", "notifications.NotificationSent < coupons.CouponGranted")
	return k
}

// Everything is every kind of order, booking and registration whose flow ends,
// where bookings have time enough.
func Everything() []Kind {
	return slices.Concat(Ending(), []Kind{BigOrder()}, BookingKinds(), []Kind{Registration()})
}

// Path is where the kind is sent to.
func (k *Kind) Path() string {
	switch {
	case k.Booking.Flight != "":
		return "/bookings"
	case k.User.Email != "":
		return "/users"
	}
	return "/orders"
}

// Body is what is sent.
func (k *Kind) Body() any {
	switch k.Path() {
	case "/bookings":
		return k.Booking
	case "/users":
		return k.User
	}
	return k.Order
}

// For is the kind with another customer's address.
func (k Kind) For(email string) Kind {
	switch k.Path() {
	case "/bookings":
		k.Booking.Email = email
	case "/users":
		k.User.Email = email
	default:
		k.Order.Email = email
	}
	return k
}

// Ending kinds are those of [Kinds] whose flows end, in a fulfilled or a
// cancelled order.
func Ending() []Kind {
	return slices.DeleteFunc(Kinds(), func(k Kind) bool { return k.Dead != "" })
}

// Check compares the events of a flow with what its kind demands. The error
// says what is missing and what is too much.
func (k *Kind) Check(flow []*Event) error {
	if k.Expires {
		return CheckExpired(flow)
	}
	return CheckTree(flow, k.Tree, nil)
}

// tells are the events that a customer is told of, and how the subject begins.
var tells = map[string]string{
	"inventory.InventoryReserved": "Your order is confirmed",
	"shipping.ShippingArranged":   "Your order is on its way",
	"orders.OrderCancelled":       "Your order is cancelled",
	"coupons.CouponGranted":       "A coupon for you",
	"tickets.TicketIssued":        "Your ticket for ",
	"bookings.BookingCancelled":   "Your booking of ",
	"users.UserRegistered":        "Welcome",
	"users.UserDeleted":           "Goodbye",
	"users.AccountClosed":         "Your account is closed",
}

// Told are the events of a flow that its customer is told of.
func Told(flow []*Event) []*Event {
	return slices.DeleteFunc(slices.Clone(flow), func(e *Event) bool { return tells[e.Type] == "" })
}

// CheckMail demands that the customer was told of every event of flow that
// calls for it; and, if once, not more than once. The mails are those of
// [ByCause].
func CheckMail(flow []*Event, mails map[string][]Mail, once bool) error {
	for _, e := range Told(flow) {
		subject := tells[e.Type]
		got := mails[e.ID()]
		switch {
		case len(got) == 0:
			return fmt.Errorf("no mail about %s %s of %s", e.Type, e.ID(), e.Key)
		case once && len(got) > 1:
			return fmt.Errorf("%d mails about %s %s of %s", len(got), e.Type, e.ID(), e.Key)
		}
		if m := got[0]; !strings.HasPrefix(m.Subject, subject) || m.To != e.Fields["email"] || !mentions(m, e) {
			return fmt.Errorf("mail about %s of %s: got %+v", e.Type, e.Key, m)
		}
	}
	return nil
}

// mentions reports whether the mail names what the event is about. Mails to a
// user about the user do not.
func mentions(m Mail, e *Event) bool {
	return strings.HasPrefix(e.Type, "users.") || strings.Contains(m.Text, string(e.Key))
}

// ByCause sorts mails by the event that each was sent for.
func ByCause(mails []Mail) map[string][]Mail {
	out := make(map[string][]Mail, len(mails))
	for _, m := range mails {
		out[m.Cause] = append(out[m.Cause], m)
	}
	return out
}
