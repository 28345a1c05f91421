// Package cli is the command troupe: it runs services, shows what they declare,
// and looks at what they emit.
//
// It holds no logic of its own; it reads settings, puts the other packages of
// the platform together, and prints. Which services there are it is told by
// [Main], whose only caller is the program.
//
// Start with [Main]; each command has a file of its own, and run.go is the one
// that the others are about.
package cli

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/troupedev/troupe/platform/choreo"
)

// Option says more of the program than its services.
type Option struct{ apply func(*program) }

// Demo lets `troupe run --demo N` send requests to the services' own API. make
// returns a function that returns one request after the other, as path and
// JSON body; the same seed gives the same requests.
func Demo(make func(seed uint64) func() (path string, body []byte)) Option {
	return Option{func(p *program) { p.demo = make }}
}

// Main runs the command that the process was called with, and ends the process:
// with status 1 and a line on standard error if the command failed.
func Main(topology choreo.Topology, options ...Option) {
	ctx, restore := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, restore) // a second signal ends the process at once
	p := &program{topology: topology, environ: environ(os.Environ()), in: os.Stdin, out: os.Stdout, err: os.Stderr}
	for _, o := range options {
		o.apply(p)
	}
	os.Exit(p.main(ctx, os.Args[1:]))
}

// program is one call of the command, with all that it can reach.
type program struct {
	topology choreo.Topology
	demo     func(seed uint64) func() (path string, body []byte)
	environ  map[string]string
	in       io.Reader
	out, err io.Writer
}

func environ(list []string) map[string]string {
	out := make(map[string]string, len(list))
	for _, entry := range list {
		name, value, _ := strings.Cut(entry, "=")
		out[name] = value
	}
	return out
}

// main returns the exit status.
func (p *program) main(ctx context.Context, args []string) int {
	root := p.root()
	root.SetArgs(args)
	root.SetIn(p.in)
	root.SetOut(p.out)
	root.SetErr(p.err)
	err := root.ExecuteContext(ctx)
	if err == nil {
		return 0
	}
	for line := range strings.Lines(err.Error()) {
		fmt.Fprintf(p.err, "troupe: %s\n", strings.TrimPrefix(strings.TrimRight(line, "\n"), "troupe: "))
	}
	return 1
}

func (p *program) root() *cobra.Command {
	root := &cobra.Command{
		Use:           "troupe",
		Short:         "Event choreography on Kafka",
		SilenceUsage:  true, // an error is one line, not a page
		SilenceErrors: true, // main prints it
	}
	root.CompletionOptions.HiddenDefaultCmd = true
	root.AddCommand(p.runCommand(), p.topologyCommand(), p.servicesCommand(), p.settingsCommand(),
		p.tailCommand(), p.sendCommand(), p.healthCommand(), p.versionCommand())
	return root
}

// argument checks that a command is given one argument, called name.
func argument(name string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if len(args) != 1 {
			return fmt.Errorf("%s takes one %s, not %d; see %s --help", cmd.Name(), name, len(args), cmd.CommandPath())
		}
		return nil
	}
}
