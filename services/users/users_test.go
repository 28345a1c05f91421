package users_test

import (
	"strings"
	"testing"

	"github.com/troupedev/troupe/events/users"
	"github.com/troupedev/troupe/platform/choreotest"
	service "github.com/troupedev/troupe/services/users"
)

const ada = `{"name":"Ada","email":"ada@example.com"}`

func register(t *testing.T, s *choreotest.Stage, body string) service.RegisteredUser {
	t.Helper()
	return choreotest.Request[service.RegisteredUser](s, 202, "POST", "/users", body)
}

func TestRegisteringSavesTheUserAndSaysSo(t *testing.T) {
	choreotest.Play(t, func(s *choreotest.Stage) {
		a := register(t, s, ada)
		if a.UserID == "" || a.FlowID != a.UserID {
			t.Errorf("the answer is %+v, want a user, and the flow by the same id", a)
		}
		u := choreotest.Get[service.User](s, "/users/"+a.UserID)
		if u.Name != "Ada" || u.Email != "ada@example.com" || u.Status != "active" || u.RegisteredAt.IsZero() {
			t.Errorf("the user is %+v", u)
		}
		s.Emitted(users.UserRegistered{UserID: a.UserID, Name: "Ada", Email: "ada@example.com", RegisteredAt: u.RegisteredAt})
		s.NothingElse()
	}, service.Service())
}

func TestAnAddressIsOfOneUser(t *testing.T) {
	choreotest.Play(t, func(s *choreotest.Stage) {
		register(t, s, `{"name":"Änne","email":"änne@example.com"}`)
		if status, answer := s.Request("POST", "/users", `{"name":"Änne","email":"ÄNNE@example.com"}`); status != 409 {
			t.Errorf("letters beyond ASCII: got %d %s, want 409", status, answer)
		}
		first := register(t, s, ada)
		for _, again := range []string{ada, `{"name":"Other","email":"ADA@Example.com"}`} {
			if status, answer := s.Request("POST", "/users", again); status != 409 {
				t.Errorf("%s: got %d %s, want 409", again, status, answer)
			}
		}
		choreotest.Request[service.DeletedUser](s, 202, "DELETE", "/users/"+first.UserID, "")
		if second := register(t, s, ada); second.UserID == first.UserID {
			t.Error("a new user has the id of one who was deleted")
		}
		if n := len(choreotest.All[users.UserRegistered](s)); n != 3 {
			t.Errorf("%d registrations were published, want 3", n)
		}
	}, service.Service())
}

func TestABadRegistrationIsRefusedByItsField(t *testing.T) {
	for name, c := range map[string]struct{ body, field string }{
		"no name":             {`{"email":"ada@example.com"}`, "body.name"},
		"an empty name":       {`{"name":"","email":"ada@example.com"}`, "body.name"},
		"a mail that is none": {`{"name":"Ada","email":"ada"}`, "body.email"},
		"a mail with a name":  {`{"name":"Ada","email":"Ada <ada@example.com>"}`, "body.email"},
	} {
		t.Run(name, func(t *testing.T) {
			choreotest.Play(t, func(s *choreotest.Stage) {
				status, answer := s.Request("POST", "/users", c.body)
				if status != 422 || !strings.Contains(answer, `"`+c.field+`"`) {
					t.Errorf("got %d %s, want a 422 that names %s", status, answer, c.field)
				}
				s.NothingElse()
			}, service.Service())
		})
	}
}

func TestUsersAreListedInPages(t *testing.T) {
	choreotest.Play(t, func(s *choreotest.Stage) {
		if empty := choreotest.Get[service.Users](s, "/users"); empty.Users == nil || len(empty.Users) != 0 {
			t.Errorf("the empty list is %+v, want []", empty)
		}
		want := map[string]bool{}
		for _, name := range []string{"ada", "grace", "edsger"} {
			want[register(t, s, `{"name":"`+name+`","email":"`+name+`@example.com"}`).UserID] = true
		}
		last := ""
		for path := "/users?limit=2"; ; path = "/users?limit=2&after=" + last {
			page := choreotest.Get[service.Users](s, path).Users
			for _, u := range page {
				if u.UserID <= last || !want[u.UserID] {
					t.Fatalf("%s has %s after %q, want each user once, ordered by id", path, u.UserID, last)
				}
				last = u.UserID
				delete(want, last)
			}
			if len(page) < 2 {
				break
			}
		}
		if len(want) > 0 {
			t.Errorf("no page has %v", want)
		}
	}, service.Service())
}

func TestADeletedUserIsGone(t *testing.T) {
	choreotest.Play(t, func(s *choreotest.Stage) {
		id := register(t, s, ada).UserID
		deleted := choreotest.Request[service.DeletedUser](s, 202, "DELETE", "/users/"+id, "")
		if deleted.UserID != id || deleted.FlowID == "" || deleted.FlowID == id {
			t.Errorf("the answer is %+v, want the user, and a flow of its own", deleted)
		}
		for _, request := range [][2]string{
			{"GET", "/users/" + id}, {"DELETE", "/users/" + id}, {"DELETE", "/users/" + id + "?erase=true"}, {"GET", "/users/" + id + "/closure"},
		} {
			if status, answer := s.Request(request[0], request[1], ""); status != 404 || !strings.Contains(answer, id) {
				t.Errorf("%v: got %d %s, want a 404 that names the user", request, status, answer)
			}
		}
		all := choreotest.All[users.UserDeleted](s)
		if len(all) != 1 || all[0].UserID != id || all[0].Name != "Ada" || all[0].Email != "ada@example.com" || all[0].DeletedAt.IsZero() {
			t.Errorf("published were %+v, want one deletion with the user's name and address", all)
		}
	}, service.Service())
}
