package notifications

import (
	"context"
	"database/sql"
	"errors"
	"net"
	"slices"
	"sync"
	"testing"

	"github.com/wneessen/go-mail"

	"github.com/troupedev/troupe/platform/choreo"
	"github.com/troupedev/troupe/platform/event"
	"github.com/troupedev/troupe/platform/store"
	"github.com/troupedev/troupe/platform/store/storetest"
	"github.com/troupedev/troupe/platform/testmain"
)

func TestMain(m *testing.M) { testmain.Run(m) }

// post is a service with h as its mail server.
func post(t *testing.T, h *host) *service {
	t.Helper()
	server, err := newServer(settings{SMTP: "smtp://host:25", From: "shop@example.com"})
	if err != nil {
		t.Fatal(err)
	}
	var talks sync.WaitGroup
	t.Cleanup(talks.Wait)
	server.options = append(server.options, mail.WithTLSPolicy(mail.NoTLS), mail.WithDialContextFunc(func(context.Context, string, string) (net.Conn, error) {
		ours, theirs := net.Pipe()
		talks.Go(func() { h.serve(theirs) })
		return ours, nil
	}))
	return &service{server: server, gate: newGate()}
}

// tell handles an event by a mail to Ada; then is what comes between the mail and the commit.
func tell(t *testing.T, db *storetest.DB, s *service, id string, then error) (duplicate bool, err error) {
	t.Helper()
	return db.Handle(t.Context(), store.Entry{Reaction: "r", ID: id}, func(ctx context.Context) ([]choreo.Message, error) {
		if _, err := s.send(event.With(ctx, event.Meta{ID: id}), letterToAda); err != nil {
			return nil, err
		}
		return nil, then
	})
}

func marked(t *testing.T, db *storetest.DB) (ids []string) {
	t.Helper()
	err := db.Read(t.Context(), func(ctx context.Context) (err error) {
		ids, err = store.Collect(ctx, func(row *sql.Rows) (id string, err error) { return id, row.Scan(&id) }, `select event_id from mails`)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return ids
}

func TestAMailWhoseCommitFailedIsNotSentAgain(t *testing.T) {
	storetest.Each(t, func(t *testing.T, url string) {
		db := storetest.Open(t, url, "notifications", Service().Store, nil)
		var h host
		s := post(t, &h)
		gone := errors.New("the database is gone")
		if _, err := tell(t, db, s, "e-1", gone); !errors.Is(err, gone) || len(marked(t, db)) != 0 {
			t.Fatalf("got %v, marked are %v", err, marked(t, db))
		}
		if duplicate, err := tell(t, db, s, "e-1", nil); duplicate || err != nil {
			t.Errorf("again: duplicate %t, %v", duplicate, err)
		}
		if got := marked(t, db); !slices.Equal(got, []string{"e-1"}) || len(h.mails()) != 1 {
			t.Errorf("the server took %d mails, marked are %v, want one", len(h.mails()), got)
		}
	})
}

func TestADuplicateAtTheSameTimeSendsNothing(t *testing.T) {
	storetest.Each(t, func(t *testing.T, url string) {
		db := storetest.Open(t, url, "notifications", Service().Store, nil)
		var h host
		var all sync.WaitGroup
		for range 8 {
			s := post(t, &h) // each in a process of its own
			all.Go(func() {
				for {
					if _, err := tell(t, db, s, "e-1", nil); err == nil || !store.IsOutage(err) {
						return // a duplicate may also be told so by the error of its first statement
					}
				}
			})
		}
		all.Wait()
		if got := marked(t, db); !slices.Equal(got, []string{"e-1"}) || len(h.mails()) != 1 {
			t.Errorf("the server took %d mails, marked are %v, want one", len(h.mails()), got)
		}
	})
}

func TestAMailThatIsRefusedIsNotMarked(t *testing.T) {
	storetest.Each(t, func(t *testing.T, url string) {
		db := storetest.Open(t, url, "notifications", Service().Store, nil)
		h := host{recipient: "451 come back later"}
		if _, err := tell(t, db, post(t, &h), "e-1", nil); err == nil || len(marked(t, db)) != 0 {
			t.Errorf("got %v, marked are %v", err, marked(t, db))
		}
	})
}
