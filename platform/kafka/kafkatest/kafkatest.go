// Package kafkatest gives tests a broker: real Kafka in a container, or the
// embedded one in the test's process. TROUPE_TEST_BROKER says which, container
// or embedded; without it Broker takes the embedded one, which is there in
// milliseconds, and Kafka the container wherever a Docker daemon answers.
//
// The brokers of one test binary are shared, so tests give their topics and
// groups names of their own (Name). testmain.Run, called by TestMain, stops them.
// A test that stops and starts a broker takes one for itself with New.
package kafkatest

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/testcontainers/testcontainers-go"
	"github.com/troupedev/troupe/platform/kafka/embedded"
	"github.com/troupedev/troupe/platform/testmain"
)

// Variable is the environment variable that chooses the broker.
const Variable = "TROUPE_TEST_BROKER"

// Kind is what stands behind a broker's address.
type Kind string

// The kinds, as Variable has them.
const (
	Embedded  Kind = "embedded"
	Container Kind = "container"
)

// Chosen is the kind that Variable asks for, else the one given.
func Chosen(otherwise Kind) Kind {
	switch kind := Kind(os.Getenv(Variable)); kind {
	case "":
		return otherwise
	case Embedded, Container:
		return kind
	default:
		panic(fmt.Sprintf("%s=%s: want container or embedded", Variable, kind))
	}
}

// Broker is the address of a broker, embedded unless Variable says otherwise.
// It is shared by the tests of this binary.
func Broker(t testing.TB) string {
	t.Helper()
	return shared.get(t, Chosen(Embedded))
}

// Kafka is the address of real Kafka where a Docker daemon answers, and of the
// embedded broker where none does, unless Variable says otherwise. It is
// shared by the tests of this binary.
func Kafka(t testing.TB) string {
	t.Helper()
	return shared.get(t, Preferred())
}

// Preferred is the kind that Kafka takes.
func Preferred() Kind {
	if Chosen("") == "" && testmain.DockerAnswers() {
		return Container
	}
	return Chosen(Embedded)
}

var names atomic.Int64

// Name is a name for a topic or group that no other test of this binary uses.
func Name(t testing.TB) string {
	clean := strings.Map(func(r rune) rune {
		if r == '/' || r == '#' || r == ' ' || r > 126 {
			return '-'
		}
		return r
	}, t.Name())
	return fmt.Sprintf("%s-%d", strings.ToLower(clean), names.Add(1))
}

// Server is a broker that one test has to itself, at one address whether it
// runs or not.
type Server struct {
	Addr string // host:port
	Kind Kind

	dir       string
	embedded  *embedded.Broker
	container *testcontainers.DockerContainer
}

// New starts a broker of the kind that Broker takes, stopped when the test ends.
func New(t testing.TB) *Server {
	t.Helper()
	return NewOf(t, Chosen(Embedded))
}

// NewOf starts a broker of a kind, stopped when the test ends.
func NewOf(t testing.TB, kind Kind) *Server {
	t.Helper()
	s, err := start(kind, t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.end(); err != nil {
			t.Error(err)
		}
	})
	return s
}

// Stop stops the broker; its data stays.
func (s *Server) Stop(t testing.TB) {
	t.Helper()
	s.stop(t, 20*time.Second)
}

// Kill stops the broker by SIGKILL where it is a process of its own, and as
// Stop does where it is not.
func (s *Server) Kill(t testing.TB) {
	t.Helper()
	s.stop(t, 0)
}

func (s *Server) stop(t testing.TB, patience time.Duration) {
	t.Helper()
	var err error
	switch s.Kind {
	case Container:
		err = s.container.Stop(context.Background(), &patience)
	default:
		err = s.embedded.Close()
		s.embedded = nil
	}
	if err != nil {
		t.Fatalf("stopping the broker: %v", err)
	}
}

// Start starts it again, at the same address with the same data.
func (s *Server) Start(t testing.TB) {
	t.Helper()
	var err error
	switch s.Kind {
	case Container:
		err = s.container.Start(context.Background())
	default:
		s.embedded, err = embedded.Start(embedded.Config{Listen: s.Addr, DataDir: s.dir})
	}
	if err != nil {
		t.Fatalf("starting the broker again: %v", err)
	}
}

func start(kind Kind, dir string) (*Server, error) {
	if kind == Container {
		return startContainer()
	}
	dir = filepath.Join(dir, "kafka")
	b, err := embedded.Start(embedded.Config{Listen: "127.0.0.1:0", DataDir: dir})
	if err != nil {
		return nil, err
	}
	return &Server{Addr: b.Addr(), Kind: kind, dir: dir, embedded: b}, nil
}

func (s *Server) end() error {
	switch {
	case s.container != nil:
		return testcontainers.TerminateContainer(s.container)
	case s.embedded != nil:
		return s.embedded.Close()
	}
	return nil
}

// shared holds the brokers that all tests of this binary use.
var shared = &pool{servers: make(map[Kind]*Server)}

type pool struct {
	mu      sync.Mutex
	servers map[Kind]*Server
	dirs    []string
}

func (p *pool) get(t testing.TB, kind Kind) string {
	t.Helper()
	p.mu.Lock()
	defer p.mu.Unlock()
	if s, ok := p.servers[kind]; ok {
		return s.Addr
	}
	if len(p.servers) == 0 && !testmain.AtEnd(p.stop) {
		t.Fatal("nobody would stop the broker after the tests: the package's TestMain has to be testmain.Run")
	}
	dir, err := os.MkdirTemp("", "troupe-kafka-")
	if err != nil {
		t.Fatal(err)
	}
	p.dirs = append(p.dirs, dir)
	s, err := start(kind, dir)
	if err != nil {
		t.Fatal(err)
	}
	p.servers[kind] = s
	return s.Addr
}

func (p *pool) stop() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	var errs []error
	for _, s := range p.servers {
		errs = append(errs, s.end())
	}
	for _, dir := range p.dirs {
		errs = append(errs, os.RemoveAll(dir))
	}
	clear(p.servers)
	return errors.Join(errs...)
}
