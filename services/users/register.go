package users

import (
	"context"

	"github.com/troupedev/troupe/events/users"
	"github.com/troupedev/troupe/platform/choreo"
	"github.com/troupedev/troupe/platform/event"
	"github.com/troupedev/troupe/platform/store"
	"github.com/troupedev/troupe/platform/web"
	"github.com/troupedev/troupe/services/internal/account"
)

// RegisterUser is the request of POST /users.
type RegisterUser struct {
	Body struct {
		Name  string        `json:"name" minLength:"1" maxLength:"200" example:"Ada"`
		Email account.Email `json:"email" format:"email" maxLength:"200" example:"ada@example.com" doc:"of one user only, whatever its letters' case; 409 where somebody has registered with it"`
	}
}

// RegisteredUser is the answer of POST /users.
type RegisteredUser struct {
	UserID string `json:"userId"`
	FlowID string `json:"flowId" doc:"what the registration started"`
}

func register(ctx context.Context, in *RegisterUser) (RegisteredUser, choreo.Events, error) {
	request := event.From(ctx)
	registered := users.UserRegistered{
		UserID: request.ID, Name: in.Body.Name, Email: string(in.Body.Email), RegisteredAt: request.Time,
	}
	added, err := store.Exec(ctx, `
		insert into users (id, name, email, address, status, registered_at) values ($1, $2, $3, $4, $5, $6)
		on conflict do nothing`,
		registered.UserID, registered.Name, registered.Email, account.Key(registered.Email), Active, registered.RegisteredAt.UnixMilli())
	switch {
	case err != nil:
		return RegisteredUser{}, nil, err
	case added == 0:
		return RegisteredUser{}, nil, web.Conflict("somebody has registered with this email address")
	}
	return RegisteredUser{request.ID, request.Flow}, choreo.Emit(registered), nil
}
