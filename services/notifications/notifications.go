// Package notifications tells customers by mail what became of their orders,
// bookings and accounts.
//
// What it says is in orders.go, flights.go and users.go; mail.go is how one mail is sent
// once, smtp.go the conversation with the mail server.
package notifications

import (
	"context"
	"embed"
	"time"

	"github.com/troupedev/troupe/events/notifications"
	"github.com/troupedev/troupe/events/users"
	"github.com/troupedev/troupe/platform/choreo"
	"github.com/troupedev/troupe/platform/store"
	"github.com/troupedev/troupe/services/internal/account"
)

const name = "notifications"

//go:embed migrations/*.sql
var migrations embed.FS

type service struct {
	settings settings
	server   *server
	gate     gate
	taken    taken
}

// Service declares the notifications service.
func Service() choreo.Service {
	s := &service{}
	sends := []choreo.Option{
		choreo.Emits(notifications.NotificationSent{}),
		choreo.Timeout(attemptTimeout),
		// Mail servers are away for minutes, and mail is worth waiting for.
		choreo.Retries(choreo.Retry{Attempts: 60, First: 500 * time.Millisecond, Max: 10 * time.Second}),
	}
	asks := append([]choreo.Option{choreo.Emits(users.ContactRequested{})}, sends...)
	return choreo.Service{
		Name: name, Doc: "Tells customers by mail what became of their orders, bookings and accounts.",
		Settings: &s.settings, Start: s.start,
		Store: store.Tables(migrations),
		Reactions: []choreo.Reaction{
			choreo.On(s.reserved, sends...),
			choreo.On(s.shipped, sends...),
			choreo.On(s.cancelled, sends...),
			choreo.On(s.registered, asks...),
			choreo.On(s.deleted, sends...),
			choreo.On(s.granted, asks...),
			choreo.On(s.ticketed, sends...),
			choreo.On(s.bookingCancelled, sends...),
			choreo.On(s.accountClosed, sends...),
			account.Erases(name, erase),
		},
	}
}

// start reads the settings; the mail server may still be away.
func (s *service) start(context.Context) (err error) {
	s.gate, s.taken = newGate(), taken{}
	s.server, err = newServer(s.settings)
	return err
}
