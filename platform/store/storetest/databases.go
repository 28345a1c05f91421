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
	"github.com/troupedev/troupe/platform/testmain"
)

// databases are those that this binary has made. A test that ends leaves its
// database to the next one, emptied: to create and drop one takes a server that
// waits for its disk a second. Where nobody would drop them after the last test,
// each is dropped by the test that took it.
var databases pool

type pool struct {
	mu     sync.Mutex
	server string
	made   int
	kept   bool              // until the last test has ended
	names  map[string]string // of all that are there, by URL
	free   []string          // URLs
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
	p.made++
	name := fmt.Sprintf("troupe_test_%d_%d", os.Getpid(), p.made)
	if err := execute(server, `CREATE DATABASE `+name); err != nil {
		return "", err
	}
	if p.names == nil {
		p.names, p.kept = map[string]string{}, testmain.AtEnd(p.drop)
	}
	parsed.Path = "/" + name
	p.server, p.names[parsed.String()] = server, name
	return parsed.String(), nil
}

// giveBack empties a database for the next test.
func (p *pool) giveBack(address string) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.kept {
		return p.dropOne(address)
	}
	err := execute(address, `
		SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid();
		DO $$ DECLARE name text; BEGIN
			FOR name IN SELECT nspname FROM pg_namespace WHERE nspname !~ '^pg_' AND nspname NOT IN ('information_schema', 'public') LOOP
				EXECUTE format('DROP SCHEMA %I CASCADE', name);
			END LOOP;
		END $$`)
	if err == nil {
		p.free = append(p.free, address)
	}
	return err
}

func (p *pool) drop() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	var errs []error
	for address := range p.names {
		errs = append(errs, p.dropOne(address))
	}
	return errors.Join(errs...)
}

func (p *pool) dropOne(address string) error {
	name := p.names[address]
	delete(p.names, address)
	return execute(p.server, `DROP DATABASE `+name+` WITH (FORCE)`)
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
