package users

import (
	"context"

	"github.com/troupedev/troupe/events/users"
	"github.com/troupedev/troupe/platform/choreo"
	"github.com/troupedev/troupe/platform/event"
	"github.com/troupedev/troupe/platform/store"
	"github.com/troupedev/troupe/platform/web"
)

// Register is the request of POST /users.
type Register struct {
	Body struct {
		Name  string `json:"name" minLength:"1" maxLength:"200" example:"Ada"`
		Email string `json:"email" format:"email" maxLength:"200" example:"ada@example.com" doc:"of one user only, whatever its letters' case; 409 where somebody has registered with it"`
	}
}

// Accepted is the answer of POST /users and of DELETE /users/{id}.
type Accepted struct {
	UserID string `json:"userId"`
	FlowID string `json:"flowId" doc:"what the request started"`
}

func register(ctx context.Context, in *Register) (Accepted, choreo.Events, error) {
	request := event.From(ctx)
	saved, err := store.Tx(ctx).ExecContext(ctx,
		`insert into users (id, name, email, state, registered_at) values ($1, $2, $3, $4, $5) on conflict do nothing`,
		request.ID, in.Body.Name, in.Body.Email, active, request.Time.UnixMilli())
	if err != nil {
		return Accepted{}, nil, err
	}
	if n, err := saved.RowsAffected(); err != nil {
		return Accepted{}, nil, err
	} else if n == 0 {
		return Accepted{}, nil, web.Conflict("somebody has registered with this email address")
	}
	return Accepted{request.ID, request.Flow}, choreo.Emit(users.UserRegistered{
		UserID: request.ID, Name: in.Body.Name, Email: in.Body.Email, RegisteredAt: request.Time,
	}), nil
}
