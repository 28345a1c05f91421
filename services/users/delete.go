package users

import (
	"context"
	"database/sql"
	"errors"

	"github.com/troupedev/troupe/events/users"
	"github.com/troupedev/troupe/platform/choreo"
	"github.com/troupedev/troupe/platform/event"
	"github.com/troupedev/troupe/platform/store"
	"github.com/troupedev/troupe/platform/web"
)

// DeleteUser is the request of DELETE /users/{id}.
type DeleteUser struct {
	ID    string `path:"id" maxLength:"200"`
	Erase bool   `query:"erase" doc:"have every service erase what it holds of the user, too, and close the account when all have: GET /users/{id}/closure tells how far that is. Asked for again, the answer is the same."`
}

// DeletedUser is the answer of DELETE /users/{id}.
type DeletedUser struct {
	UserID string `json:"userId"`
	FlowID string `json:"flowId" doc:"what the deletion started"`
}

func remove(ctx context.Context, in *DeleteUser) (DeletedUser, choreo.Events, error) {
	if in.Erase {
		return requestClosure(ctx, in.ID)
	}
	return removeUser(ctx, in.ID)
}

func removeUser(ctx context.Context, id string) (DeletedUser, choreo.Events, error) {
	request := event.From(ctx)
	deleted := users.UserDeleted{UserID: id, DeletedAt: request.Time}
	err := store.Tx(ctx).QueryRowContext(ctx,
		`delete from users where id = $1 and status = $2 returning name, email`, id, Active).Scan(&deleted.Name, &deleted.Email)
	switch {
	case errors.Is(err, sql.ErrNoRows):
		return DeletedUser{}, nil, notActive(ctx, id)
	case err != nil:
		return DeletedUser{}, nil, err
	}
	return DeletedUser{id, request.Flow}, choreo.Emit(deleted), nil
}

// notActive says why the user cannot be deleted.
func notActive(ctx context.Context, id string) error {
	if _, err := userOf(ctx, id); err != nil {
		return err
	}
	return web.Conflict("the account of this user is being closed, which deletes the user")
}

// requestClosure starts the closure of an account, unless one has been started.
func requestClosure(ctx context.Context, id string) (DeletedUser, choreo.Events, error) {
	request := event.From(ctx)
	asked := users.AccountClosureRequested{UserID: id}
	err := store.Tx(ctx).QueryRowContext(ctx, `update users set status = $1 where id = $2 and status = $3 returning name, email`,
		Closing, id, Active).Scan(&asked.Name, &asked.Email)
	if errors.Is(err, sql.ErrNoRows) {
		c, err := closureOf(ctx, id) // after the update, which waits for whoever is at the same row
		return DeletedUser{id, c.requestID}, nil, err
	}
	if err != nil {
		return DeletedUser{}, nil, err
	}
	if _, err := store.Exec(ctx, `insert into closures (user_id, request_id, requested_at) values ($1, $2, $3)`,
		id, request.ID, request.Time.UnixMilli()); err != nil {
		return DeletedUser{}, nil, err
	}
	return DeletedUser{id, request.Flow}, choreo.Emit(asked), nil
}
