package storetest

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/troupedev/troupe/platform/kafka/kafkatest"
)

// databases are those that this binary has made. A test that ends leaves its
// database to the next one, emptied: to create and drop one takes a server that
// waits for its disk a second.
var databases pool

type pool struct {
	mu     sync.Mutex
	server string
	names  []string
	free   []string // URLs
}

// take returns the URL of an empty database.
func (p *pool) take(server string) (string, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if last := len(p.free) - 1; last >= 0 {
		address := p.free[last]
		p.free = p.free[:last]
		return address, nil
	}
	parsed, err := url.Parse(server)
	if err != nil {
		return "", err
	}
	name := fmt.Sprintf("troupe_test_%d_%d", os.Getpid(), len(p.names)+1)
	if err := execute(server, `CREATE DATABASE `+name); err != nil {
		return "", err
	}
	if p.names == nil && Chosen() != Container {
		kafkatest.AtEnd(p.drop)
	}
	p.server, p.names = server, append(p.names, name)
	parsed.Path = "/" + name
	return parsed.String(), nil
}

// giveBack empties a database for the next test.
func (p *pool) giveBack(address string) error {
	err := execute(address, `
		SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid();
		DO $$ DECLARE name text; BEGIN
			FOR name IN SELECT nspname FROM pg_namespace WHERE nspname !~ '^pg_' AND nspname NOT IN ('information_schema', 'public') LOOP
				EXECUTE format('DROP SCHEMA %I CASCADE', name);
			END LOOP;
		END $$`)
	if err != nil {
		return err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.free = append(p.free, address)
	return nil
}

func (p *pool) drop() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	var errs []error
	for _, name := range p.names {
		errs = append(errs, execute(p.server, `DROP DATABASE `+name+` WITH (FORCE)`))
	}
	return errors.Join(errs...)
}

// execute runs statements over a connection of their own.
func execute(address, statements string) error {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	c, err := pgx.Connect(ctx, address)
	if err != nil {
		return err
	}
	defer c.Close(ctx)
	_, err = c.Exec(ctx, statements)
	return err
}
