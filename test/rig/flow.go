package rig

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

// Kind is a kind of order, and what must become of it.
type Kind struct {
	Name  string
	Order Order
	// Tree is every event of the flow but the first, each as "child < parent".
	Tree []string
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

// Ending kinds are those of [Kinds] whose flows end, in a fulfilled or a
// cancelled order.
func Ending() []Kind {
	return slices.DeleteFunc(Kinds(), func(k Kind) bool { return k.Dead != "" })
}

// Check compares the events of a flow with what its kind demands. The error
// says what is missing and what is too much.
func (k *Kind) Check(flow []*Event) error {
	if len(flow) == 0 {
		return errors.New("no event of it has been seen")
	}
	byID := make(map[string]*Event, len(flow))
	for _, e := range flow {
		byID[e.ID()] = e
	}
	missing := slices.Clone(k.Tree)
	var surplus []string
	for _, e := range flow {
		if e.ID() == e.Flow() {
			continue // the first
		}
		edge := e.Type + " < ?"
		if cause := byID[e.Cause()]; cause != nil {
			edge = e.Type + " < " + cause.Type
		}
		if i := slices.Index(missing, edge); i >= 0 {
			missing = slices.Delete(missing, i, i+1)
		} else {
			surplus = append(surplus, edge)
		}
	}
	if len(missing)+len(surplus) > 0 {
		return fmt.Errorf("missing: [%s]; too much: [%s]", strings.Join(missing, ", "), strings.Join(surplus, ", "))
	}
	return nil
}

// tells are the events that a customer is told of, and by what subject line.
var tells = map[string]string{
	"inventory.InventoryReserved": "Your order is confirmed",
	"shipping.ShippingArranged":   "Your order is on its way",
	"orders.OrderCancelled":       "Your order is cancelled",
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
			return fmt.Errorf("no mail about %s %s of order %s", e.Type, e.ID(), e.Key)
		case once && len(got) > 1:
			return fmt.Errorf("%d mails about %s %s of order %s", len(got), e.Type, e.ID(), e.Key)
		}
		if m := got[0]; m.Subject != subject || m.To != e.Fields["email"] || !strings.Contains(m.Text, string(e.Key)) {
			return fmt.Errorf("mail about %s of order %s: got %+v", e.Type, e.Key, m)
		}
	}
	return nil
}

// ByCause sorts mails by the event that each was sent for.
func ByCause(mails []Mail) map[string][]Mail {
	out := make(map[string][]Mail, len(mails))
	for _, m := range mails {
		out[m.Cause] = append(out[m.Cause], m)
	}
	return out
}
