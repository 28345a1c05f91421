package storetest

import (
	"context"
	"fmt"
	"time"

	"github.com/moby/moby/api/types/container"
	"github.com/testcontainers/testcontainers-go"
	"github.com/testcontainers/testcontainers-go/wait"
)

// Image is the Postgres that tests run against.
const Image = "postgres:17"

// Server is a Postgres in a container.
type Server struct {
	URL       string // postgres://…
	container *testcontainers.DockerContainer
}

// Start starts a server that keeps its data in memory and does not wait for any
// disk: what it promises is not what is tested.
func Start(ctx context.Context) (*Server, error) {
	const port = "5432/tcp"
	c, err := testcontainers.Run(ctx, Image,
		testcontainers.WithExposedPorts(port),
		testcontainers.WithEnv(map[string]string{"POSTGRES_PASSWORD": "troupe", "PGDATA": "/data/pg"}),
		testcontainers.WithCmd("postgres", "-c", "fsync=off", "-c", "synchronous_commit=off", "-c", "full_page_writes=off", "-c", "max_connections=400"),
		testcontainers.WithHostConfigModifier(func(host *container.HostConfig) { host.Tmpfs = map[string]string{"/data": "rw"} }),
		// the first "ready" is of the server that initialises the data
		testcontainers.WithWaitStrategyAndDeadline(2*time.Minute,
			wait.ForLog("database system is ready to accept connections").WithOccurrence(2), wait.ForListeningPort(port)),
	)
	if err != nil {
		if c != nil {
			_ = testcontainers.TerminateContainer(c)
		}
		return nil, fmt.Errorf("starting %s: %w", Image, err)
	}
	s := &Server{container: c}
	address, err := c.PortEndpoint(ctx, port, "")
	if err != nil {
		_ = s.End()
		return nil, err
	}
	s.URL = "postgres://postgres:troupe@" + address + "/postgres?sslmode=disable"
	return s, nil
}

// End stops the server; its data is gone.
func (s *Server) End() error { return testcontainers.TerminateContainer(s.container) }
