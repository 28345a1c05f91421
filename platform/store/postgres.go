package store

import (
	"cmp"
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/stdlib"
)

// postgres is what only a database on a server has.
type postgres struct {
	config *pgx.ConnConfig // of every connection, its search_path set
	schema string
}

// How long a server lets a transaction wait for a lock, and for its client. The
// first ends up as an outage, so that waiting does not use up a handler's
// attempts; the second frees the locks of a process that hangs.
const (
	lockTimeout = 10 * time.Second
	idleTimeout = 5 * time.Minute
)

func (db *DB) openPostgres() error {
	config, err := pgx.ParseConfig(db.config.URL)
	if err != nil {
		return fmt.Errorf("store: %s: %w", db.config.Service, err) // pgx leaves the password out
	}
	db.kind = isPostgres
	db.postgres = &postgres{config, strings.ReplaceAll(db.config.Service, "-", "_")}
	defaults := map[string]string{
		"lock_timeout":                        milliseconds(lockTimeout),
		"idle_in_transaction_session_timeout": milliseconds(idleTimeout),
		"application_name":                    "troupe " + db.config.Service,
	}
	for name, value := range defaults {
		if _, ok := config.RuntimeParams[name]; !ok {
			config.RuntimeParams[name] = value
		}
	}
	config.RuntimeParams["search_path"] = pgx.Identifier{db.postgres.schema}.Sanitize()
	reading := max(1, db.config.Connections/3)
	db.write = db.postgres.pool(db.config.Connections - reading)
	db.read = db.postgres.pool(reading)
	return nil
}

func milliseconds(d time.Duration) string { return fmt.Sprint(d.Milliseconds()) }

// pool is a pool of connections of the service.
func (p *postgres) pool(connections int) *sql.DB {
	pool := sql.OpenDB(connector{stdlib.GetConnector(*p.config), onServer{}})
	pool.SetMaxOpenConns(connections)
	pool.SetMaxIdleConns(connections)
	pool.SetConnMaxIdleTime(5 * time.Minute)
	return pool
}

// onServer is how connections to Postgres differ.
type onServer struct{}

func (onServer) lost(c driverConn) bool { return c.(*stdlib.Conn).Conn().IsClosed() }

// begin sends BEGIN and what puts the entry into the inbox in one go, which
// makes up for the look before the handler.
func (d onServer) begin(ctx context.Context, c driverConn, o driver.TxOptions, u *unit) (driver.Tx, error) {
	if u == nil {
		return c.BeginTx(ctx, o)
	}
	pg := c.(*stdlib.Conn).Conn()
	if pg.IsClosed() {
		return nil, driver.ErrBadConn
	}
	entering, args := u.entering()
	batch := &pgx.Batch{}
	batch.Queue("BEGIN")
	batch.Queue(entering, args...)
	results := pg.SendBatch(ctx, batch)
	_, err := results.Exec()
	var entered pgconn.CommandTag
	if err == nil {
		entered, err = results.Exec()
	}
	err = cmp.Or(err, results.Close())
	tx := &serverTx{ctx, pg}
	switch {
	case err == nil && entered.RowsAffected() == 1:
		return tx, nil
	case err == nil:
		err = errDuplicate
	case pgconn.SafeToRetry(err):
		return nil, driver.ErrBadConn // database/sql takes another connection
	}
	if undone := tx.Rollback(); undone != nil && !d.lost(c) {
		err = errors.Join(err, undone, pg.Close(ctx))
	}
	return nil, err
}

// serverTx is a transaction that onServer began.
type serverTx struct {
	ctx  context.Context
	conn *pgx.Conn
}

func (t *serverTx) Commit() error {
	done, err := t.conn.Exec(t.ctx, "COMMIT")
	if err == nil && done.String() == "ROLLBACK" {
		return pgx.ErrTxCommitRollback
	}
	return err
}

// Rollback works after its context has ended too: the connection lives on.
func (t *serverTx) Rollback() error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(t.ctx), rollbackTimeout)
	defer cancel()
	_, err := t.conn.Exec(ctx, "ROLLBACK")
	return err
}

// rollbackTimeout is how long a rollback may take before its connection is closed.
const rollbackTimeout = 5 * time.Second

// where says whom a connection is to, and as whom.
func (p *postgres) where() string {
	return fmt.Sprintf("role %s, server %s:%d, database %s, schema %s", p.config.User, p.config.Host, p.config.Port, p.config.Database, p.schema)
}

// unreachable marks errors of connecting that may pass: the server did not say
// no, or said not yet.
func unreachable(err error) error {
	_, said := errors.AsType[*pgconn.PgError](err)
	_, network := errors.AsType[net.Error](err)
	if !said && (network || errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF)) {
		return &outage{err}
	}
	return err
}

// await waits until the server answers.
func (db *DB) await(ctx context.Context) error {
	if db.config.Wait > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, db.config.Wait)
		defer cancel()
	}
	wait := time.NewTimer(0)
	defer wait.Stop()
	var last error
	for pause := 50 * time.Millisecond; ; pause = min(2*pause, time.Second) {
		select {
		case <-wait.C:
		case <-ctx.Done():
			if last != nil {
				return fmt.Errorf("%w; the last answer: %w", ctx.Err(), last)
			}
			return ctx.Err()
		}
		err := db.write.PingContext(ctx)
		if err == nil || !isStarting(err) && ctx.Err() == nil {
			return err
		}
		if ctx.Err() == nil {
			last = err
			db.config.Logger.DebugContext(ctx, "the database does not answer yet", "service", db.config.Service, "err", err)
		}
		wait.Reset(pause)
	}
}

// createSchema makes the service's schema where there is none. Where there is
// one, nothing is asked of the server: a role may be allowed to use its schema,
// and not to create any.
func (p *postgres) createSchema(ctx context.Context, conn *sql.Conn) error {
	var allowed bool
	err := conn.QueryRowContext(ctx, `SELECT has_schema_privilege(oid, 'USAGE') FROM pg_namespace WHERE nspname = $1`, p.schema).Scan(&allowed)
	switch {
	case errors.Is(err, sql.ErrNoRows):
		if _, err = conn.ExecContext(ctx, `CREATE SCHEMA `+pgx.Identifier{p.schema}.Sanitize()); err != nil {
			return fmt.Errorf("creating the schema: %w", err)
		}
		return nil
	case err == nil && !allowed:
		return fmt.Errorf("the role may not use the schema; as its owner: GRANT USAGE, CREATE ON SCHEMA %s TO %s", p.schema, p.config.User)
	}
	return err
}

// locked runs do while no other process does so for the same schema.
func (p *postgres) locked(ctx context.Context, pool *sql.DB, do func(*sql.Conn) error) (err error) {
	conn, err := pool.Conn(ctx)
	if err != nil {
		return err
	}
	defer conn.Close()
	if _, err := conn.ExecContext(ctx, `SET lock_timeout = 0`); err != nil {
		return err
	}
	if _, err := conn.ExecContext(ctx, `SELECT pg_advisory_lock(hashtextextended('troupe migrates ' || $1, 0))`, p.schema); err != nil {
		return err
	}
	defer func() {
		ctx := context.WithoutCancel(ctx)
		_, unlocked := conn.ExecContext(ctx, `SELECT pg_advisory_unlock(hashtextextended('troupe migrates ' || $1, 0))`, p.schema)
		_, reset := conn.ExecContext(ctx, `SET lock_timeout = `+milliseconds(lockTimeout))
		err = errors.Join(err, unlocked, reset)
	}()
	return do(conn)
}
