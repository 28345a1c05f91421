package rig

import (
	"strings"
	"testing"
)

// flowOf makes the events of a flow out of lines "type id cause".
func flowOf(lines ...string) []*Event {
	var out []*Event
	for _, line := range lines {
		f := append(strings.Fields(line), "")
		out = append(out, &Event{Type: f[0], Record: Record{Headers: map[string]string{
			"ce_id": f[1], "ce_causationid": f[2], "ce_correlationid": "1",
		}}})
	}
	return out
}

func TestATreeIsComparedEdgeByEdge(t *testing.T) {
	first := "a.First 1"
	for name, c := range map[string]struct {
		flow []*Event
		want string // part of the error; empty: none
	}{
		"as it must be":             {flowOf(first, "a.Second 2 1"), ""},
		"with what may be":          {flowOf("a.Second 2 1", first, "a.Third 3 2"), ""},
		"what may be comes twice":   {flowOf(first, "a.Second 2 1", "a.Third 3 2", "a.Third 4 2"), "too much: [a.Third < a.Second]"},
		"one is missing":            {flowOf(first), "missing: [a.Second < a.First]"},
		"one comes twice":           {flowOf(first, "a.Second 2 1", "a.Second 3 1"), "too much: [a.Second < a.First]"},
		"one hangs elsewhere":       {flowOf(first, "a.Second 2 7"), "too much: [a.Second < ?]"},
		"one is led to by nothing":  {flowOf(first, "a.Second 2 1", "a.Other 3"), "too much: [a.Other]"},
		"nothing has been seen yet": {nil, "no event"},
	} {
		t.Run(name, func(t *testing.T) {
			err := CheckTree(c.flow, []string{"a.Second < a.First"}, []string{"a.Third < a.Second"})
			if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
				t.Errorf("got %v, want %q", err, c.want)
			}
		})
	}
}

func TestABookingThatExpiredEndsOnce(t *testing.T) {
	const (
		begun     = "bookings.BookingCreated bookings.BookingExpired "
		ticketed  = "payments.PaymentConfirmed seats.SeatAssigned tickets.TicketIssued notifications.NotificationSent "
		undone    = "payments.PaymentRefunded seats.SeatReleased tickets.TicketVoided "
		completed = "bookings.BookingCompleted "
		cancelled = "bookings.BookingCancelled notifications.NotificationSent "
	)
	for name, c := range map[string]struct {
		types string
		holds bool
	}{
		"completed in time":                  {begun + ticketed + completed, true},
		"cancelled before it was paid":       {begun + cancelled, true},
		"cancelled after all was done":       {begun + ticketed + cancelled + undone, true},
		"cancelled, and the money kept":      {begun + "payments.PaymentConfirmed " + cancelled, false},
		"cancelled, and refunded for free":   {begun + cancelled + "payments.PaymentRefunded", false},
		"cancelled, with the ticket valid":   {begun + ticketed + cancelled + "payments.PaymentRefunded seats.SeatReleased", false},
		"completed and cancelled":            {begun + ticketed + completed + cancelled, false},
		"completed, and refunded":            {begun + ticketed + completed + "payments.PaymentRefunded", false},
		"charged twice":                      {begun + ticketed + completed + "payments.PaymentConfirmed", false},
		"its time is not known to be over":   {"bookings.BookingCreated " + ticketed + completed, false},
		"cancelled, and nobody was told":     {begun + "bookings.BookingCancelled", false},
		"nobody has done anything for it":    {begun, false},
		"cancelled, and the seat still held": {begun + "payments.PaymentConfirmed seats.SeatAssigned payments.PaymentRefunded " + cancelled, false},
	} {
		t.Run(name, func(t *testing.T) {
			var flow []*Event
			for _, typ := range strings.Fields(c.types) {
				flow = append(flow, &Event{Type: typ})
			}
			if err := CheckExpired(flow); (err == nil) != c.holds {
				t.Errorf("got %v", err)
			}
		})
	}
}
