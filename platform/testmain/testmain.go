// Package testmain runs a test binary whose tests share servers, such as a
// broker or a database in a container: it ends them after the last test, and
// fails where goroutines are left.
//
// Packages kafkatest and storetest start the servers; a package whose tests use
// them has
//
//	func TestMain(m *testing.M) { testmain.Run(m) }
package testmain

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync"
	"testing"
	"time"

	dockerclient "github.com/moby/moby/client"
	"github.com/testcontainers/testcontainers-go"
	"go.uber.org/goleak"
)

// ends are what Run has to call.
var ends struct {
	mu      sync.Mutex
	running bool // Run is
	all     []func() error
}

// Run runs the tests, calls what AtEnd was given, and fails if goroutines are
// left, those apart that ignored names. It does not return.
func Run(m *testing.M, ignored ...goleak.Option) {
	ends.mu.Lock()
	ends.running = true
	ends.mu.Unlock()
	code := m.Run()
	if err := end(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = max(code, 1)
	}
	if code == 0 {
		if err := goleak.Find(append(ignored, leftByTestcontainers()...)...); err != nil {
			fmt.Fprintln(os.Stderr, err)
			code = 1
		}
	}
	os.Exit(code)
}

// AtEnd has Run call stop after the tests. It reports false, and forgets stop,
// where the package's TestMain is not Run: then nobody would call it.
func AtEnd(stop func() error) bool {
	ends.mu.Lock()
	defer ends.mu.Unlock()
	if ends.running {
		ends.all = append(ends.all, stop)
	}
	return ends.running
}

// end calls the stops, the last one first, as it may need what an earlier one ends.
func end() error {
	ends.mu.Lock()
	defer ends.mu.Unlock()
	var errs []error
	for i := len(ends.all) - 1; i >= 0; i-- {
		errs = append(errs, ends.all[i]())
	}
	return errors.Join(errs...)
}

// leftByTestcontainers are the connections to the Docker daemon, which
// testcontainers keeps for itself.
func leftByTestcontainers() []goleak.Option {
	return []goleak.Option{
		goleak.IgnoreAnyFunction("net/http.(*persistConn).readLoop"),
		goleak.IgnoreAnyFunction("net/http.(*persistConn).writeLoop"),
	}
}

// DockerAnswers reports whether there is a Docker daemon to start containers.
// It asks once, for 5 s at most.
func DockerAnswers() bool { return dockerAnswers() }

var dockerAnswers = sync.OnceValue(func() (answers bool) {
	defer func() { // testcontainers panics where it finds no daemon to ask
		if recover() != nil {
			answers = false
		}
	}()
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	client, err := testcontainers.NewDockerClientWithOpts(ctx)
	if err != nil {
		return false
	}
	defer client.Close()
	_, err = client.Client.Ping(ctx, dockerclient.PingOptions{})
	return err == nil
})
