// Command postgres runs a command, such as go test, with a Postgres in a
// container for all that it starts: TROUPE_TEST_DATABASE names it. Where that
// says otherwise, or no Docker daemon answers, it runs the command alone.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"

	"github.com/troupedev/troupe/platform/store/storetest"
)

func main() {
	code, err := run(os.Args[1:])
	if err != nil {
		fmt.Fprintln(os.Stderr, "postgres:", err)
		code = max(code, 1)
	}
	os.Exit(code)
}

// run returns the exit code of the command. An interrupt is the command's to
// obey: what is left then is to end the container.
func run(command []string) (code int, fault error) {
	if len(command) == 0 {
		return 0, errors.New("want a command to run")
	}
	signal.Notify(make(chan os.Signal, 1), os.Interrupt)
	c := exec.Command(command[0], command[1:]...)
	c.Stdin, c.Stdout, c.Stderr = os.Stdin, os.Stdout, os.Stderr
	if storetest.Chosen() == storetest.Container {
		server, err := storetest.Start(context.Background())
		if err != nil {
			return 0, err
		}
		defer func() { fault = errors.Join(fault, server.End()) }()
		c.Env = append(os.Environ(), storetest.Variable+"="+server.URL)
	}
	err := c.Run()
	if exit, ok := errors.AsType[*exec.ExitError](err); ok {
		return max(exit.ExitCode(), 1), nil
	}
	return 0, err
}
