package cli

import (
	"context"
	"database/sql"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/troupedev/troupe/platform/choreo"
	"github.com/troupedev/troupe/platform/console"
	"github.com/troupedev/troupe/platform/event"
	"github.com/troupedev/troupe/platform/store"
	"github.com/troupedev/troupe/platform/store/storetest"
	"github.com/troupedev/troupe/platform/web"
)

// keeping is the shop, with a seller who keeps what was sold, and a ledger that
// counts it.
func keeping() choreo.Topology {
	table := func(sql string) choreo.Store {
		return store.Tables(fstest.MapFS{"00001_table.sql": {Data: []byte("-- +goose Up\n" + sql + ";\n")}})
	}
	sell := func(ctx context.Context, in *sale) (receipt, choreo.Events, error) {
		id := event.From(ctx).ID
		_, err := store.Tx(ctx).ExecContext(ctx, `INSERT INTO sales (id, who) VALUES ($1, $2)`, id, in.Body.Who)
		return receipt{id}, choreo.Emit(sold{id, in.Body.Who}), err
	}
	count := func(ctx context.Context, s sold) (choreo.Events, error) {
		_, err := store.Tx(ctx).ExecContext(ctx, `INSERT INTO counted (id) VALUES ($1)`, s.ID)
		return choreo.Emit(told{s.ID}), err
	}
	counted := func(ctx context.Context, _ *struct{}) (ids []string, err error) {
		return store.Collect(ctx, func(r *sql.Rows) (id string, err error) { return id, r.Scan(&id) }, `SELECT id FROM counted ORDER BY id`)
	}
	return choreo.Topology{
		{Name: "seller", Doc: "Sells.", Store: table("CREATE TABLE sales (id text PRIMARY KEY, who text NOT NULL)"),
			Routes: []choreo.Route{web.Post("/sales", sell, choreo.Emits(sold{}))}},
		{Name: "ledger", Doc: "Counts.", Store: table("CREATE TABLE counted (id text PRIMARY KEY)"),
			Routes:    []choreo.Route{web.Get("/counted", counted)},
			Reactions: []choreo.Reaction{choreo.On(count, choreo.Emits(told{}))}},
	}
}

// awaitCounted waits until the ledger has counted an id.
func (s *started) awaitCounted(t *testing.T, id string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for {
		status, body := s.get(t, "http://"+s.API+"/counted")
		if status == http.StatusOK && strings.Contains(body, id) {
			return
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			t.Fatalf("%s is not counted: %d %s", id, status, body)
		}
	}
}

func (s *started) get(t *testing.T, url string) (status int, body string) {
	t.Helper()
	answer, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Fatal(err)
	}
	return answer.StatusCode, string(text)
}

// launchKeeping runs the keeping shop on an embedded broker.
func launchKeeping(t *testing.T, data string, args ...string) *started {
	t.Helper()
	s := launch(t, keeping(), append([]string{"--data", data, "--embedded", "127.0.0.1:0"}, args...)...)
	found, err := findRunning(data)
	if err != nil {
		t.Fatalf("%v; it ended with %d and said %s", err, s.stop(), s.log)
	}
	s.running = *found
	return s
}

func TestRunKeepsStateOverRestarts(t *testing.T) {
	storetest.Each(t, func(t *testing.T, url string) {
		data := t.TempDir()
		var args []string
		if url != store.Memory {
			args = []string{"--database", url}
		}
		s := launchKeeping(t, data, args...)
		if want := map[bool]string{true: "SQLite files in " + data, false: "Postgres at "}[url == store.Memory]; !strings.Contains(s.banner, want) {
			t.Errorf("the banner lacks %q: %s", want, s.banner)
		}
		first := s.post(t, `{"who":"Ada"}`)
		s.awaitCounted(t, first)
		if status, body := s.get(t, "http://"+s.Console+console.PathReady); status != http.StatusOK {
			t.Errorf("readyz: %d %s", status, body)
		}
		if status := s.stop(); status != 0 {
			t.Fatalf("ended with %d: %s", status, s.log)
		}
		for _, file := range []string{"seller.db", "ledger.db"} {
			if _, err := os.Stat(filepath.Join(data, file)); (err == nil) != (url == store.Memory) {
				t.Errorf("%s: %v", file, err)
			}
		}
		s = launchKeeping(t, data, args...)
		second := s.post(t, `{"who":"Bob"}`)
		s.awaitCounted(t, second)
		if _, body := s.get(t, "http://"+s.API+"/counted"); strings.Count(body, first) != 1 || strings.Count(body, second) != 1 {
			t.Errorf("counted %s", body)
		}
		if status := s.stop(); status != 0 || strings.Contains(s.log.String(), `"level":"ERROR"`) {
			t.Errorf("ended with %d: %s", status, s.log)
		}
	})
}

func TestAnEventFromOutsideCountsOnce(t *testing.T) {
	data := t.TempDir()
	s := launchKeeping(t, data)
	for range 2 {
		answer, err := http.Post("http://"+s.API+web.PathEvents, "application/cloudevents+json", strings.NewReader(
			`{"specversion":"1.0","id":"1","source":"/till","type":"shop.Sold","data":{"id":"till-1","who":"Ada"}}`))
		if err != nil {
			t.Fatal(err)
		}
		answer.Body.Close()
		if answer.StatusCode != http.StatusAccepted {
			t.Errorf("got %s", answer.Status)
		}
	}
	s.awaitCounted(t, "till-1")
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	status, out, complaint := call(ctx, nil, "tail", "shop", "--data", data, "--from", "start", "-n", "3", "--json")
	if status != 0 || strings.Count(out, `"ce_source":"/till"`) != 2 || strings.Count(out, `"type":"shop.Told/v1"`) != 1 {
		t.Errorf("%d %s %s", status, out, complaint)
	}
	if status := s.stop(); status != 0 || strings.Contains(s.log.String(), "ERROR") {
		t.Errorf("ended with %d: %s", status, s.log) // the second would violate the primary key
	}
}

func TestServicesAreListedAndForgotten(t *testing.T) {
	data := t.TempDir()
	running := launchKeeping(t, data)
	list := func(args ...string) string {
		t.Helper()
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		defer cancel()
		status, out, complaint := call(ctx, nil, append([]string{"services", "--data", data}, args...)...)
		if status != 0 {
			t.Fatalf("services %v: %s", args, complaint)
		}
		return out
	}
	if out := list(); !strings.Contains(out, "ledger   database  ") || !strings.Contains(out, "  Counts.  shop.Sold/v2") || !strings.Contains(out, "Sells.") {
		t.Errorf("got %s", out)
	}
	if out := list("--json"); !strings.Contains(out, `"name": "seller"`) || !strings.Contains(out, `"announced": "`) {
		t.Errorf("got %s", out)
	}
	status, _, complaint := call(t.Context(), nil, "services", "forget", "ledger", "--data", data)
	if status != 1 || complaint != "troupe: ledger runs, or ended less than a session ago: stop it first, or --force\n" {
		t.Fatalf("forget one that runs: %d %s", status, complaint)
	}
	if out := list(); !strings.Contains(out, "ledger") {
		t.Errorf("it was forgotten: %s", out)
	}
	if status, _, complaint = call(t.Context(), nil, "services", "forget", "ledger", "--data", data, "--force"); status != 0 {
		t.Fatalf("forget: %s %s", complaint, running.log)
	}
	if out := list(); strings.Contains(out, "ledger") || !strings.Contains(out, "seller") {
		t.Errorf("got %s", out)
	}
	status, _, complaint = call(t.Context(), nil, "services", "forget", "ledger", "--data", data)
	if status != 1 || !strings.Contains(complaint, "ledger") || strings.Count(complaint, "\n") != 1 {
		t.Errorf("forgotten twice: %d %s", status, complaint)
	}
}

// openingFails opens the databases of the keeping shop, which is to fail by one line.
func openingFails(t *testing.T, within time.Duration, url string, wants ...string) {
	t.Helper()
	r := (&program{err: io.Discard}).newRun(&config{Database: url, Connections: 6, Drain: time.Second}, nil, keeping())
	defer r.giveUp()
	ctx, cancel := context.WithTimeout(t.Context(), within)
	defer cancel()
	err := r.openDatabases(ctx)
	if closing := r.close(); closing != nil {
		t.Error(closing)
	}
	if err == nil {
		t.Fatalf("%s was opened", url)
	}
	for _, want := range append(wants, "(--database)") {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("got %v\nwant %s", err, want)
		}
	}
	if strings.Contains(err.Error(), "secret") || strings.Contains(err.Error(), "\n") {
		t.Errorf("the error tells the password, or more than a line: %v", err)
	}
}

func TestDatabasesThatCannotBeOpened(t *testing.T) {
	t.Run("no server", func(t *testing.T) {
		openingFails(t, time.Second, "postgres://me:secret@127.0.0.1:1/troupe", "127.0.0.1:1", "refused")
	})
	t.Run("no folder", func(t *testing.T) {
		file := filepath.Join(t.TempDir(), "file")
		if err := os.WriteFile(file, nil, 0o600); err != nil {
			t.Fatal(err)
		}
		openingFails(t, time.Second, "sqlite:"+file, file)
	})
	if storetest.Chosen() == storetest.SQLite {
		t.Logf("the others need Postgres (%s)", storetest.Variable)
		return
	}
	there, err := url.Parse(storetest.Postgres(t))
	if err != nil {
		t.Fatal(err)
	}
	as := func(user, password string) string {
		u := *there
		u.User = url.UserPassword(user, password)
		return u.String()
	}
	role := fmt.Sprintf("cli_%d", time.Now().UnixNano())
	db, err := sql.Open("pgx", there.String())
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if _, err := db.Exec(fmt.Sprintf(`CREATE ROLE %s LOGIN PASSWORD 'secret'`, role)); err != nil {
		t.Fatal(err)
	}
	defer func() {
		if _, err := db.Exec(`DROP ROLE ` + role); err != nil {
			t.Error(err)
		}
	}()
	t.Run("another password", func(t *testing.T) {
		openingFails(t, patience, as(role, "secret2"), "password authentication failed", role)
	})
	t.Run("no such database", func(t *testing.T) {
		u := *there
		u.Path = "/nothing"
		openingFails(t, patience, u.String(), `database "nothing" does not exist`)
	})
	t.Run("no right to make the schema", func(t *testing.T) {
		openingFails(t, patience, as(role, "secret"), "permission denied for database", "schema seller")
	})
	t.Run("no right on the schema", func(t *testing.T) {
		for _, schema := range []string{"seller", "ledger"} {
			if _, err := db.Exec(`CREATE SCHEMA ` + schema); err != nil {
				t.Fatal(err)
			}
		}
		openingFails(t, patience, as(role, "secret"), "schema seller", role)
	})
}

func TestReadinessTellsOfADatabaseThatIsAway(t *testing.T) {
	r := (&program{err: io.Discard}).newRun(&config{Data: t.TempDir(), Connections: 2, Drain: time.Second}, nil, keeping())
	defer r.giveUp()
	if err := r.openDatabases(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := r.databaseTroubles(); len(got) > 0 {
		t.Errorf("got %v", got)
	}
	late := func(ctx context.Context) ([]choreo.Message, error) {
		m, err := choreo.FromJSON(typesTold[0], []byte(`{"id":"a"}`), event.Envelope{ID: "a"})
		return []choreo.Message{m}, err
	}
	if _, err := r.databases["seller"].Handle(t.Context(), store.Entry{Reaction: "test", ID: "1"}, late); err != nil {
		t.Fatal(err)
	}
	if got := troubleOf(t.Context(), "seller", lagging{r.databases["seller"]}); !strings.Contains(got, "the oldest event in the outbox of seller has waited for Kafka for 1m") {
		t.Errorf("got %q", got)
	}
	if err := os.Rename(filepath.Join(r.config.Data, "seller.db"), filepath.Join(r.config.Data, "elsewhere.db")); err != nil {
		t.Fatal(err)
	}
	if got := r.databaseTroubles(); len(got) != 1 || !strings.HasPrefix(got[0], "the database of seller cannot be written: ") {
		t.Errorf("got %v", got)
	}
	if err := r.close(); err != nil {
		t.Error(err)
	}
	if got := r.databaseTroubles(); len(got) != 2 || !strings.HasPrefix(got[0], "the database of seller does not answer") {
		t.Errorf("got %v", got)
	}
}

// lagging is an outbox that has not been emptied for a minute.
type lagging struct{ *store.DB }

func (l lagging) OutboxLag(ctx context.Context) (time.Duration, error) {
	lag, err := l.DB.OutboxLag(ctx)
	return lag + time.Minute, err
}

// closing is a shop in which the head gathers what was told of each sale.
func closing() choreo.Topology {
	tell := func(_ context.Context, s sold) (choreo.Events, error) { return choreo.Emit(told{s.ID}), nil }
	head := func(context.Context, sold, []told) (choreo.Events, error) { return nil, nil }
	return choreo.Topology{
		{Name: "seller", Doc: "Sells.", Routes: shop()[0].Routes},
		{Name: "teller", Doc: "Tells.", Reactions: []choreo.Reaction{choreo.On(tell, choreo.Emits(told{}))}},
		{Name: "head", Doc: "Gathers.", Store: store.Tables(fstest.MapFS{"00001_table.sql": {Data: []byte("-- +goose Up\nCREATE TABLE t (id text);\n")}}),
			Reactions: []choreo.Reaction{choreo.Gather(head)}},
	}
}

func TestAnEventThatIsSentSaysWhoIsToAnswer(t *testing.T) {
	data := t.TempDir()
	s := launch(t, closing(), "--data", data, "--embedded", "127.0.0.1:0")
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	if status, _, complaint := call(ctx, nil, "send", "Sold", "--data", data, "--json", `{"id":"s-1","who":"Ada"}`); status != 0 {
		t.Fatal(complaint, s.stop(), s.log)
	}
	status, out, complaint := call(ctx, nil, "tail", "shop", "--data", data, "--from", "start", "-n", "1", "--json")
	if want := `"ce_expects":"teller"`; status != 0 || !strings.Contains(out, want) {
		t.Errorf("tail: %d %s %s\nwant %s", status, out, complaint, want)
	}
}

// TestAnAnswerIsSentForAServiceThatIsGone ends a wait that forgetting the
// service does not end.
func TestAnAnswerIsSentForAServiceThatIsGone(t *testing.T) {
	data := t.TempDir()
	gathered := make(chan []told, 1)
	services := closing()
	services[1].Reactions[0] = choreo.On(func(context.Context, sold) (choreo.Events, error) {
		return nil, nil // it will not answer
	}, choreo.Emits(told{}))
	services[2].Reactions[0] = choreo.Gather(func(_ context.Context, _ sold, answers []told) (choreo.Events, error) {
		gathered <- answers
		return nil, nil
	})
	launch(t, services, "--data", data, "--embedded", "127.0.0.1:0")
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	send := func(args ...string) string {
		t.Helper()
		status, out, complaint := call(ctx, nil, append([]string{"send", "--data", data}, args...)...)
		if status != 0 {
			t.Fatal(complaint)
		}
		return out
	}
	request := strings.Fields(send("Sold", "--json", `{"id":"s-1","who":"Ada"}`))[1]
	out := send("Told", "--json", `{"id":"s-1"}`, "--cause", request, "--source", "/services/teller")
	if flow := strings.Fields(out)[3]; flow != request {
		t.Errorf("the answer is of the flow %s, want %s", flow, request)
	}
	select {
	case answers := <-gathered:
		if len(answers) != 1 || answers[0].ID != "s-1" {
			t.Errorf("gathered %+v", answers)
		}
	case <-ctx.Done():
		t.Error("the wait did not end")
	}
}
