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
	State        string    `json:"state" enum:"active,closing" doc:"closing: the account is being closed"`
	RegisteredAt time.Time `json:"registeredAt"`
}

const userColumns = `id, name, email, state, registered_at`

func scanUser(row interface{ Scan(...any) error }) (u User, err error) {
	var registered int64
	err = row.Scan(&u.UserID, &u.Name, &u.Email, &u.State, &registered)
	u.RegisteredAt = time.UnixMilli(registered).UTC()
	return u, err
}

// List is the request of GET /users.
type List struct {
	Limit int    `query:"limit" minimum:"1" maximum:"1000" default:"100"`
	After string `query:"after" maxLength:"200" doc:"the last userId of the page before"`
}

// Listed is the answer of GET /users.
type Listed struct {
	Users []User `json:"users" doc:"ordered by userId"`
}

func list(ctx context.Context, in *List) (Listed, error) {
	all, err := store.Collect(ctx, func(row *sql.Rows) (User, error) { return scanUser(row) },
		`select `+userColumns+` from users where id > $1 order by id limit $2`, in.After, in.Limit)
	return Listed{append([]User{}, all...)}, err
}

// Read is the request of GET /users/{id} and of GET /users/{id}/closure.
type Read struct {
	ID string `path:"id" maxLength:"200"`
}

func read(ctx context.Context, in *Read) (User, error) { return userOf(ctx, in.ID) }

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
		`select `+userColumns+` from users where id = $1 and state = $2`, q.UserID, active))
	if errors.Is(err, sql.ErrNoRows) {
		return users.ContactFound{UserID: q.UserID, Gone: true}, nil
	}
	return users.ContactFound{UserID: q.UserID, Name: u.Name, Email: u.Email}, err
}
