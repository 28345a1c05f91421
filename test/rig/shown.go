package rig

import (
	"context"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sync/errgroup"
)

// readers is how many requests a [Ledger] has under way at once.
const readers = 8

// shown compares what services show and keep with what the topics say.
func (l *Ledger) shown(ctx context.Context, b *book) error {
	for _, check := range []func(context.Context, *book) error{l.stock, l.seats, l.coupons, l.flows, l.users} {
		if err := check(ctx, b); err != nil {
			return err
		}
	}
	return nil
}

// inStock is how much there is of each item before the first order.
const inStock = 1_000_000

// stock demands that nothing of it was lost or made up, and that as much is
// reserved as orders took and did not give back.
func (l *Ledger) stock(ctx context.Context, b *book) error {
	reserved := map[string]int{}
	for typ, sign := range map[string]int{"inventory.InventoryReserved": 1, "inventory.InventoryChecked": 1, "inventory.InventoryReleased": -1} {
		for _, events := range b.events[typ] {
			for _, e := range events {
				items, _ := e.Fields["items"].([]any)
				for _, item := range items {
					fields, _ := item.(map[string]any)
					sku, _ := fields["sku"].(string)
					quantity, _ := fields["quantity"].(int)
					reserved[sku] += sign * quantity
				}
			}
		}
	}
	var answer struct {
		Stock []struct {
			SKU                 string
			Available, Reserved int
		}
	}
	if err := Call(ctx, http.MethodGet, "http://"+l.APIs["inventory"]+"/stock", nil, &answer); err != nil {
		return err
	}
	for _, s := range answer.Stock {
		if s.Reserved != reserved[s.SKU] || s.Available+s.Reserved != inStock {
			return fmt.Errorf("stock of %s: %d available and %d reserved; orders hold %d of %d", s.SKU, s.Available, s.Reserved, reserved[s.SKU], inStock)
		}
		delete(reserved, s.SKU)
	}
	for sku, n := range reserved {
		if n != 0 {
			return fmt.Errorf("orders hold %d of %s, which is not shown in stock", n, sku)
		}
	}
	return nil
}

// seats demands that the seats taken are those of completed bookings.
func (l *Ledger) seats(ctx context.Context, b *book) error {
	flights := map[string]map[string]string{}
	for _, events := range b.events["seats.SeatAssigned"] {
		flight, _ := events[0].Fields["flight"].(string)
		flights[flight] = map[string]string{}
	}
	for booking, events := range b.events["bookings.BookingCompleted"] {
		flight, _ := events[0].Fields["flight"].(string)
		seat, _ := events[0].Fields["seat"].(string)
		flights[flight][seat] = booking
	}
	for flight, want := range flights {
		var answer struct{ Taken map[string]string }
		if err := Call(ctx, http.MethodGet, "http://"+l.APIs["seats"]+"/flights/"+flight+"/seats", nil, &answer); err != nil {
			return err
		}
		if !maps.Equal(answer.Taken, want) {
			return fmt.Errorf("flight %s: %d seats are taken, %d bookings are completed: %s", flight, len(answer.Taken), len(want), difference(answer.Taken, want))
		}
	}
	return nil
}

func difference(got, want map[string]string) string {
	var out []string
	for key := range got {
		if got[key] != want[key] {
			out = append(out, fmt.Sprintf("%s is %s, want %q", key, got[key], want[key]))
		}
	}
	for key := range want {
		if got[key] == "" {
			out = append(out, key+" is missing")
		}
	}
	return strings.Join(out[:min(len(out), 5)], "; ")
}

// coupons demands that those kept are those granted, but of who is gone.
func (l *Ledger) coupons(ctx context.Context, b *book) error {
	rows, err := l.SQL(ctx, "coupons", `SELECT code, amount FROM coupons`)
	if err != nil {
		return err
	}
	got, want := map[string]string{}, map[string]string{}
	for _, row := range rows {
		got[row[0]] = row[1]
	}
	for code, events := range b.events["coupons.CouponGranted"] {
		if !b.gone[address(events[0])] {
			amount, _ := events[0].Fields["amount"].(int64)
			want[code] = strconv.FormatInt(amount, 10)
		}
	}
	if !maps.Equal(got, want) {
		return fmt.Errorf("%d coupons are kept, want %d: %s", len(got), len(want), difference(got, want))
	}
	return nil
}

// flows demands of each order and booking that it is shown as it ended, and so
// is its payment.
func (l *Ledger) flows(ctx context.Context, b *book) error {
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(readers)
	check := func(service, path, key, want string) {
		g.Go(func() error { return l.status(ctx, service, path+key, want) })
	}
	for root, ends := range map[string]map[string]string{
		"orders.OrderPlaced":      {"orders.OrderFulfilled": "fulfilled", "orders.OrderCancelled": "cancelled"},
		"orders.OrderCreated":     {"orders.OrderFulfilled": "fulfilled", "orders.OrderCancelled": "cancelled"},
		"bookings.BookingCreated": {"bookings.BookingCompleted": "completed", "bookings.BookingCancelled": "cancelled"},
	} {
		service, _, _ := strings.Cut(root, ".")
		for key := range b.events[root] {
			for end, status := range ends {
				if b.count(end, key) > 0 {
					check(service, "/"+service+"/", key, status)
				}
			}
			check("payments", "/payments/", key, b.payment(key))
		}
	}
	return g.Wait()
}

// payment is how the payment of an order or booking must stand.
func (b *book) payment(key string) string {
	switch {
	case b.count("payments.PaymentRefunded", key) > 0:
		return "refunded"
	case b.count("payments.PaymentProcessed", key)+b.count("payments.PaymentConfirmed", key) > 0:
		return "charged"
	case b.count("payments.PaymentFailed", key) > 0:
		return "declined"
	}
	return "" // prevented, or never asked for
}

// status demands what a GET says of its status; empty stands for not found, and
// for a payment that was prevented.
func (l *Ledger) status(ctx context.Context, service, path, want string) error {
	var answer struct{ Status string }
	err := Call(ctx, http.MethodGet, "http://"+l.APIs[service]+path, nil, &answer)
	switch {
	case err != nil && strings.Contains(err.Error(), "status 404"):
		answer.Status = ""
	case err != nil:
		return err
	case answer.Status == "prevented":
		answer.Status = ""
	}
	if answer.Status != want {
		return fmt.Errorf("GET %s: status %q, want %q", path, answer.Status, want)
	}
	return nil
}

// users demands that those who are there are those who registered and did not leave.
func (l *Ledger) users(ctx context.Context, b *book) error {
	rows, err := l.SQL(ctx, "users", `SELECT id FROM users ORDER BY id`)
	if err != nil {
		return err
	}
	var got, want []string
	for _, row := range rows {
		got = append(got, row[0])
	}
	for user := range b.events["users.UserRegistered"] {
		if b.count("users.UserDeleted", user)+b.count("users.AccountClosed", user) == 0 {
			want = append(want, user)
		}
	}
	slices.Sort(want)
	slices.Sort(got)
	if !slices.Equal(got, want) {
		return fmt.Errorf("there are %d users, want %d", len(got), len(want))
	}
	return nil
}
