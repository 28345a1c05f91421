package cli

import (
	"context"
	"fmt"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/troupedev/troupe/platform/choreo"
	"github.com/troupedev/troupe/platform/store"
)

// schemeSQLite begins a database's address that is a folder of files.
const schemeSQLite = "sqlite:"

const (
	databaseTimeout = 10 * time.Second // for a server to answer; migrations take the time that they take
	lookTimeout     = time.Second      // for a look at a database that is asked whether it is well
	outboxLate      = 10 * time.Second // an outbox's oldest row that is older is worth a word
)

// database is the address of the services' databases.
func (c *config) database() string {
	if c.Database != "" {
		return c.Database
	}
	return schemeSQLite + c.Data
}

// databasePlace says where state is, and no password.
func (c *config) databasePlace() string {
	if folder, ok := strings.CutPrefix(c.database(), schemeSQLite); ok {
		return "SQLite files in " + folder
	}
	u, err := url.Parse(c.Database)
	if err != nil {
		return "Postgres" // its address was good enough for the driver
	}
	return "Postgres at " + u.Host + u.Path
}

// openDatabases opens those of the services that run here, side by side. Where
// several cannot be opened, the first is named: they have one server in common.
func (r *run) openDatabases(ctx context.Context) error {
	opened := make([]*store.DB, len(r.services))
	faults := make([]error, len(r.services))
	var opening sync.WaitGroup
	for i := range r.services {
		if s := &r.services[i]; s.Store != nil {
			opening.Go(func() { opened[i], faults[i] = r.openDatabase(ctx, s) })
		}
	}
	opening.Wait()
	for i, db := range opened {
		if db != nil && faults[i] == nil {
			name := r.services[i].Name
			r.databases[name] = db
			r.onClose("the database of "+name, func(context.Context) error { return db.Close() })
		}
	}
	for _, err := range faults {
		if err != nil {
			return err
		}
	}
	return nil
}

func (r *run) openDatabase(ctx context.Context, s *choreo.Service) (*store.DB, error) {
	db, err := store.Open(ctx, store.Config{
		URL: r.config.database(), Service: s.Name, Tables: s.Store, Connections: r.config.Connections, KeepInbox: r.config.KeepInbox, Wait: databaseTimeout, Logger: r.log,
	})
	if err != nil {
		return nil, fmt.Errorf("database (--database): %w", err)
	}
	return db, nil
}

// databaseTroubles are the databases that do not answer, and those whose events
// wait for the broker, in the order of the services.
func (r *run) databaseTroubles() []string {
	ctx, cancel := context.WithTimeout(context.Background(), lookTimeout)
	defer cancel()
	troubles := make([]string, len(r.services))
	var looking sync.WaitGroup
	for i := range r.services {
		name := r.services[i].Name
		if db := r.databases[name]; db != nil {
			looking.Go(func() { troubles[i] = troubleOf(ctx, name, db) })
		}
	}
	looking.Wait()
	var out []string
	for _, t := range troubles {
		if t != "" {
			out = append(out, t)
		}
	}
	return out
}

func troubleOf(ctx context.Context, service string, db interface {
	OutboxLag(context.Context) (time.Duration, error)
	Writable(context.Context) error
}) string {
	lag, err := db.OutboxLag(ctx)
	if err != nil {
		return fmt.Sprintf("the database of %s does not answer: %v", service, err)
	}
	err = db.Writable(ctx)
	switch {
	case err != nil:
		return fmt.Sprintf("the database of %s cannot be written: %v", service, err)
	case lag > outboxLate:
		return fmt.Sprintf("the oldest event in the outbox of %s has waited for Kafka for %v", service, lag.Round(time.Second))
	}
	return ""
}
