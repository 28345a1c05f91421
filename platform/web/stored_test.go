package web

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"testing/fstest"
	"time"

	"github.com/troupedev/troupe/platform/choreo"
	"github.com/troupedev/troupe/platform/event"
	"github.com/troupedev/troupe/platform/failpoint"
	"github.com/troupedev/troupe/platform/store"
	"github.com/troupedev/troupe/platform/store/storetest"
)

// desk sells as the shop does, and keeps what it sold.
func desk() choreo.Service {
	type sold1 struct {
		ID string `path:"id"`
	}
	type page struct {
		After string `query:"after"`
		Limit int    `query:"limit" default:"2" minimum:"1" maximum:"3"`
	}
	list := func(ctx context.Context, in *page) ([]string, error) {
		return store.Collect(ctx, func(r *sql.Rows) (id string, err error) { return id, r.Scan(&id) },
			`SELECT id FROM sales WHERE id > $1 ORDER BY id LIMIT $2`, in.After, in.Limit)
	}
	look := func(ctx context.Context, in *sold1) (out receipt, err error) {
		err = store.Tx(ctx).QueryRowContext(ctx, `SELECT id, who FROM sales WHERE id = $1`, in.ID).Scan(&out.ID, &out.Flow)
		if errors.Is(err, sql.ErrNoRows) {
			return out, NotFound("there is no sale " + in.ID)
		}
		return out, err
	}
	drop := func(ctx context.Context, in *sold1) (receipt, choreo.Events, error) {
		result, err := store.Tx(ctx).ExecContext(ctx, `DELETE FROM sales WHERE id = $1`, in.ID)
		if err != nil {
			return receipt{}, nil, err
		}
		if n, _ := result.RowsAffected(); n == 0 {
			return receipt{}, nil, NotFound("there is no sale " + in.ID)
		}
		return receipt{ID: in.ID}, choreo.Emit(other{sold{ID: in.ID}}).After(time.Hour, other{sold{ID: in.ID}}), nil
	}
	return choreo.Service{
		Name: "desk", Doc: "Sells.",
		Store: store.Tables(fstest.MapFS{"00001_sales.sql": {Data: []byte(
			"-- +goose Up\nCREATE TABLE sales (id text PRIMARY KEY, who text NOT NULL);\n")}}),
		Routes: []choreo.Route{
			Post("/sales", keepSale, choreo.Emits(sold{})),
			Delete("/sales/{id}", drop, choreo.Emits(other{})),
			Get("/sales/{id}", look), Get("/sales", list),
		},
	}
}

func keepSale(ctx context.Context, in *sale) (receipt, choreo.Events, error) {
	m := event.From(ctx)
	if _, err := store.Tx(ctx).ExecContext(ctx, `INSERT INTO sales (id, who) VALUES ($1, $2)`, m.ID, in.Body.Who); err != nil {
		return receipt{}, nil, err
	}
	switch in.Body.Who {
	case "nobody":
		return receipt{}, nil, Conflict("nobody buys here any more")
	case "breaker":
		return receipt{}, nil, errors.New("secret of the house")
	case "panicker":
		panic("secret of the house")
	case "liar":
		return receipt{}, choreo.Emit(other{}), nil
	}
	return receipt{m.ID, m.Flow}, choreo.Emit(sold{ID: m.ID}), nil
}

// onEach runs test on each kind of database, which may be opened several times.
func onEach(t *testing.T, test func(t *testing.T, url string)) {
	t.Helper()
	storetest.Each(t, func(t *testing.T, url string) {
		if url == store.Memory {
			url = "sqlite:" + t.TempDir()
		}
		test(t, url)
	})
}

// openDesk opens the database of the desk.
func openDesk(t *testing.T, url string) *store.DB {
	t.Helper()
	s := desk()
	db, err := store.Open(t.Context(), store.Config{URL: url, Service: s.Name, Tables: s.Store, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	return db
}

// serveDesk is the desk's API over a database.
func serveDesk(t *testing.T, db Database) http.Handler {
	t.Helper()
	h, err := Handler(choreo.Topology{desk()}, Options{
		Databases: map[string]Database{"desk": db}, Logger: slog.New(slog.DiscardHandler), Now: func() time.Time { return noon },
	})
	if err != nil {
		t.Fatal(err)
	}
	return h
}

// kept counts the rows of a table.
func kept(t *testing.T, db Database, table string) (n int) {
	t.Helper()
	err := db.Read(t.Context(), func(ctx context.Context) error {
		return store.Tx(ctx).QueryRowContext(ctx, `SELECT count(*) FROM `+table).Scan(&n)
	})
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// check demands so many sales, with as many events.
func check(t *testing.T, db Database, sales int) {
	t.Helper()
	if n, events := kept(t, db, "sales"), kept(t, db, "troupe_outbox"); n != sales || events != sales {
		t.Errorf("%d sales and %d events are kept, want %d of each", n, events, sales)
	}
}

func TestStateAndEventsAreKeptTogether(t *testing.T) {
	onEach(t, func(t *testing.T, url string) {
		db := openDesk(t, url)
		h := serveDesk(t, db)
		if w := do(h, "POST", "/sales", goodSale); w.Code != http.StatusAccepted {
			t.Fatalf("got %d %s", w.Code, w.Body)
		}
		check(t, db, 1)
		for _, c := range []struct {
			who    string
			status int
			want   string
		}{
			{"nobody", 409, "nobody buys here any more"},
			{"breaker", 500, "its log says why"},
			{"panicker", 500, "its log says why"},
			{"liar", 500, "its log says why"},
			{"", 422, "body.who"},
		} {
			w := do(h, "POST", "/sales", saleOf(c.who))
			if w.Code != c.status || !strings.Contains(w.Body.String(), c.want) || strings.Contains(w.Body.String(), "secret") {
				t.Errorf("%s: got %d %s", c.who, w.Code, w.Body)
			}
			check(t, db, 1)
		}
	})
}

func TestDeletingAndReading(t *testing.T) {
	onEach(t, func(t *testing.T, url string) {
		db := openDesk(t, url)
		h := serveDesk(t, db)
		for _, id := range []string{"a", "b", "c"} {
			_, err := db.Handle(t.Context(), store.Entry{Reaction: "test", ID: id}, func(ctx context.Context) ([]choreo.Message, error) {
				_, err := store.Tx(ctx).ExecContext(ctx, `INSERT INTO sales (id, who) VALUES ($1, 'Ada')`, id)
				return nil, err
			})
			if err != nil {
				t.Fatal(err)
			}
		}
		for _, c := range []struct {
			method, path string
			status       int
			want         string
		}{
			{"GET", "/sales", 200, `["a","b"]`},
			{"GET", "/sales?limit=3", 200, `["a","b","c"]`},
			{"GET", "/sales?after=a&limit=1", 200, `["b"]`},
			{"GET", "/sales?limit=4", 422, "query.limit"},
			{"GET", "/sales?before=a", 422, "query.before"},
			{"GET", "/sales/b", 200, `"id":"b","flow":"Ada"`},
			{"GET", "/sales/x", 404, "there is no sale x"},
			{"DELETE", "/sales/b", 202, `"id":"b"`},
			{"DELETE", "/sales/b", 404, "there is no sale b"},
			{"GET", "/sales/b", 404, "there is no sale b"},
			{"PUT", "/sales/b", 405, "it takes DELETE, GET, HEAD"},
		} {
			if w := do(h, c.method, c.path, ""); w.Code != c.status || !strings.Contains(w.Body.String(), c.want) {
				t.Errorf("%s %s: got %d %s", c.method, c.path, w.Code, w.Body)
			}
		}
		if now, later := kept(t, db, "troupe_outbox"), kept(t, db, "troupe_later"); now != 1 || later != 1 {
			t.Errorf("%d events are kept to be published and %d for later, want one of each", now, later)
		}
	})
}

func TestDeletionSentAgainIsAnsweredTheSame(t *testing.T) {
	onEach(t, func(t *testing.T, url string) {
		db := openDesk(t, url)
		h := serveDesk(t, db)
		do(h, "POST", "/sales", goodSale, idempotencyKey, "k")
		path := "/sales/" + event.DeriveID("request", "desk", "POST /sales", "k")
		first, again := do(h, "DELETE", path, "", idempotencyKey, "k"), do(h, "DELETE", path, "", idempotencyKey, "k")
		if first.Code != 202 || again.Code != 202 || first.Body.String() != again.Body.String() {
			t.Errorf("got %d %s, then %d %s", first.Code, first.Body, again.Code, again.Body)
		}
		if w := do(h, "DELETE", path, "", idempotencyKey, "k2"); w.Code != 404 {
			t.Errorf("got %d %s", w.Code, w.Body)
		}
	})
}

func TestAnswersAreKeptOverRestartsAndForOtherInstances(t *testing.T) {
	onEach(t, func(t *testing.T, url string) {
		db := openDesk(t, url)
		first := do(serveDesk(t, db), "POST", "/sales", goodSale, idempotencyKey, "k")
		for name, h := range map[string]http.Handler{
			"after a restart": serveDesk(t, db), "by another instance": serveDesk(t, openDesk(t, url)),
		} {
			again := do(h, "POST", "/sales", goodSale, idempotencyKey, "k")
			if again.Code != first.Code || again.Body.String() != first.Body.String() || again.Header().Get("Content-Type") != first.Header().Get("Content-Type") {
				t.Errorf("%s: got %d %s, at first %d %s", name, again.Code, again.Body, first.Code, first.Body)
			}
			if w := do(h, "POST", "/sales", saleOf("Bob"), idempotencyKey, "k"); w.Code != 422 || !strings.Contains(w.Body.String(), "was used for another request") {
				t.Errorf("%s: got %d %s", name, w.Code, w.Body)
			}
		}
		check(t, db, 1)
		refused := do(serveDesk(t, db), "POST", "/sales", saleOf("nobody"), idempotencyKey, "other")
		if w := do(serveDesk(t, db), "POST", "/sales", goodSale, idempotencyKey, "other"); refused.Code != 409 || w.Code != 202 {
			t.Errorf("a request that was refused keeps its key: %d, then %d %s", refused.Code, w.Code, w.Body)
		}
	})
}

func TestAKeyOfLongAgoIsAConflict(t *testing.T) {
	onEach(t, func(t *testing.T, url string) {
		db := openDesk(t, url)
		h := serveDesk(t, db)
		do(h, "POST", "/sales", goodSale, idempotencyKey, "k")
		if _, err := db.Handle(t.Context(), store.Entry{Reaction: "Forget", ID: "1"}, func(ctx context.Context) ([]choreo.Message, error) {
			_, inbox := store.Tx(ctx).ExecContext(ctx, `DELETE FROM troupe_inbox WHERE reaction = 'POST /sales'`)
			_, answers := store.Tx(ctx).ExecContext(ctx, `DELETE FROM troupe_answers`)
			return nil, errors.Join(inbox, answers)
		}); err != nil {
			t.Fatal(err)
		}
		if w := do(h, "POST", "/sales", goodSale, idempotencyKey, "k"); w.Code != http.StatusConflict || !strings.Contains(w.Body.String(), "send a new request with another key") {
			t.Errorf("got %d %s", w.Code, w.Body)
		}
		check(t, db, 1)
	})
}

func TestDuplicatesAtOnceGetOneAnswer(t *testing.T) {
	onEach(t, func(t *testing.T, url string) {
		here, there := openDesk(t, url), openDesk(t, url)
		handlers := []http.Handler{serveDesk(t, here), serveDesk(t, there)}
		var answers [16]*httptest.ResponseRecorder
		var all sync.WaitGroup
		for i := range answers {
			all.Go(func() { answers[i] = do(handlers[i%2], "POST", "/sales", goodSale, idempotencyKey, "k") })
		}
		all.Wait()
		for _, w := range answers {
			if w.Code != http.StatusAccepted || w.Body.String() != answers[0].Body.String() {
				t.Errorf("got %d %s, and %s", w.Code, w.Body, answers[0].Body)
			}
		}
		check(t, here, 1)
	})
}

// shaky is a database whose connection is lost: before or after so many calls
// of Handle have done what they do.
type shaky struct {
	*store.DB
	before, after int
}

var errLost = fmt.Errorf("the cable: %w", driver.ErrBadConn)

func (s *shaky) Handle(ctx context.Context, e store.Entry, h func(context.Context) ([]choreo.Message, error)) (bool, error) {
	if s.before > 0 {
		s.before--
		return false, errLost
	}
	duplicate, err := s.DB.Handle(ctx, e, h)
	if s.after > 0 {
		s.after--
		return false, errLost
	}
	return duplicate, err
}

func (s *shaky) Read(ctx context.Context, read func(context.Context) error) error {
	if s.before > 0 {
		s.before--
		return errLost
	}
	return s.DB.Read(ctx, read)
}

func TestAnOutageIsTriedAgainAndThenSaid(t *testing.T) {
	for _, c := range []struct {
		name          string
		before, after int
		sales         int // that are kept in the end
		status        int
	}{
		{"lost before", 2, 0, 1, 202},
		{"lost after the commit", 0, 1, 1, 202},
		{"lost after the commit, and again", 0, 3, 1, 202},
		{"away", 99, 0, 0, 503},
	} {
		for _, key := range []string{"", "k"} {
			t.Run(c.name+" with key "+key, func(t *testing.T) {
				db := openDesk(t, store.Memory)
				h := serveDesk(t, &shaky{db, c.before, c.after})
				var headers []string
				if key != "" {
					headers = []string{idempotencyKey, key}
				}
				w := do(h, "POST", "/sales", goodSale, headers...)
				if w.Code != c.status || (w.Header().Get("Retry-After") != "") != (c.status == 503) {
					t.Errorf("got %d %s", w.Code, w.Body)
				}
				if c.status == 503 && !strings.Contains(w.Body.String(), "the database did not say") {
					t.Errorf("got %s", w.Body)
				}
				check(t, db, c.sales)
			})
		}
	}
	db := openDesk(t, store.Memory)
	if w := do(serveDesk(t, &shaky{db, 1, 0}), "GET", "/sales", ""); w.Code != 200 {
		t.Errorf("got %d %s", w.Code, w.Body)
	}
	if w := do(serveDesk(t, &shaky{db, 99, 0}), "GET", "/sales", ""); w.Code != 503 || w.Header().Get("Retry-After") == "" || !strings.Contains(w.Body.String(), "ask again") {
		t.Errorf("got %d %s", w.Code, w.Body)
	}
}

func TestStepsThatFail(t *testing.T) {
	for step, sales := range map[string]int{
		failpoint.HandlerStarts: 0, failpoint.HandlerEnded: 0, failpoint.StoreCommits: 0, failpoint.StoreCommitted: 1,
	} {
		t.Run(step, func(t *testing.T) {
			db := openDesk(t, store.Memory)
			h := serveDesk(t, db)
			fails := failpoint.With(t.Context(), func(reached string) error {
				if reached == step {
					return errors.New("the test wants it")
				}
				return nil
			})
			r := httptest.NewRequestWithContext(fails, "POST", "/sales", strings.NewReader(goodSale))
			r.Header.Set("Content-Type", "application/json")
			r.Header.Set(idempotencyKey, "k")
			w := httptest.NewRecorder()
			h.ServeHTTP(w, r)
			if w.Code != 500 {
				t.Errorf("got %d %s", w.Code, w.Body)
			}
			check(t, db, sales)
			if w := do(h, "POST", "/sales", goodSale, idempotencyKey, "k"); w.Code != 202 {
				t.Errorf("sent again, got %d %s", w.Code, w.Body)
			}
			check(t, db, 1)
		})
	}
}

func TestWhatWasBegunIsDoneWhenTheClientHasGone(t *testing.T) {
	db := openDesk(t, store.Memory)
	ctx, leave := context.WithCancel(t.Context())
	leave()
	r := httptest.NewRequestWithContext(ctx, "POST", "/sales", strings.NewReader(goodSale))
	r.Header.Set("Content-Type", "application/json")
	serveDesk(t, db).ServeHTTP(httptest.NewRecorder(), r)
	check(t, db, 1)
}

func TestADatabaseHasToBeThere(t *testing.T) {
	_, err := Handler(choreo.Topology{desk()}, Options{})
	if err == nil || !strings.Contains(err.Error(), "desk: route POST /sales: the service has a Store, and its database is not in Options.Databases") {
		t.Errorf("got %v", err)
	}
}

func TestProblemsOfRoutesAreDescribed(t *testing.T) {
	spec := do(serveDesk(t, openDesk(t, store.Memory)), "GET", "/openapi.yaml", "").Body.String()
	_, after, _ := strings.Cut(spec, "/sales/{id}:")
	for _, want := range []string{`"404":`, `"409":`, `"503":`, "Idempotency-Key", "delete:", `"202":`} {
		if !strings.Contains(after, want) {
			t.Errorf("no %s in %s", want, after)
		}
	}
}
