package rig

import (
	"context"
	"fmt"
	"net/netip"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/api/types/network"
	"github.com/testcontainers/testcontainers-go"
	"github.com/testcontainers/testcontainers-go/wait"
)

// PostgresImage is the Postgres that tests run against.
const PostgresImage = "postgres:17"

// Postgres is a server in a container, at one address with its data whether it
// runs or not.
type Postgres struct {
	Addr string // host:port

	databases atomic.Int64
	container *testcontainers.DockerContainer
}

// NewPostgres starts a server. It writes before it says that it did, but waits
// for no disk: what was committed outlives the server, not the machine.
func NewPostgres(ctx context.Context) (*Postgres, error) {
	addr, err := FreeAddr()
	if err != nil {
		return nil, err
	}
	inside := network.MustParsePort("5432/tcp")
	c, err := testcontainers.Run(ctx, PostgresImage,
		testcontainers.WithExposedPorts(inside.String()),
		testcontainers.WithEnv(map[string]string{"POSTGRES_PASSWORD": "troupe"}),
		testcontainers.WithCmd("postgres", "-c", "fsync=off", "-c", "max_connections=400"),
		testcontainers.WithHostConfigModifier(func(host *container.HostConfig) {
			host.PortBindings = network.PortMap{inside: {{HostIP: netip.MustParseAddr("127.0.0.1"), HostPort: port(addr)}}}
		}),
		// the first "ready" is of the server that initialises the data
		testcontainers.WithWaitStrategyAndDeadline(2*time.Minute,
			wait.ForLog("database system is ready to accept connections").WithOccurrence(2), wait.ForListeningPort(inside.String())),
	)
	if err != nil {
		if c != nil {
			_ = testcontainers.TerminateContainer(c)
		}
		return nil, fmt.Errorf("starting %s: %w", PostgresImage, err)
	}
	return &Postgres{Addr: addr, container: c}, nil
}

// Create creates a database, and returns its URL. Its user may do everything.
func (p *Postgres) Create(ctx context.Context) (string, error) {
	name := fmt.Sprintf("troupe_%d", p.databases.Add(1))
	c, err := pgx.Connect(ctx, p.url("postgres"))
	if err != nil {
		return "", err
	}
	defer c.Close(ctx)
	_, err = c.Exec(ctx, "CREATE DATABASE "+name)
	return p.url(name), err
}

func (p *Postgres) url(database string) string {
	return "postgres://postgres:troupe@" + p.Addr + "/" + database + "?sslmode=disable"
}

// Stop shuts the server down; its data stays.
func (p *Postgres) Stop(t testing.TB) { p.stop(t, 20*time.Second) }

// Kill ends it at once, as by SIGKILL.
func (p *Postgres) Kill(t testing.TB) { p.stop(t, 0) }

func (p *Postgres) stop(t testing.TB, patience time.Duration) {
	t.Helper()
	if err := p.container.Stop(context.Background(), &patience); err != nil {
		t.Fatalf("stopping Postgres: %v", err)
	}
}

// Start starts it again, at the same address with the same data.
func (p *Postgres) Start(t testing.TB) {
	t.Helper()
	if err := p.container.Start(context.Background()); err != nil {
		t.Fatalf("starting Postgres again: %v", err)
	}
}

// Close ends the server and throws its data away.
func (p *Postgres) Close() error { return testcontainers.TerminateContainer(p.container) }
