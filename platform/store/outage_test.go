package store_test

import (
	"bytes"
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"net"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/troupedev/troupe/platform/choreo"
	"github.com/troupedev/troupe/platform/store"
	"golang.org/x/sync/errgroup"
)

func TestIsOutage(t *testing.T) {
	server := func(code string) error { return fmt.Errorf("selling: %w", &pgconn.PgError{Code: code}) }
	for _, c := range []struct {
		name string
		err  error
		want bool
	}{
		{"none", nil, false},
		{"serialisation failure", server("40001"), true},
		{"deadlock", server("40P01"), true},
		{"a lock not given in time", server("55P03"), true},
		{"connection failure", server("08006"), true},
		{"too many connections", server("53300"), true},
		{"disk full", server("53100"), true},
		{"shutting down", server("57P01"), true},
		{"crashed", server("57P02"), true},
		{"starting", server("57P03"), true},
		{"idle in a transaction for too long", server("25P03"), true},
		{"a plan older than a migration", &pgconn.PgError{Code: "0A000", Routine: "RevalidateCachedQuery"}, true},
		{"a feature that is missing", server("0A000"), false},
		{"a unique violation", server("23505"), false},
		{"a syntax error", server("42601"), false},
		{"read only, as after a failover", server("25006"), true},
		{"a system that fails", server("58030"), true},
		{"a code that is none", server(""), false},
		{"a bad connection", fmt.Errorf("selling: %w", driver.ErrBadConn), true},
		{"no row", sql.ErrNoRows, false},
		{"a handler that took too long", context.DeadlineExceeded, false},
		{"somebody else's server that is away", &net.OpError{Op: "dial", Err: errors.New("connection refused")}, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := store.IsOutage(c.err); got != c.want {
				t.Errorf("got %v for %v", got, c.err)
			}
		})
	}
}

func TestAConnectionLostInTheTransactionIsAnOutage(t *testing.T) {
	onPostgres(t, func(t *testing.T, url string) {
		db, admin := open(t, url), open(t, url, func(c *store.Config) { c.Service = "admin" })
		for name, handle := range map[string]func(ctx context.Context) error{
			"and the handler says so": func(ctx context.Context) error {
				_, err := take("pear", 2)(ctx)
				return fmt.Errorf("selling: %w", err)
			},
			"and the handler goes on":      func(ctx context.Context) error { _, _ = take("pear", 2)(ctx); return nil },
			"and the handler sees nothing": func(context.Context) error { return nil },
		} {
			t.Run(name, func(t *testing.T) {
				duplicate, err := db.Handle(t.Context(), entry(name), func(ctx context.Context) ([]choreo.Message, error) {
					var pid int
					if err := store.Tx(ctx).QueryRowContext(ctx, `SELECT pg_backend_pid()`).Scan(&pid); err != nil {
						return nil, err
					}
					messages, err := take("pear", 1)(ctx)
					if err != nil {
						return nil, err
					}
					must(t, admin, name, exec(`SELECT pg_terminate_backend($1, 5000)`, pid))
					return messages, handle(ctx)
				})
				if duplicate || !store.IsOutage(err) {
					t.Errorf("got %v, %v; want an outage", duplicate, err)
				}
			})
		}
		wantState(t, db, 10, 0, 0)
		must(t, db, "1", take("pear", 1))
	})
}

func TestOfTwoInADeadlockOneIsAnOutage(t *testing.T) {
	onPostgres(t, func(t *testing.T, url string) {
		db := open(t, url)
		var outages atomic.Int64
		var both sync.WaitGroup
		both.Add(2)
		var group errgroup.Group
		for _, order := range [][2]string{{"pear", "apple"}, {"apple", "pear"}} {
			group.Go(func() error {
				met := sync.OnceFunc(func() { both.Done(); both.Wait() })
				for {
					duplicate, err := db.Handle(t.Context(), entry(order[0]), func(ctx context.Context) ([]choreo.Message, error) {
						if _, err := take(order[0], 1)(ctx); err != nil {
							return nil, err
						}
						met()
						_, _ = take(order[1], 1)(ctx) // goes on, which must not hide it
						return nil, nil
					})
					if !store.IsOutage(err) {
						return errors.Join(err, isFalse(duplicate))
					}
					outages.Add(1)
				}
			})
		}
		if err := group.Wait(); err != nil {
			t.Fatal(err)
		}
		if outages.Load() != 1 {
			t.Errorf("%d outages", outages.Load())
		}
		wantState(t, db, 8, 0, 2)
	})
}

func isFalse(duplicate bool) error {
	if duplicate {
		return errors.New("a duplicate")
	}
	return nil
}

func TestWaitingForAConnectionInVainIsAnOutage(t *testing.T) {
	each(t, func(t *testing.T, url string) {
		db := open(t, url, func(c *store.Config) { c.Connections = 2 })
		release, taken := make(chan struct{}), make(chan struct{}, 2)
		var group errgroup.Group
		const holders = 1 // the other one reads
		for n := range holders {
			group.Go(func() error {
				_, err := db.Handle(t.Context(), entry(fmt.Sprint("holds", n)), func(ctx context.Context) ([]choreo.Message, error) {
					_, err := store.Tx(ctx).ExecContext(ctx, `SELECT 1`)
					taken <- struct{}{}
					<-release
					return nil, err
				})
				return err
			})
		}
		for range holders {
			<-taken
		}
		ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
		defer cancel()
		if _, err := db.Handle(ctx, entry("waits"), take("pear", 1)); !store.IsOutage(err) || !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("got %v, want an outage", err)
		}
		close(release)
		if err := group.Wait(); err != nil {
			t.Error(err)
		}
	})
}

// The answer to COMMIT does not arrive, though it was done.
func TestACommitWhoseAnswerIsLostIsADuplicateNextTime(t *testing.T) {
	onPostgres(t, func(t *testing.T, address string) {
		through := &proxy{to: hostOf(t, address)}
		db := open(t, through.start(t, address))
		through.cutAfter.Store("COMMIT")
		duplicate, err := db.Handle(t.Context(), entry("1"), take("pear", 1))
		if duplicate || !store.IsOutage(err) {
			t.Errorf("got %v, %v; want an outage", duplicate, err)
		}
		through.cutAfter.Store("")
		duplicate, err = db.Handle(t.Context(), entry("1"), take("pear", 1))
		if !duplicate || err != nil {
			t.Errorf("the next attempt: %v, %v; want a duplicate", duplicate, err)
		}
		wantState(t, db, 9, 1, 1)
	})
}

func TestAServerThatIsAwayIsAnOutage(t *testing.T) {
	onPostgres(t, func(t *testing.T, address string) {
		through := &proxy{to: hostOf(t, address)}
		db := open(t, through.start(t, address))
		must(t, db, "1", take("pear", 1))
		through.away.Store(true)
		through.cut()
		for range 3 {
			if _, err := db.Handle(t.Context(), entry("2"), take("pear", 1)); !store.IsOutage(err) {
				t.Errorf("got %v, want an outage", err)
			}
		}
		if err := db.Read(t.Context(), exists); !store.IsOutage(err) {
			t.Errorf("got %v, want an outage", err)
		}
		through.away.Store(false)
		must(t, db, "2", take("pear", 1))
		wantState(t, db, 8, 2, 2)
	})
}

func exists(ctx context.Context) error {
	_, err := store.Tx(ctx).ExecContext(ctx, `SELECT 1`)
	return err
}

// proxy stands between a client and its server.
type proxy struct {
	to       string
	away     atomic.Bool  // it takes no connection
	refuse   atomic.Int64 // nor so many more
	cutAfter atomic.Value // string: having sent that on, it answers no more

	mu    sync.Mutex
	conns []net.Conn
}

func hostOf(t *testing.T, address string) string {
	t.Helper()
	parsed, err := url.Parse(address)
	if err != nil {
		t.Fatal(err)
	}
	return parsed.Host
}

// start returns the address that leads through the proxy.
func (p *proxy) start(t *testing.T, address string) string {
	t.Helper()
	p.cutAfter.Store("")
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var all sync.WaitGroup
	all.Go(func() {
		for {
			client, err := listener.Accept()
			if err != nil {
				return
			}
			server, err := net.Dial("tcp", p.to)
			if err != nil || p.away.Load() || p.refuse.Add(-1) >= 0 {
				client.Close()
				if err == nil {
					server.Close()
				}
				continue
			}
			p.mu.Lock()
			p.conns = append(p.conns, client, server)
			p.mu.Unlock()
			var silent atomic.Bool
			all.Go(func() { p.copy(server, client, &silent, true) })
			all.Go(func() { p.copy(client, server, &silent, false) })
		}
	})
	t.Cleanup(func() {
		listener.Close()
		p.cut()
		all.Wait()
	})
	return strings.Replace(address, p.to, listener.Addr().String(), 1)
}

// copy moves what comes from one side to the other until either ends.
func (p *proxy) copy(to, from net.Conn, silent *atomic.Bool, asking bool) {
	defer to.Close()
	defer from.Close()
	buffer := make([]byte, 64<<10)
	for {
		n, err := from.Read(buffer)
		if err != nil || !asking && silent.Load() {
			return // what the server says is lost
		}
		if end := p.cutAfter.Load().(string); asking && end != "" && bytes.Contains(buffer[:n], []byte(end)) {
			silent.Store(true)
		}
		if _, err := to.Write(buffer[:n]); err != nil {
			return
		}
	}
}

// cut ends every connection.
func (p *proxy) cut() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, c := range p.conns {
		c.Close()
	}
	p.conns = nil
}
