package notifications

import (
	"bytes"
	"context"
	_ "embed"
	"fmt"
	"html/template"

	"github.com/troupedev/troupe/events/bookings"
	"github.com/troupedev/troupe/events/tickets"
	"github.com/troupedev/troupe/platform/choreo"
)

//go:embed ticket.html
var ticketPage string

var ticketTemplate = template.Must(template.New("ticket").Parse(ticketPage))

// ticketed sends the ticket itself, as a page to be printed or shown.
func (s *service) ticketed(ctx context.Context, t tickets.TicketIssued) (choreo.Events, error) {
	var page bytes.Buffer
	if err := ticketTemplate.Execute(&page, t); err != nil {
		return nil, choreo.Permanent(err)
	}
	return s.send(ctx, Mail{
		Kind: "ticket", Reference: t.BookingID, To: t.Email, Subject: "Your ticket for " + t.Flight,
		Text: fmt.Sprintf("Dear %s,\n\nyour ticket for %s, seat %s, is attached. Your booking code is %s.\n\nBooking %s\n",
			t.Passenger, t.Flight, t.Seat, t.BookingCode, t.BookingID),
		Attachments: []Attachment{{Name: "ticket-" + t.BookingCode + ".html", Type: "text/html", Content: page.Bytes()}},
	})
}

func (s *service) bookingCancelled(ctx context.Context, b bookings.BookingCancelled) (choreo.Events, error) {
	return s.send(ctx, Mail{
		Kind: "bookingCancelled", Reference: b.BookingID, To: b.Email, Subject: "Your booking of " + b.Flight + " is cancelled",
		Text: fmt.Sprintf("Dear %s,\n\nwe had to cancel your booking of %s: %s. You have not been charged, or have your money back.\n\nBooking %s\n",
			b.Passenger, b.Flight, b.Reason, b.BookingID),
	})
}
