package notifications_test

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/troupedev/troupe/events/inventory"
	"github.com/troupedev/troupe/events/notifications"
	"github.com/troupedev/troupe/events/orders"
	"github.com/troupedev/troupe/events/shipping"
	"github.com/troupedev/troupe/platform/choreo"
	"github.com/troupedev/troupe/platform/choreotest"
	"github.com/troupedev/troupe/platform/event"
	service "github.com/troupedev/troupe/services/notifications"
)

// outbox keeps mails by their id, as a mail server tells repeated ones.
type outbox struct {
	mails map[string]service.Mail
	err   error // instead of taking a mail
}

func (o *outbox) Send(_ context.Context, m service.Mail) error {
	if o.err != nil {
		return o.err
	}
	if o.mails == nil {
		o.mails = map[string]service.Mail{}
	}
	o.mails[m.ID] = m
	return nil
}

func TestTheCustomerIsTold(t *testing.T) {
	for kind, c := range map[string]struct {
		heard         event.Event
		subject, says string
	}{
		"reserved":  {inventory.InventoryReserved{OrderID: "o-1", Channel: inventory.Storefront, Email: "ada@example.com", Total: 2505, Warehouse: "main"}, "Your order is confirmed", "25.05"},
		"shipped":   {shipping.ShippingArranged{OrderID: "o-1", Email: "ada@example.com", Carrier: "Hare", TrackingNumber: "TH1"}, "Your order is on its way", "TH1"},
		"cancelled": {orders.OrderCancelled{OrderID: "o-1", Email: "ada@example.com", Reason: "card declined"}, "Your order is cancelled", "card declined"},
	} {
		t.Run(kind, func(t *testing.T) {
			var out outbox
			choreotest.Play(t, func(s *choreotest.Stage) {
				s.Send(c.heard)
				s.Emitted(notifications.NotificationSent{Reference: "o-1", Kind: kind, Recipient: "ada@example.com", Subject: c.subject})
				s.NothingElse()
			}, service.Service(&out))
			if len(out.mails) != 1 {
				t.Fatalf("got %d mails, want one: %+v", len(out.mails), out.mails)
			}
			for _, m := range out.mails {
				if m.To != "ada@example.com" || m.Subject != c.subject || !strings.Contains(m.Text, c.says) || !strings.Contains(m.Text, "o-1") {
					t.Errorf("the mail is %+v", m)
				}
			}
		})
	}
}

func TestAMailThatNobodyTakesIsADeadLetter(t *testing.T) {
	cancelled := orders.OrderCancelled{OrderID: "o-1", Email: "ada@example.com"}
	for name, c := range map[string]struct {
		err   error
		cause string
	}{
		"a server that is away":           {errors.New("connection refused"), "attempts"},
		"an address that the server bars": {choreo.Permanent(errors.New("550 no such user")), "permanent"},
	} {
		t.Run(name, func(t *testing.T) {
			choreotest.Play(t, func(s *choreotest.Stage) {
				s.Send(cancelled)
				s.Dead("notifications", c.cause)
				s.NothingElse()
			}, service.Service(&outbox{err: c.err}))
		})
	}
}
