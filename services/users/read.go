package users

import (
	"context"
	"database/sql"
	"errors"
	"time"

	"github.com/troupedev/troupe/events/users"
	"github.com/troupedev/troupe/platform/store"
	"github.com/troupedev/troupe/platform/web"
)

// User is a user as GET /users and GET /users/{id} show it.
type User struct {
	UserID       string    `json:"userId"`
	Name         string    `json:"name"`
	Email        string    `json:"email"`
	Status       Status    `json:"status" enum:"active,closing" doc:"closing: the account is being closed"`
	RegisteredAt time.Time `json:"registeredAt"`
}

const userColumns = `id, name, email, status, registered_at`

func scanUser(row interface{ Scan(...any) error }) (u User, err error) {
	var registered int64
	err = row.Scan(&u.UserID, &u.Name, &u.Email, &u.Status, &registered)
	u.RegisteredAt = time.UnixMilli(registered).UTC()
	return u, err
}

// ListUsers is the request of GET /users.
type ListUsers struct {
	Limit int    `query:"limit" minimum:"1" maximum:"1000" default:"100"`
	After string `query:"after" maxLength:"200" doc:"the last userId of the page before"`
}

// Users is the answer of GET /users.
type Users struct {
	Users []User `json:"users" doc:"ordered by userId"`
}

func list(ctx context.Context, in *ListUsers) (Users, error) {
	found, err := store.Collect(ctx, func(row *sql.Rows) (User, error) { return scanUser(row) },
		`select `+userColumns+` from users where id > $1 order by id limit $2`, in.After, in.Limit)
	return Users{append([]User{}, found...)}, err
}

// ShowUser is the request of GET /users/{id}.
type ShowUser struct {
	ID string `path:"id" maxLength:"200"`
}

func show(ctx context.Context, in *ShowUser) (User, error) { return userOf(ctx, in.ID) }

// userOf returns a user; the error of one who is not there is a 404.
func userOf(ctx context.Context, id string) (User, error) {
	u, err := scanUser(store.Tx(ctx).QueryRowContext(ctx, `select `+userColumns+` from users where id = $1`, id))
	if errors.Is(err, sql.ErrNoRows) {
		return User{}, web.NotFound("there is no user " + id)
	}
	return u, err
}

// contact answers how a user can be reached: not at all, once the account is to be closed.
func contact(ctx context.Context, q users.ContactRequested) (users.ContactFound, error) {
	u, err := scanUser(store.Tx(ctx).QueryRowContext(ctx,
		`select `+userColumns+` from users where id = $1 and status = $2`, q.UserID, Active))
	if errors.Is(err, sql.ErrNoRows) {
		return users.ContactFound{UserID: q.UserID, Gone: true}, nil
	}
	return users.ContactFound{UserID: q.UserID, Name: u.Name, Email: u.Email}, err
}
