package users_test

import (
	"context"
	"slices"
	"testing"

	"github.com/troupedev/troupe/events/users"
	"github.com/troupedev/troupe/platform/choreo"
	"github.com/troupedev/troupe/platform/choreotest"
	"github.com/troupedev/troupe/platform/event"
	service "github.com/troupedev/troupe/services/users"
)

// holder is a service that holds data of users: nothing in users knows of it.
func holder(name string, records int32) choreo.Service {
	return choreo.Service{Name: name, Doc: "Holds data of users.", Reactions: []choreo.Reaction{
		choreo.On(func(_ context.Context, q users.AccountClosureRequested) (choreo.Events, error) {
			return choreo.Emit(users.AccountDataErased{UserID: q.UserID, Service: name, Records: records}), nil
		}, choreo.Emits(users.AccountDataErased{})),
	}}
}

// silent is a service that ought to answer and does not.
func silent(name string) choreo.Service {
	return choreo.Service{Name: name, Doc: "Holds data of users.", Reactions: []choreo.Reaction{
		choreo.On(func(context.Context, users.AccountClosureRequested) (choreo.Events, error) {
			return nil, nil
		}, choreo.Emits(users.AccountDataErased{})),
	}}
}

func TestAnAccountIsClosedOnceAllHaveErased(t *testing.T) {
	choreotest.Play(t, func(s *choreotest.Stage) {
		id := register(t, s, ada).UserID
		started := choreotest.Request[service.DeletedUser](s, 202, "DELETE", "/users/"+id+"?erase=true", "")
		if again := choreotest.Request[service.DeletedUser](s, 202, "DELETE", "/users/"+id+"?erase=true", ""); again != started {
			t.Errorf("asked again it answers %+v, want %+v", again, started)
		}
		closed := choreotest.All[users.AccountClosed](s)
		if len(closed) != 1 || closed[0] != (users.AccountClosed{UserID: id, Name: "Ada", Email: "ada@example.com"}) {
			t.Errorf("published were %+v, want the account closed once", closed)
		}
		if n := len(choreotest.All[users.AccountClosureRequested](s)); n != 1 {
			t.Errorf("the closure was requested %d times, want once", n)
		}
		if status, answer := s.Request("GET", "/users/"+id, ""); status != 404 {
			t.Errorf("the user: got %d %s, want 404", status, answer)
		}
		if rows := s.Rows("users", `select * from users`); len(rows) != 0 {
			t.Errorf("left of the user is %v", rows)
		}

		c := choreotest.Get[service.Closure](s, "/users/"+id+"/closure")
		if c.Status != "closed" || c.ClosedAt == nil || len(c.WaitingFor) != 0 || !slices.Equal(c.Expected, []string{"library", "post"}) {
			t.Errorf("the closure is %+v", c)
		}
		records := map[string]int32{}
		for _, a := range c.Answered {
			if a.Records == nil || a.At.IsZero() {
				t.Fatalf("answered has %+v, want records and time", a)
			}
			records[a.Service] = *a.Records
		}
		if len(records) != 2 || records["library"] != 3 || records["post"] != 0 {
			t.Errorf("answered are %v", records)
		}
	}, service.Service(), holder("library", 3), holder("post", 0))
}

func TestAClosureSaysWhoIsWaitedFor(t *testing.T) {
	choreotest.Play(t, func(s *choreotest.Stage) {
		id := register(t, s, ada).UserID
		if status, answer := s.Request("GET", "/users/"+id+"/closure", ""); status != 404 {
			t.Errorf("before: got %d %s, want 404", status, answer)
		}
		choreotest.Request[service.DeletedUser](s, 202, "DELETE", "/users/"+id+"?erase=true", "")
		c := choreotest.Get[service.Closure](s, "/users/"+id+"/closure")
		if c.Status != "requested" || c.ClosedAt != nil || !slices.Equal(c.WaitingFor, []string{"post"}) ||
			len(c.Answered) != 1 || c.Answered[0].Service != "library" {
			t.Errorf("the closure is %+v", c)
		}
		if u := choreotest.Get[service.User](s, "/users/"+id); u.Status != "closing" {
			t.Errorf("the user is %+v, want closing", u)
		}
		if status, answer := s.Request("DELETE", "/users/"+id, ""); status != 409 {
			t.Errorf("deleting: got %d %s, want 409", status, answer)
		}
		if status, answer := s.Request("POST", "/users", ada); status != 409 {
			t.Errorf("registering with the address: got %d %s, want 409", status, answer)
		}
		if n := len(choreotest.All[users.AccountClosed](s)); n != 0 {
			t.Errorf("the account was closed %d times, before post had answered", n)
		}
	}, service.Service(), holder("library", 3), silent("post"))
}

func TestAnAccountThatNobodyElseKnowsIsClosedAtOnce(t *testing.T) {
	choreotest.Play(t, func(s *choreotest.Stage) {
		id := register(t, s, ada).UserID
		choreotest.Request[service.DeletedUser](s, 202, "DELETE", "/users/"+id+"?erase=true", "")
		if n := len(choreotest.All[users.AccountClosed](s)); n != 1 {
			t.Errorf("the account was closed %d times, want once", n)
		}
	}, service.Service())
}

// contactOf asks users about the user that an event is about, and tells what it learnt.
func contactOf[E event.Event](ctx context.Context, e E) (choreo.Events, error) {
	found, err := choreo.Ask(ctx, users.ContactRequested{UserID: e.Key()})
	return choreo.Emit(found), err
}

func TestUsersTellsHowAUserCanBeReached(t *testing.T) {
	emits := choreo.Emits(users.ContactRequested{}, users.ContactFound{})
	for name, c := range map[string]struct {
		asks   choreo.Reaction
		delete string
		want   users.ContactFound
	}{
		"while there is one":     {choreo.On(contactOf[users.UserRegistered], emits), "", users.ContactFound{Name: "Ada", Email: "ada@example.com"}},
		"who was deleted":        {choreo.On(contactOf[users.UserDeleted], emits), "?erase=false", users.ContactFound{Gone: true}},
		"whose account is ended": {choreo.On(contactOf[users.AccountClosureRequested], emits), "?erase=true", users.ContactFound{Gone: true}},
	} {
		t.Run(name, func(t *testing.T) {
			choreotest.Play(t, func(s *choreotest.Stage) {
				id := register(t, s, ada).UserID
				if c.delete != "" {
					choreotest.Request[service.DeletedUser](s, 202, "DELETE", "/users/"+id+c.delete, "")
				}
				c.want.UserID = id
				s.Emitted(c.want)
			}, service.Service(), choreo.Service{Name: "asker", Doc: "Asks users.", Reactions: []choreo.Reaction{c.asks}})
		})
	}
}
