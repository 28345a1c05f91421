package notifications_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/troupedev/troupe/events/bookings"
	"github.com/troupedev/troupe/events/coupons"
	"github.com/troupedev/troupe/events/inventory"
	"github.com/troupedev/troupe/events/notifications"
	"github.com/troupedev/troupe/events/orders"
	"github.com/troupedev/troupe/events/shipping"
	"github.com/troupedev/troupe/events/tickets"
	"github.com/troupedev/troupe/events/users"
	"github.com/troupedev/troupe/platform/choreotest"
	"github.com/troupedev/troupe/platform/event"
	service "github.com/troupedev/troupe/services/notifications"
)

const email = "ada@example.com"

// registered lets users know that user u-1 is Ada, who can be reached at the
// address, or is gone where that is empty.
func registered(s *choreotest.Stage, address string) {
	choreotest.Reply(s, func(q users.ContactRequested) (users.ContactFound, error) {
		if address == "" {
			return users.ContactFound{UserID: q.UserID, Gone: true}, nil
		}
		return users.ContactFound{UserID: q.UserID, Name: "Ada", Email: address}, nil
	})
}

func TestTheCustomerIsTold(t *testing.T) {
	for kind, c := range map[string]struct {
		heard                    event.Event
		reference, subject, says string
	}{
		"reserved": {inventory.InventoryReserved{OrderID: "o-1", Channel: inventory.Storefront, Email: email, Total: 2505, Warehouse: "main"},
			"o-1", "Your order is confirmed", "25.05"},
		"shipped": {shipping.ShippingArranged{OrderID: "o-1", Email: email, Carrier: "Hare", TrackingNumber: "TH1"},
			"o-1", "Your order is on its way", "TH1"},
		"cancelled": {orders.OrderCancelled{OrderID: "o-1", Email: email, Reason: "card declined"},
			"o-1", "Your order is cancelled", "card declined"},
		"welcome": {users.UserRegistered{UserID: "u-1", Name: "Ada", Email: email},
			"u-1", "Welcome", "Dear Ada"},
		"goodbye": {users.UserDeleted{UserID: "u-1", Name: "Ada", Email: email},
			"u-1", "Goodbye", "no longer registered"},
		"coupon": {coupons.CouponGranted{Code: "C0DE", Customer: "Ada", Email: email, Amount: 1050, Reason: coupons.BigOrder, Reference: "o-1"},
			"o-1", "A coupon for you", "takes 10.50 off your next order: C0DE"},
		"ticket": {tickets.TicketIssued{BookingID: "b-1", Ticket: "T1", BookingCode: "K7WQ2M", Flight: "TR100", Seat: "12A", Passenger: "Ada", Email: email},
			"b-1", "Your ticket for TR100", "K7WQ2M"},
		"bookingCancelled": {bookings.BookingCancelled{BookingID: "b-1", Flight: "TR000", Passenger: "Ada", Email: email, Cause: bookings.NoSeat, Reason: "no seat left"},
			"b-1", "Your booking of TR000 is cancelled", "no seat left"},
		"accountClosed": {users.AccountClosed{UserID: "u-1", Name: "Ada", Email: email},
			"u-1", "Your account is closed", "is erased"},
	} {
		t.Run(kind, func(t *testing.T) {
			choreotest.Play(t, func(s *choreotest.Stage) {
				registered(s, email)
				s.Send(c.heard)
				recipient := email
				if kind == "accountClosed" {
					recipient = "" // the event outlives the account
				}
				s.Emitted(notifications.NotificationSent{Reference: c.reference, Kind: kind, Recipient: recipient, Subject: c.subject})
				s.NothingElse()
				mails := s.Mails()
				if len(mails) != 1 {
					t.Fatalf("got %d mails, want one: %+v", len(mails), mails)
				}
				m := mails[0]
				if len(m.To) != 1 || m.To[0] != email || m.Subject != c.subject || !strings.Contains(m.Text, c.says) {
					t.Errorf("the mail is %+v", m)
				}
				sent := s.Rows("notifications", `select event_id, kind from mails`)
				if len(sent) != 1 || !strings.Contains(m.ID, sent[0][0]) || sent[0][1] != kind {
					t.Errorf("marked as sent are %v, the mail is %s", sent, m.ID)
				}
			}, service.Service())
		})
	}
}

func TestTheTicketIsAttached(t *testing.T) {
	choreotest.Play(t, func(s *choreotest.Stage) {
		s.Send(tickets.TicketIssued{
			BookingID: "b-1", Ticket: "T-77", BookingCode: "K7WQ2M", Flight: "TR100", Seat: "12A", Passenger: "Ada <Lovelace>", Email: email,
		})
		mails := s.Mails()
		if len(mails) != 1 || len(mails[0].Attachments) != 1 {
			t.Fatalf("the mails are %+v, want one with one attachment", mails)
		}
		a := mails[0].Attachments[0]
		page := string(a.Content)
		if a.Name != "ticket-K7WQ2M.html" || !strings.HasPrefix(a.Type, "text/html") || !strings.HasPrefix(page, "<!doctype html>") {
			t.Errorf("attached is %s, a %s:\n%s", a.Name, a.Type, page)
		}
		for _, says := range []string{"K7WQ2M", "TR100", "12A", "Ada &lt;Lovelace&gt;", "T-77"} {
			if !strings.Contains(page, says) {
				t.Errorf("the ticket lacks %s:\n%s", says, page)
			}
		}
	}, service.Service())
}

func TestUsersAreWrittenToWhereTheyAreNow(t *testing.T) {
	for name, heard := range map[string]event.Event{
		"welcome":          users.UserRegistered{UserID: "u-1", Name: "Ada", Email: "old@example.com"},
		"a welcome coupon": coupons.CouponGranted{Code: "C", Customer: "Ada", Email: "old@example.com", Reason: coupons.Welcome, Reference: "u-1"},
	} {
		t.Run(name, func(t *testing.T) {
			choreotest.Play(t, func(s *choreotest.Stage) {
				registered(s, email)
				s.Send(heard)
				if m := s.Mails(); len(m) != 1 || m[0].To[0] != email {
					t.Errorf("the mails are %+v, want one to the address that users told", m)
				}
			}, service.Service())
		})
	}
}

func TestWhoIsGoneIsNotWrittenTo(t *testing.T) {
	for name, heard := range map[string]event.Event{
		"welcome":                       users.UserRegistered{UserID: "u-1", Name: "Ada", Email: email},
		"a welcome coupon":              coupons.CouponGranted{Code: "C", Customer: "Ada", Email: email, Reason: coupons.Welcome, Reference: "u-1"},
		"a booking that knows nobody":   bookings.BookingCancelled{BookingID: "b-1", Flight: "TR1", Cause: bookings.Expired, Reason: "too late"},
		"an order of which nobody's is": orders.OrderCancelled{OrderID: "o-1", Reason: "card declined"},
	} {
		t.Run(name, func(t *testing.T) {
			choreotest.Play(t, func(s *choreotest.Stage) {
				registered(s, "")
				s.Send(heard)
				s.NothingElse()
				if m := s.Mails(); len(m) != 0 {
					t.Errorf("the mails are %+v, want none", m)
				}
			}, service.Service())
		})
	}
}

// TestAWelcomeThatIsRetriedLooksAgain lets the server refuse the mail until the
// user is gone.
func TestAWelcomeThatIsRetriedLooksAgain(t *testing.T) {
	choreotest.Play(t, func(s *choreotest.Stage) {
		asked := map[string]bool{} // once an attempt, and an attempt may be played more than once
		choreotest.Reply(s, func(q users.ContactRequested) (users.ContactFound, error) {
			asked[fmt.Sprint(len(asked))] = true
			if len(asked) > 1 {
				return users.ContactFound{UserID: q.UserID, Gone: true}, nil
			}
			return users.ContactFound{UserID: q.UserID, Name: "Ada", Email: "ada@bounce.example"}, nil
		})
		s.Send(users.UserRegistered{UserID: "u-1", Name: "Ada", Email: "ada@bounce.example"})
		s.NothingElse()
		if m := s.Mails(); len(m) != 0 {
			t.Errorf("the mails are %+v, want none: the user went while the first was refused", m)
		}
	}, service.Service())
}

func TestAClosureForgetsToWhomMailWent(t *testing.T) {
	choreotest.Play(t, func(s *choreotest.Stage) {
		s.Send(orders.OrderCancelled{OrderID: "o-1", Email: "ADA@example.com"}, orders.OrderCancelled{OrderID: "o-2", Email: email})
		s.Send(orders.OrderCancelled{OrderID: "o-3", Email: "grace@example.com"})
		s.Send(users.AccountClosureRequested{UserID: "u-1", Name: "Ada", Email: email})
		answers := choreotest.All[users.AccountDataErased](s)
		if len(answers) != 1 || answers[0] != (users.AccountDataErased{UserID: "u-1", Service: "notifications", Records: 2}) {
			t.Errorf("the answers are %+v", answers)
		}
		s.Send(users.AccountClosed{UserID: "u-1", Name: "Ada", Email: email})
		s.Send(orders.OrderCancelled{OrderID: "o-4", Email: "Ada@example.com"}) // was under way
		if kept := s.Rows("notifications", `select mails.kind from mails join people on people.id = mails.person where person <> ''`); len(kept) != 1 {
			t.Errorf("it is known of %d mails to whom they went, want one", len(kept))
		}
		for _, sent := range choreotest.All[notifications.NotificationSent](s) {
			if late := sent.Reference == "u-1" || sent.Reference == "o-4"; late && sent.Recipient != "" {
				t.Errorf("after the closure it is said to whom a mail went: %+v", sent)
			}
		}
		for _, row := range s.Rows("notifications", `select * from mails`) {
			if strings.Contains(strings.Join(row, " "), "@") {
				t.Errorf("%v has an address", row)
			}
		}
		if n := len(s.Mails()); n != 5 {
			t.Errorf("%d mails were sent, want all 5", n)
		}
	}, service.Service())
}

func TestAMailThatNobodyTakesIsADeadLetter(t *testing.T) {
	for name, c := range map[string]struct {
		setup choreotest.Setup
		to    string
		cause string
	}{
		"a server that is away":           {choreotest.Setup{Settings: map[string]string{"TROUPE_SMTP": "smtp://127.0.0.1:1"}}, email, "attempts"},
		"an address that the server bars": {choreotest.Setup{}, "ada@refused.example", "permanent"},
		"an address that is none":         {choreotest.Setup{}, "ada", "permanent"},
	} {
		t.Run(name, func(t *testing.T) {
			c.setup.Play(t, func(s *choreotest.Stage) {
				s.Send(orders.OrderCancelled{OrderID: "o-1", Email: c.to})
				s.Dead("notifications", c.cause)
				s.NothingElse()
				if rows := s.Rows("notifications", `select * from mails`); len(rows) != 0 {
					t.Errorf("marked as sent are %v", rows)
				}
			}, service.Service())
		})
	}
}
