// Package rig looks at Troupe from the outside, for the tests and programs
// beside it: it builds the binary, runs it as processes that can be killed,
// gives them a mail server that can go away, orders over HTTP, and reads topics
// and mail over the wire.
//
// It uses nothing of the platform's own but its schemas folder: records are
// read by franz-go and decoded by hamba/avro, so that a fault of the platform's
// reader does not hide one of its writer. Start reading at [Process]
// and [Log].
package rig

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"time"
)

// Root is the project's folder, found upwards from the working directory.
func Root() (string, error) {
	dir, err := os.Getwd()
	if err != nil {
		return "", err
	}
	for {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			return dir, nil
		}
		parent := filepath.Dir(dir)
		if parent == dir {
			return "", errors.New("no go.mod here or above; run this in the project's folder")
		}
		dir = parent
	}
}

// Build builds the command into folder, and returns its path. TROUPE_BINARY,
// where set, is used as it is.
func Build(ctx context.Context, folder string) (string, error) {
	if path := os.Getenv("TROUPE_BINARY"); path != "" {
		return path, nil
	}
	return build(ctx, filepath.Join(folder, "troupe"))
}

// BuildMortal builds the command so that it dies at the step that
// TROUPE_FAILPOINT names: see the package platform/failpoint.
func BuildMortal(ctx context.Context, folder string) (string, error) {
	return build(ctx, filepath.Join(folder, "troupe-mortal"), "-tags", "failpoint")
}

func build(ctx context.Context, path string, flags ...string) (string, error) {
	root, err := Root()
	if err != nil {
		return "", err
	}
	args := append([]string{"build", "-o", path}, flags...)
	cmd := exec.CommandContext(ctx, "go", append(args, ".")...)
	cmd.Dir = root
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("go build: %w\n%s", err, out)
	}
	return path, nil
}

// FreeAddr returns a loopback address that nothing listens on. Its port is below
// those that systems give to connections, any of which may take it meanwhile.
func FreeAddr() (string, error) {
	var err error
	for range 100 {
		var l net.Listener
		if l, err = net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", 16_384+rand.IntN(16_384))); err == nil {
			return l.Addr().String(), l.Close()
		}
	}
	return "", err
}

// poll is how often [Await] looks.
const poll = 25 * time.Millisecond

// final is an error that no waiting will mend.
type final struct{ error }

// Await asks check until it returns nil. Where ctx ends first, the error is
// check's last one: what was still missing.
func Await(ctx context.Context, check func(context.Context) error) error {
	tick := time.NewTicker(poll)
	defer tick.Stop()
	for {
		err := check(ctx)
		if err == nil {
			return nil
		}
		if _, ok := errors.AsType[final](err); ok {
			return err
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("%w: %w", context.Cause(ctx), err)
		case <-tick.C:
		}
	}
}
