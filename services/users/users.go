// Package users registers users and deletes them. When a user wants to be
// forgotten, it asks every service that holds data of theirs to erase it, and
// closes the account once all of them have.
//
// HTTP is in register.go, delete.go and read.go; closure.go is what follows an
// AccountClosureRequested.
package users

import (
	"embed"

	"github.com/troupedev/troupe/events/users"
	"github.com/troupedev/troupe/platform/choreo"
	"github.com/troupedev/troupe/platform/store"
	"github.com/troupedev/troupe/platform/web"
)

//go:embed migrations/*.sql
var migrations embed.FS

// Service declares the users service.
func Service() choreo.Service {
	return choreo.Service{
		Name: "users", Doc: "Registers users, deletes them, and closes their accounts once every service has erased what it held of them.",
		Store: store.Tables(migrations),
		Routes: []choreo.Route{
			web.Post("/users", register, choreo.Emits(users.UserRegistered{})),
			web.Get("/users", list),
			web.Get("/users/{id}", show),
			web.Delete("/users/{id}", remove, choreo.Emits(users.UserDeleted{}, users.AccountClosureRequested{})),
			web.Get("/users/{id}/closure", showClosure),
		},
		Reactions: []choreo.Reaction{
			choreo.Answer(contact),
			choreo.On(noteErased, choreo.Named("erasures")),
			choreo.Gather(closeAccount, choreo.Named(closes), choreo.Emits(users.AccountClosed{})),
		},
	}
}

// Status is how a user stands.
type Status string

// A user is active until the account is to be closed. One who was deleted, or
// whose account is closed, is not there.
const (
	Active  Status = "active"
	Closing Status = "closing"
)
