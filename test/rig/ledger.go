package rig

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Ledger counts from the outside what came of all flows: what the topics say,
// each event once, against what services show over HTTP and keep in their
// tables, and against the mails that arrived. It knows no kinds of flows; what
// one effect calls for, another has to answer.
type Ledger struct {
	Log   *Log
	Mails func(context.Context) ([]Mail, error)
	APIs  map[string]string // host:port by service
	SQL   SQL
}

// mailsAtOnce is how many mails the notifications service has between the mail
// server's word and its commit, at most: all of them come again when it is killed.
const mailsAtOnce = 4

// Balance demands that every flow has ended, and that no effect is missing or
// there twice. The error says what is. kills is how often a process of the
// notifications service was killed: each bounds how many mails may have come twice.
//
// It is about flows that end by themselves: with dead letters nothing balances.
func (l *Ledger) Balance(ctx context.Context, kills int) error {
	if err := l.Log.Err(); err != nil {
		return fmt.Errorf("reading the topics: %w", err)
	}
	if dead := l.Log.DeadLetters(); len(dead) > 0 {
		return fmt.Errorf("%d dead letters, the first %s: %s", len(dead), &dead[0], dead[0].Headers["troupe_dlq_error"])
	}
	b := newBook(l.Log.Events())
	if err := b.balance(); err != nil {
		return err
	}
	mails, err := l.Mails(ctx)
	if err != nil {
		return err
	}
	if err := b.checkMails(mails, kills); err != nil {
		return err
	}
	if err := l.outboxes(ctx); err != nil {
		return err
	}
	return l.shown(ctx, b)
}

// stored are the services that have tables.
var stored = []string{"bookings", "coupons", "inventory", "notifications", "orders", "payments", "seats", "tickets", "users"}

// outboxes demands that nothing waits to be published but what is due later.
func (l *Ledger) outboxes(ctx context.Context) error {
	query := fmt.Sprintf(`SELECT (SELECT count(*) FROM troupe_outbox), (SELECT count(*) FROM troupe_refused), (SELECT count(*) FROM troupe_later WHERE due <= %d)`,
		time.Now().UnixMilli())
	for _, service := range stored {
		rows, err := l.SQL(ctx, service, query)
		if err != nil {
			return err
		}
		if len(rows) != 1 || !slices.Equal(rows[0], []string{"0", "0", "0"}) {
			return fmt.Errorf("%s: rows in its outbox, refused and overdue are %v", service, rows)
		}
	}
	return nil
}

// book is all events by type and key.
type book struct {
	events map[string]map[string][]*Event
	gone   map[string]bool // addresses of users who were deleted or closed their accounts, in lower case
	byID   map[string]*Event
}

func newBook(events []*Event) *book {
	b := &book{events: map[string]map[string][]*Event{}, gone: map[string]bool{}, byID: map[string]*Event{}}
	for _, e := range events {
		of := b.events[e.Type]
		if of == nil {
			of = map[string][]*Event{}
			b.events[e.Type] = of
		}
		of[string(e.Key)] = append(of[string(e.Key)], e)
		b.byID[e.ID()] = e
		if e.Type == "users.UserDeleted" || e.Type == "users.AccountClosureRequested" {
			b.gone[address(e)] = true
		}
	}
	return b
}

func address(e *Event) string {
	email, _ := e.Fields["email"].(string)
	return strings.ToLower(email)
}

// count is how many events of a type there are with a key.
func (b *book) count(typ, key string) int { return len(b.events[typ][key]) }

func (b *book) balance() error {
	for _, check := range []func() error{b.orders, b.bookings, b.coupons, b.accounts} {
		if err := check(); err != nil {
			return err
		}
	}
	return nil
}

// is demands that a count is what it should be.
func is(what, key string, got, want int) error {
	if got == want {
		return nil
	}
	return fmt.Errorf("%s of %s: %d, want %d", what, key, got, want)
}

func (b *book) orders() error {
	for _, root := range []string{"orders.OrderPlaced", "orders.OrderCreated"} {
		for key := range b.events[root] {
			n := func(typ string) int { return b.count(typ, key) }
			fulfilled, charged, refunded := n("orders.OrderFulfilled"), n("payments.PaymentProcessed"), n("payments.PaymentRefunded")
			held := n("inventory.InventoryReserved") + n("inventory.InventoryChecked") - n("inventory.InventoryReleased")
			err := errors.Join(
				is("ends", key, fulfilled+n("orders.OrderCancelled"), 1),
				is("answers to the charge, or shortages before it", key,
					charged+n("payments.PaymentFailed")+n("inventory.InventoryShort"), 1+refunded), // a shortage is the refund's cause
				is("charges that were kept", key, charged-refunded, fulfilled),
				is("stock held", key, held, fulfilled),
				is("parcels", key, n("shipping.ShippingArranged"), fulfilled),
				is("orders", key, n(root), 1),
			)
			if err != nil {
				return err
			}
		}
	}
	return nil
}

func (b *book) bookings() error {
	seats := map[string]string{} // bookings by flight and seat
	for key := range b.events["bookings.BookingCreated"] {
		n := func(typ string) int { return b.count(typ, key) }
		completed, charged := n("bookings.BookingCompleted"), n("payments.PaymentConfirmed")
		err := errors.Join(
			is("ends", key, completed+n("bookings.BookingCancelled"), 1),
			is("charges beyond the first", key, max(charged, 1), 1),
			is("charges that were kept", key, charged-n("payments.PaymentRefunded"), completed),
			is("seats that were kept", key, n("seats.SeatAssigned")-n("seats.SeatReleased"), completed),
			is("tickets that were kept", key, n("tickets.TicketIssued")-n("tickets.TicketVoided"), completed),
		)
		if err != nil {
			return err
		}
		for _, e := range b.events["bookings.BookingCompleted"][key] {
			seat := fmt.Sprint(e.Fields["flight"], " ", e.Fields["seat"])
			if other := seats[seat]; other != "" {
				return fmt.Errorf("seat %s is held by bookings %s and %s", seat, other, key)
			}
			seats[seat] = key
		}
	}
	return nil
}

const bigOrder = 100_00 // from here on an order is rewarded, in cents

func (b *book) coupons() error {
	granted := map[string]int{} // by reference
	for _, coupons := range b.events["coupons.CouponGranted"] {
		for _, e := range coupons {
			reference, _ := e.Fields["reference"].(string)
			granted[reference]++
		}
	}
	total := 0
	for user := range b.events["users.UserRegistered"] {
		if err := is("coupons", "user "+user, granted[user], 1); err != nil {
			return err
		}
		total++
	}
	for order, events := range b.events["orders.OrderFulfilled"] {
		want := 0
		if cents, _ := events[0].Fields["total"].(int64); cents >= bigOrder {
			want = 1
		}
		if b.gone[address(events[0])] && granted[order] == 0 {
			want = 0 // who is gone is granted nothing more
		}
		if err := is("coupons", "order "+order, granted[order], want); err != nil {
			return err
		}
		total += want
	}
	return is("coupons", "all", len(b.events["coupons.CouponGranted"]), total)
}

func (b *book) accounts() error {
	for user := range b.events["users.UserDeleted"] {
		if err := is("erasures of coupons", user, b.count("coupons.CouponsErased", user), 1); err != nil {
			return err
		}
	}
	for user, requests := range b.events["users.AccountClosureRequested"] {
		expected := strings.Split(requests[0].Headers["ce_expects"], ",")
		var answered []string
		for _, e := range b.events["users.AccountDataErased"][user] {
			answered = append(answered, e.Headers["ce_source"][len("/services/"):])
		}
		slices.Sort(expected)
		slices.Sort(answered)
		if !slices.Equal(answered, expected) {
			return fmt.Errorf("the account of %s was erased by %v, want %v", user, answered, expected)
		}
		if err := is("closures", user, b.count("users.AccountClosed", user), 1); err != nil {
			return err
		}
	}
	return nil
}

// mailed are the events that somebody is told of by mail.
var mailed = []string{
	"inventory.InventoryReserved", "shipping.ShippingArranged", "orders.OrderCancelled",
	"tickets.TicketIssued", "bookings.BookingCancelled",
	"users.UserRegistered", "users.UserDeleted", "users.AccountClosed", "coupons.CouponGranted",
}

// mayBeSilent reports whether nobody need be told of e: who is gone is not, and
// a booking may have been made anonymous before it was cancelled.
func (b *book) mayBeSilent(e *Event) bool {
	switch e.Type {
	case "users.UserRegistered", "coupons.CouponGranted":
		return b.gone[address(e)]
	}
	return address(e) == ""
}

// checkMails demands one mail, and one NotificationSent, for each event that
// calls for it, and no other; but for what kills may have repeated.
func (b *book) checkMails(mails []Mail, kills int) error {
	sent := map[string]int{} // NotificationSent by cause
	for _, events := range b.events["notifications.NotificationSent"] {
		for _, e := range events {
			sent[e.Cause()]++
		}
	}
	arrived := ByCause(mails)
	for _, typ := range mailed {
		for _, events := range b.events[typ] {
			for _, e := range events {
				if len(arrived[e.ID()]) == 0 && sent[e.ID()] == 0 && b.mayBeSilent(e) {
					continue
				}
				if len(arrived[e.ID()]) == 0 || sent[e.ID()] != 1 {
					return fmt.Errorf("%s %s of %s: %d mails and %d NotificationSent", e.Type, e.ID(), e.Key, len(arrived[e.ID()]), sent[e.ID()])
				}
				if m := arrived[e.ID()][0]; address(e) != strings.ToLower(m.To) {
					return fmt.Errorf("%s %s of %s: the mail went to %s", e.Type, e.ID(), e.Key, m.To)
				}
			}
		}
	}
	for id := range arrived {
		if e := b.byID[id]; e == nil || !slices.Contains(mailed, e.Type) {
			return fmt.Errorf("a mail %q to %s is about no event that calls for one", arrived[id][0].Subject, arrived[id][0].To)
		}
	}
	if twice := len(mails) - len(arrived); twice > kills*mailsAtOnce {
		return errors.New(strconv.Itoa(twice) + " mails came again after " + strconv.Itoa(kills) + " kills of the notifications service")
	}
	return nil
}
