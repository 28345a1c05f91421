package rig

import "fmt"

// Booking is the body of POST /bookings.
type Booking struct {
	Flight         string `json:"flight"`
	Passenger      string `json:"passenger"`
	Email          string `json:"email"`
	Card           string `json:"card"`
	SeatPreference string `json:"seatPreference,omitempty"`
}

// BookingKinds are all the ways that a booking can go whose time is long.
func BookingKinds() []Kind {
	booked := []string{
		"payments.PaymentConfirmed < bookings.BookingCreated",
		"seats.SeatAssigned < payments.PaymentConfirmed",
		"tickets.TicketIssued < seats.SeatAssigned",
		"notifications.NotificationSent < tickets.TicketIssued",
		"bookings.BookingCompleted < tickets.TicketIssued",
	}
	return []Kind{
		{Name: "flight", Booking: NewBooking("TR100", CardGood), Tree: booked},
		{Name: "flight, provider fails twice", Booking: NewBooking("TR100", CardFlaky), Tree: booked},
		{Name: "flight, card declined", Booking: NewBooking("TR100", CardDeclined), Tree: []string{
			"payments.PaymentFailed < bookings.BookingCreated",
			"bookings.BookingCancelled < payments.PaymentFailed",
			"notifications.NotificationSent < bookings.BookingCancelled",
		}},
		{Name: "flight, full", Booking: NewBooking(FlightFull, CardGood), Tree: []string{
			"payments.PaymentConfirmed < bookings.BookingCreated",
			"seats.SeatUnavailable < payments.PaymentConfirmed",
			"payments.PaymentRefunded < seats.SeatUnavailable",
			"bookings.BookingCancelled < payments.PaymentRefunded",
			"notifications.NotificationSent < bookings.BookingCancelled",
		}},
	}
}

// FlightFull is a flight that never has a seat.
const FlightFull = "TR000"

// NewBooking is a booking of a flight.
func NewBooking(flight, card string) Booking {
	return Booking{Flight: flight, Passenger: "Amelia", Email: "amelia@example.com", Card: card, SeatPreference: "window"}
}

// CheckExpired demands of the events of a booking whose time is over that it
// ended in one way: completed in time, with all that belongs to it; or
// cancelled, with all undone that had been done for it, once.
func CheckExpired(flow []*Event) error {
	n := map[string]int{}
	for _, e := range flow {
		n[e.Type]++
	}
	paid, assigned, issued := n["payments.PaymentConfirmed"], n["seats.SeatAssigned"], n["tickets.TicketIssued"]
	refunded, released, voided := n["payments.PaymentRefunded"], n["seats.SeatReleased"], n["tickets.TicketVoided"]
	completed, cancelled := n["bookings.BookingCompleted"], n["bookings.BookingCancelled"]
	once := n["bookings.BookingCreated"] == 1 && n["bookings.BookingExpired"] == 1 && completed+cancelled == 1 &&
		max(paid, assigned, issued) <= 1
	kept := completed == 1 && paid+assigned+issued == 3 && refunded+released+voided == 0
	undone := cancelled == 1 && refunded == paid && released == assigned && voided == issued
	told := n["notifications.NotificationSent"] == issued+cancelled
	if !once || !told || !kept && !undone {
		return fmt.Errorf("its events are %v", n)
	}
	return nil
}
