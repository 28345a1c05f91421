package services_test

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/troupedev/troupe/events/bookings"
	"github.com/troupedev/troupe/events/coupons"
	"github.com/troupedev/troupe/events/orders"
	"github.com/troupedev/troupe/events/users"
	"github.com/troupedev/troupe/platform/choreotest"
)

// subjects are those of the mails that were sent to somebody, sorted.
func subjects(s *choreotest.Stage, to string) (out []string) {
	for _, m := range s.Mails() {
		if slices.Contains(m.To, to) {
			out = append(out, m.Subject)
		}
	}
	slices.Sort(out)
	return out
}

// account is what routes say of a user, and of the closure of their account.
type account struct {
	UserID, Status       string
	WaitingFor, Expected []string
}

// ask sends a request that must be answered with the status.
func ask(s *choreotest.Stage, want int, method, path, body string) account {
	return choreotest.Request[account](s, want, method, path, body)
}

const adaRegisters = `{"name":"Ada","email":"ada@example.com"}`

func TestWhoRegistersIsWelcomedWithACoupon(t *testing.T) {
	choreotest.Play(t, func(s *choreotest.Stage) {
		ask(s, 202, "POST", "/users", adaRegisters)
		if got := subjects(s, "ada@example.com"); !slices.Equal(got, []string{"A coupon for you", "Welcome"}) {
			t.Errorf("the mails are %q", got)
		}
	}, shipped(t)...)
}

func TestWhoIsDeletedLosesTheirCoupons(t *testing.T) {
	choreotest.Play(t, func(s *choreotest.Stage) {
		id := ask(s, 202, "POST", "/users", adaRegisters).UserID
		ask(s, 202, "DELETE", "/users/"+id, "")
		if got := subjects(s, "ada@example.com"); !slices.Contains(got, "Goodbye") || len(got) != 3 {
			t.Errorf("the mails are %q", got)
		}
		erased := choreotest.All[coupons.CouponsErased](s)
		if len(erased) != 1 || erased[0] != (coupons.CouponsErased{UserID: id, Count: 1}) {
			t.Errorf("erased were %+v", erased)
		}
		if rows := s.Rows("coupons", `select * from coupons`); len(rows) != 0 {
			t.Errorf("the coupons left are %v", rows)
		}
	}, shipped(t)...)
}

// TestARegistrationAndADeletionAtOnce: however the two interleave, nobody is
// written to after the goodbye, and no coupon is left.
func TestARegistrationAndADeletionAtOnce(t *testing.T) {
	choreotest.Play(t, func(s *choreotest.Stage) {
		id := ""
		s.Together(func() {
			id = ask(s, 202, "POST", "/users", adaRegisters).UserID
			ask(s, 202, "DELETE", "/users/"+id, "")
		})
		if got := subjects(s, "ada@example.com"); !slices.Contains(got, "Goodbye") {
			t.Errorf("the mails are %q", got)
		}
		if rows := s.Rows("coupons", `select * from coupons`); len(rows) != 0 {
			t.Errorf("the coupons left are %v", rows)
		}
	}, shipped(t)...)
}

// TestAnAccountIsClosedByAllWhoHoldData: users knows none of them.
func TestAnAccountIsClosedByAllWhoHoldData(t *testing.T) {
	const order = `{"channel":"wholesale","customer":"Ada","email":"ada@example.com","card":"4242424242424242","items":[{"sku":"desk","quantity":1}]}`
	const booking = `{"flight":"TR100","passenger":"Ada","email":"ada@example.com","card":"4242424242424242"}`
	choreotest.Play(t, func(s *choreotest.Stage) {
		id := ask(s, 202, "POST", "/users", adaRegisters).UserID
		ask(s, 202, "POST", "/orders", order)
		ask(s, 202, "POST", "/bookings", booking)
		ask(s, 202, "DELETE", "/users/"+id+"?erase=true", "")

		c := ask(s, 200, "GET", "/users/"+id+"/closure", "")
		want := []string{"bookings", "coupons", "notifications", "orders", "payments", "tickets"}
		if c.Status != "closed" || len(c.WaitingFor) != 0 || !slices.Equal(c.Expected, want) {
			t.Errorf("the closure is %+v, want it closed by %v", c, want)
		}
		for _, e := range choreotest.All[users.AccountDataErased](s) {
			if e.Records == 0 {
				t.Errorf("%s says that it held nothing", e.Service)
			}
		}
		if n := len(choreotest.All[users.AccountClosed](s)); n != 1 {
			t.Errorf("the account was closed %d times", n)
		}
		if got := subjects(s, "ada@example.com"); !slices.Contains(got, "Your account is closed") {
			t.Errorf("the mails are %q", got)
		}
		for _, row := range slices.Concat(
			s.Rows("users", `select * from users`), s.Rows("coupons", `select * from coupons`),
			s.Rows("notifications", `select * from mails where person <> ''`),
		) {
			t.Errorf("left is %v", row)
		}
	}, shipped(t)...)
}

// TestAClosureRacesWhatIsUnderWay closes an account while an order and a booking
// of it are being worked on: however they interleave, all is closed, what was
// sold is delivered, and nothing that is kept leads to the person.
func TestAClosureRacesWhatIsUnderWay(t *testing.T) {
	const order = `{"channel":"storefront","customer":"Ada","email":"Ada@example.com","card":"4242424242424242","items":[{"sku":"desk","quantity":1}]}`
	const booking = `{"flight":"TR100","passenger":"Ada","email":"ada@example.com","card":"4242424242424242"}`
	choreotest.Play(t, func(s *choreotest.Stage) {
		s.Together(func() {
			id := ask(s, 202, "POST", "/users", adaRegisters).UserID
			ask(s, 202, "POST", "/orders", order)
			ask(s, 202, "POST", "/bookings", booking)
			ask(s, 202, "DELETE", "/users/"+id+"?erase=true", "")
		})
		if n := len(choreotest.All[users.AccountClosed](s)); n != 1 {
			t.Errorf("the account was closed %d times", n)
		}
		if n, m := len(choreotest.All[orders.OrderFulfilled](s)), len(choreotest.All[bookings.BookingCompleted](s)); n != 1 || m != 1 {
			t.Errorf("%d orders were fulfilled and %d bookings completed, want one each", n, m)
		}
		for service, query := range map[string]string{
			"users":         `select id from users`,
			"coupons":       `select code from coupons`,
			"orders":        `select id from orders where customer <> '' or email <> '' or address <> ''`,
			"bookings":      `select booking_id from bookings where passenger <> '' or email <> '' or address <> ''`,
			"payments":      `select payer from payments join people on people.id = payments.payer where payer <> ''`,
			"tickets":       `select person from tickets join people on people.id = tickets.person where person <> ''`,
			"notifications": `select person from mails join people on people.id = mails.person where person <> ''`,
		} {
			if rows := s.Rows(service, query); len(rows) > 0 {
				t.Errorf("%s keeps %v of somebody whose account is closed", service, rows)
			}
		}
	}, shipped(t)...)
}

// TestTheTreeOfAnOrder shows what one order leads to, each event under the one
// that caused it: a reservation is heard by two services, and only a big order's
// fulfilment by a third.
func TestTheTreeOfAnOrder(t *testing.T) {
	const small = `
orders.OrderPlaced
  payments.PaymentProcessed
    inventory.InventoryReserved
      notifications.NotificationSent
      shipping.ShippingArranged
        notifications.NotificationSent
        orders.OrderFulfilled
`
	const big = small + `          coupons.CouponGranted
            notifications.NotificationSent
`
	for name, c := range map[string]struct {
		quantity int
		tree     string
	}{
		"87.50":  {7, small},
		"100.00": {8, big},
		"112.50": {9, big},
	} {
		t.Run(name, func(t *testing.T) {
			choreotest.Play(t, func(s *choreotest.Stage) {
				ask(s, 202, "POST", "/orders", fmt.Sprintf(
					`{"channel":"storefront","customer":"Ada","email":"ada@example.com","card":"4242424242424242","items":[{"sku":"mug","quantity":%d}]}`, c.quantity))
				if got := tree(s, "", ""); "\n"+got != c.tree {
					t.Errorf("the order led to\n%s\nwant%s", got, c.tree)
				}
			}, shipped(t)...)
		})
	}
}

// tree is what an event led to, each event below its cause, sorted by type;
// cause is empty for the first events of flows.
func tree(s *choreotest.Stage, cause, indent string) string {
	branches := map[string]string{} // by id: an event may be published twice
	for _, e := range s.Happened() {
		if e.Cause == cause {
			branches[e.ID] = indent + e.Type + "\n" + tree(s, e.ID, indent+"  ")
		}
	}
	return strings.Join(slices.Sorted(maps.Values(branches)), "")
}
