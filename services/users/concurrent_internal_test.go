package users

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/troupedev/troupe/events/users"
	"github.com/troupedev/troupe/platform/choreo"
	"github.com/troupedev/troupe/platform/event"
	"github.com/troupedev/troupe/platform/store"
	"github.com/troupedev/troupe/platform/store/storetest"
	"github.com/troupedev/troupe/platform/testmain"
	"github.com/troupedev/troupe/services/internal/account"
)

func TestMain(m *testing.M) { testmain.Run(m) }

// request handles a request with the id given as a route does. ok is false
// where the route refused.
func request[A any](t *testing.T, db *storetest.DB, id string, route func(context.Context) (A, choreo.Events, error)) (answer A, events choreo.Events, ok bool) {
	t.Helper()
	m := event.Meta{ID: id, Flow: id, Time: time.UnixMilli(1)}
	for {
		_, err := db.Handle(t.Context(), store.Entry{Reaction: "route", ID: id}, func(ctx context.Context) (_ []choreo.Message, err error) {
			answer, events, err = route(event.With(ctx, m))
			return nil, err
		})
		if !store.IsOutage(err) || t.Context().Err() != nil {
			return answer, events, err == nil
		}
	}
}

func TestOneOfManyGetsTheAddress(t *testing.T) {
	storetest.Each(t, func(t *testing.T, url string) {
		db := storetest.Open(t, url, "users", Service().Store, nil)
		var all sync.WaitGroup
		var registered atomic.Int32
		for i := range 30 {
			in := &RegisterUser{}
			in.Body.Name, in.Body.Email = "Ada", []account.Email{"ada@example.com", "ADA@example.com"}[i%2]
			all.Go(func() {
				if _, _, ok := request(t, db, fmt.Sprintf("u-%d", i), func(ctx context.Context) (RegisteredUser, choreo.Events, error) { return register(ctx, in) }); ok {
					registered.Add(1)
				}
			})
		}
		all.Wait()
		if n := registered.Load(); n != 1 {
			t.Errorf("%d registered with one address", n)
		}
	})
}

// TestAUserGoesOnce lets many delete a user, and have the account closed, at once:
// either happens, once, and all who asked for the closure learn of the same one.
func TestAUserGoesOnce(t *testing.T) {
	storetest.Each(t, func(t *testing.T, url string) {
		db := storetest.Open(t, url, "users", Service().Store, nil)
		for round := range 5 {
			user := fmt.Sprintf("u-%d", round)
			in := &RegisterUser{}
			in.Body.Name, in.Body.Email = "Ada", account.Email(user+"@example.com")
			request(t, db, user, func(ctx context.Context) (RegisteredUser, choreo.Events, error) { return register(ctx, in) })

			var all sync.WaitGroup
			var mu sync.Mutex
			deleted, closures, flows := 0, 0, map[string]bool{}
			for i := range 20 {
				erase := i%2 == 0
				all.Go(func() {
					answer, events, ok := request(t, db, fmt.Sprintf("%s-r-%d", user, i), func(ctx context.Context) (DeletedUser, choreo.Events, error) {
						return remove(ctx, &DeleteUser{ID: user, Erase: erase})
					})
					mu.Lock()
					defer mu.Unlock()
					if ok && erase {
						flows[answer.FlowID] = true
					}
					for _, e := range events {
						switch e.Event.(type) {
						case users.UserDeleted:
							deleted++
						case users.AccountClosureRequested:
							closures++
						}
					}
				})
			}
			all.Wait()
			if deleted+closures != 1 || len(flows) != closures {
				t.Errorf("%s was deleted %d times, and had %d closures, answered as %v", user, deleted, closures, flows)
			}
		}
	})
}

func TestWhoAsksLearnsHowAUserCanBeReached(t *testing.T) {
	storetest.Each(t, func(t *testing.T, url string) {
		db := storetest.Open(t, url, "users", Service().Store, nil)
		in := &RegisterUser{}
		in.Body.Name, in.Body.Email = "Ada", "ada@example.com"
		request(t, db, "u-1", func(ctx context.Context) (RegisteredUser, choreo.Events, error) { return register(ctx, in) })
		for user, want := range map[string]users.ContactFound{
			"u-1": {UserID: "u-1", Name: "Ada", Email: "ada@example.com"},
			"u-2": {UserID: "u-2", Gone: true},
		} {
			err := db.Read(t.Context(), func(ctx context.Context) error {
				found, err := contact(ctx, users.ContactRequested{UserID: user})
				if found != want {
					t.Errorf("the answer is %+v, want %+v", found, want)
				}
				return err
			})
			if err != nil {
				t.Error(err)
			}
		}
	})
}

// TestAClosureIsKnownAfterItsGatheringIsForgotten: gatherings are kept as long
// as the inbox is.
func TestAClosureIsKnownAfterItsGatheringIsForgotten(t *testing.T) {
	storetest.Each(t, func(t *testing.T, url string) {
		db := storetest.Open(t, url, "users", Service().Store, nil)
		request(t, db, "r-1", func(ctx context.Context) (DeletedUser, choreo.Events, error) {
			_, err := store.Exec(ctx, `insert into closures (user_id, request_id, requested_at, closed_at) values ('u-1', 'gone', 1000, 3000)`)
			if err == nil {
				_, err = noteErased(ctx, users.AccountDataErased{UserID: "u-1", Service: "library", Records: 3})
			}
			return DeletedUser{}, nil, err
		})
		var c Closure
		if err := db.Read(t.Context(), func(ctx context.Context) (err error) {
			c, err = showClosure(ctx, &ShowClosure{ID: "u-1"})
			return err
		}); err != nil {
			t.Fatal(err)
		}
		if c.Status != "closed" || len(c.Expected) != 1 || len(c.Answered) != 1 || *c.Answered[0].Records != 3 || len(c.WaitingFor) != 0 {
			t.Errorf("the closure is %+v, want library's answer", c)
		}
	})
}
