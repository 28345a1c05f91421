package users

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"slices"
	"time"

	"github.com/troupedev/troupe/events/users"
	"github.com/troupedev/troupe/platform/choreo"
	"github.com/troupedev/troupe/platform/event"
	"github.com/troupedev/troupe/platform/store"
	"github.com/troupedev/troupe/platform/web"
)

// closes names the reaction that gathers what services answer to a closure.
const closes = "AccountClosureRequested"

// noteErased keeps how many records a service erased, to be shown.
func noteErased(ctx context.Context, e users.AccountDataErased) (choreo.Events, error) {
	_, err := store.Exec(ctx,
		`insert into erasures (user_id, service, records, at) values ($1, $2, $3, $4) on conflict (user_id, service) do nothing`,
		e.UserID, e.Service, e.Records, event.From(ctx).Time.UnixMilli())
	return nil, err
}

// closeAccount is the end of a closure: every service has erased what it held.
func closeAccount(ctx context.Context, q users.AccountClosureRequested, _ []users.AccountDataErased) (choreo.Events, error) {
	if _, err := store.Exec(ctx, `delete from users where id = $1`, q.UserID); err != nil {
		return nil, err
	}
	if _, err := store.Exec(ctx, `update closures set closed_at = $1 where user_id = $2`,
		event.From(ctx).Time.UnixMilli(), q.UserID); err != nil {
		return nil, err
	}
	return choreo.Emit(users.AccountClosed(q)), nil
}

// ShowClosure is the request of GET /users/{id}/closure.
type ShowClosure struct {
	ID string `path:"id" maxLength:"200"`
}

// Closure is the answer of GET /users/{id}/closure.
type Closure struct {
	Status      string     `json:"status" enum:"requested,closed"`
	RequestedAt time.Time  `json:"requestedAt"`
	ClosedAt    *time.Time `json:"closedAt,omitempty"`
	Expected    []string   `json:"expected" doc:"services that hold data of users, as known when the closure was requested"`
	Answered    []Erased   `json:"answered" doc:"services that have erased what they held, by time"`
	WaitingFor  []string   `json:"waitingFor" doc:"services that have not"`
}

// Erased is what one service answered.
type Erased struct {
	Service string    `json:"service"`
	Records *int32    `json:"records,omitempty" doc:"how many it erased or made anonymous; comes a moment after the rest"`
	At      time.Time `json:"at"`
}

func showClosure(ctx context.Context, in *ShowClosure) (Closure, error) {
	c, err := closureOf(ctx, in.ID)
	if err != nil {
		return Closure{}, err
	}
	noted, err := erasuresOf(ctx, in.ID)
	if err != nil {
		return Closure{}, err
	}
	// There is none until the request has come back to us, and none any more
	// when the inbox has forgotten it.
	gathering, ok, err := store.Gathered(ctx, closes, c.requestID)
	if err != nil {
		return Closure{}, err
	}
	out := Closure{
		Status: "requested", RequestedAt: c.requestedAt,
		Expected: append([]string{}, gathering.Expected...), Answered: []Erased{}, WaitingFor: append([]string{}, gathering.Waiting()...),
	}
	if c.closedAt != 0 {
		out.Status, out.ClosedAt = "closed", new(time.UnixMilli(c.closedAt).UTC())
	}
	if ok {
		out.Answered = answered(gathering, noted)
	} else if out.ClosedAt != nil {
		out.Answered = noted
		for _, e := range noted {
			out.Expected = append(out.Expected, e.Service)
		}
	}
	return out, nil
}

// answered are the answers gathered, by time, with what is noted of them.
func answered(g store.Gathering, noted []Erased) []Erased {
	out := []Erased{}
	for service, at := range g.Answered {
		e := Erased{Service: service, At: at.UTC()}
		if i := slices.IndexFunc(noted, func(n Erased) bool { return n.Service == service }); i >= 0 {
			e.Records = noted[i].Records
		}
		out = append(out, e)
	}
	slices.SortFunc(out, func(a, b Erased) int { return cmp.Or(a.At.Compare(b.At), cmp.Compare(a.Service, b.Service)) })
	return out
}

// closure is a row of the table closures.
type closure struct {
	requestID   string
	requestedAt time.Time
	closedAt    int64 // 0: not yet
}

// closureOf returns the closure of a user's account; the error where there is none is a 404.
func closureOf(ctx context.Context, user string) (c closure, err error) {
	var requested int64
	err = store.Tx(ctx).QueryRowContext(ctx, `select request_id, requested_at, closed_at from closures where user_id = $1`, user).
		Scan(&c.requestID, &requested, &c.closedAt)
	if errors.Is(err, sql.ErrNoRows) {
		return closure{}, noClosure(ctx, user)
	}
	c.requestedAt = time.UnixMilli(requested).UTC()
	return c, err
}

func noClosure(ctx context.Context, user string) error {
	if _, err := userOf(ctx, user); err != nil {
		return err
	}
	return web.NotFound("nobody has asked for the account of user " + user + " to be closed")
}

// erasuresOf returns what services have erased of a user, by name.
func erasuresOf(ctx context.Context, user string) ([]Erased, error) {
	return store.Collect(ctx, func(row *sql.Rows) (e Erased, err error) {
		var at int64
		err = row.Scan(&e.Service, &e.Records, &at)
		e.At = time.UnixMilli(at).UTC()
		return e, err
	}, `select service, records, at from erasures where user_id = $1 order by service`, user)
}
