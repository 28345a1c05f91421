// Package notifications tells customers by mail what became of their orders.
package notifications

import (
	"context"
	"fmt"
	"time"

	"github.com/troupedev/troupe/events/inventory"
	"github.com/troupedev/troupe/events/notifications"
	"github.com/troupedev/troupe/events/orders"
	"github.com/troupedev/troupe/events/shipping"
	"github.com/troupedev/troupe/platform/choreo"
	"github.com/troupedev/troupe/platform/event"
)

// Mail is one mail to one recipient.
type Mail struct {
	ID      string // the same for the same event, so that a mail sent twice can be told
	To      string
	Subject string
	Text    string
}

// Mailer sends mail. An error means that the mail may be sent again.
type Mailer interface {
	Send(context.Context, Mail) error
}

type service struct {
	settings settings
	mailer   Mailer
}

// Service declares the notifications service. Mail goes to mailer; where that
// is nil, by SMTP to the server that the settings name.
func Service(mailer Mailer) choreo.Service {
	s := &service{mailer: mailer}
	options := []choreo.Option{
		choreo.Emits(notifications.NotificationSent{}),
		choreo.Timeout(10 * time.Second),
		// Mail servers are away for minutes, and mail is worth waiting for.
		choreo.Retries(choreo.Retry{Attempts: 60, First: 500 * time.Millisecond, Max: 10 * time.Second}),
	}
	return choreo.Service{
		Name: "notifications", Doc: "Tells customers by mail what became of their orders.",
		Settings: &s.settings, Start: s.start,
		Reactions: []choreo.Reaction{
			choreo.On(s.reserved, options...),
			choreo.On(s.shipped, options...),
			choreo.On(s.cancelled, options...),
		},
	}
}

// start opens the mailer, where none was given.
func (s *service) start(context.Context) (err error) {
	if s.mailer == nil {
		s.mailer, err = newSMTP(s.settings)
	}
	return err
}

// reserved reads version 1 of the event: where the stock lies is not the customer's concern.
func (s *service) reserved(ctx context.Context, i inventory.InventoryReservedV1) (choreo.Events, error) {
	return s.tell(ctx, "reserved", i.OrderID, i.Email, "Your order is confirmed",
		fmt.Sprintf("Dear %s,\n\nyour order of %s is paid and reserved. We will tell you when it is on its way.\n\nOrder %s\n",
			i.Customer, money(i.Total), i.OrderID))
}

func (s *service) shipped(ctx context.Context, a shipping.ShippingArranged) (choreo.Events, error) {
	return s.tell(ctx, "shipped", a.OrderID, a.Email, "Your order is on its way",
		fmt.Sprintf("Dear %s,\n\n%s brings your order on %s. Follow it by its number %s.\n\nOrder %s\n",
			a.Customer, a.Carrier, a.ArrivesOn.Format("2 January 2006"), a.TrackingNumber, a.OrderID))
}

func (s *service) cancelled(ctx context.Context, o orders.OrderCancelled) (choreo.Events, error) {
	return s.tell(ctx, "cancelled", o.OrderID, o.Email, "Your order is cancelled",
		fmt.Sprintf("Dear %s,\n\nwe had to cancel your order: %s. You have not been charged, or have your money back.\n\nOrder %s\n",
			o.Customer, o.Reason, o.OrderID))
}

// tell sends the mail, and says so.
func (s *service) tell(ctx context.Context, kind, reference, to, subject, text string) (choreo.Events, error) {
	err := s.mailer.Send(ctx, Mail{ID: event.From(ctx).ID, To: to, Subject: subject, Text: text})
	if err != nil {
		return nil, fmt.Errorf("mail %q to %s: %w", subject, to, err)
	}
	return choreo.Emit(notifications.NotificationSent{Reference: reference, Kind: kind, Recipient: to, Subject: subject}), nil
}

func money(cents int64) string { return fmt.Sprintf("%d.%02d", cents/100, cents%100) }
