package cli

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"github.com/troupedev/troupe/platform/choreo"
	"github.com/troupedev/troupe/platform/console/inbox"
	"github.com/troupedev/troupe/platform/kafka"
	"github.com/troupedev/troupe/platform/runtime"
	"github.com/troupedev/troupe/platform/store"
)

func (p *program) runCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "run [SERVICE…]",
		Short: "Run services, default all; without --brokers on an embedded broker",
		Long: "Runs the services named, by default all, in one process, until it is interrupted; what is in hand is finished then.\n" +
			"A second interrupt ends it at once.",
		ValidArgs: p.topology.Names(),
		RunE: func(cmd *cobra.Command, names []string) error {
			c, environ, err := p.configure(cmd)
			if err != nil {
				return err
			}
			if err := p.topology.Validate(); err != nil {
				return err
			}
			services, err := p.topology.Select(names...)
			if err != nil {
				return err
			}
			r := p.newRun(c, environ, services)
			defer r.giveUp()
			return r.run(cmd.Context())
		},
	}
	addFlags(cmd)
	return cmd
}

// run is one `troupe run`: what it has opened, and how that is closed again.
type run struct {
	*program
	config   *config
	environ  map[string]string
	services choreo.Topology // that run here
	log      *slog.Logger
	state    *state
	failed   chan error // why it cannot go on, from what runs in the background
	closers  []closer   // closed in reverse

	inbox     *inbox.Inbox // nil: mail goes elsewhere
	databases map[string]*store.DB
	client    *kafka.Client
	producer  *kafka.Producer
	directory *runtime.Directory
	health    runtime.Health

	hearing    context.Context // ends when the runtime is to end
	heard      chan struct{}   // closed when it has; nil: it was not opened
	publishing context.Context // ends by giveUp: when requests are to wait for the broker no longer
	giveUp     context.CancelFunc

	about running
}

func (p *program) newRun(c *config, environ map[string]string, services choreo.Topology) *run {
	r := &run{
		program: p, config: c, environ: environ, services: services,
		log: c.logger(p.err), state: newState(), failed: make(chan error, 1),
		databases: map[string]*store.DB{}, directory: runtime.NewDirectory(services),
	}
	r.publishing, r.giveUp = context.WithCancel(context.Background())
	return r
}

// closer closes one thing that was opened.
type closer struct {
	what  string
	close func(context.Context) error
}

func (r *run) onClose(what string, close func(context.Context) error) {
	r.closers = append(r.closers, closer{what, close})
}

// run opens everything, serves until ctx ends or something fails for good, and
// closes everything.
func (r *run) run(ctx context.Context) (err error) {
	defer func() {
		if closing := r.close(); err == nil {
			err = closing
		}
	}()
	for _, name := range r.strangers() {
		r.log.Warn("the environment sets a variable that no setting has", "variable", name)
	}
	began := time.Now()
	for _, open := range []func(context.Context) error{
		r.openData, r.openInbox, r.configureServices, r.openDatabases, r.openBroker, r.startServices, r.openConsole, r.registerRuntime, r.openAPI, r.openRuntime,
	} {
		if err := open(ctx); err != nil {
			if ctx.Err() != nil {
				return nil // interrupted while it started
			}
			return err
		}
	}
	select {
	case <-r.state.started:
	case err := <-r.failed:
		return err
	case <-ctx.Done():
		return nil
	}
	r.log.Debug("ready", "after", time.Since(began))
	if err := r.announce(); err != nil {
		return err
	}
	r.startDemo()
	select {
	case err := <-r.failed:
		return err
	case <-ctx.Done():
		r.log.Info("ending; what is in hand is finished first")
		return nil
	}
}

// closingMargin is what closing may take besides requests and handlers:
// commits, leaving groups, and what is queued for the broker.
const closingMargin = 5 * time.Second

// closeTime is how long closing everything may take.
func (c *config) closeTime() time.Duration { return 2*c.Drain + closingMargin }

// close closes what was opened, the last first, so that requests end before
// handlers, and both before the producer. What is still open at the one
// deadline for all is broken off.
func (r *run) close() error {
	r.state.end()
	ctx, cancel := context.WithTimeout(context.Background(), r.config.closeTime())
	defer cancel()
	var faults []error
	for _, c := range slices.Backward(r.closers) {
		if err := c.close(ctx); err != nil {
			faults = append(faults, fmt.Errorf("closing %s: %w", c.what, err))
		}
	}
	return errors.Join(faults...)
}

// announce says what listens where, to people and to other commands.
func (r *run) announce() error {
	r.about.Started = time.Now().UTC()
	if err := r.writeRunning(); err != nil {
		return err
	}
	_, err := fmt.Fprint(r.out, r.banner())
	return err
}

// smtpOf is where mail goes: what was set, else the inbox.
func (r *run) smtpOf() string {
	if r.inbox != nil {
		return cmp.Or(r.config.SMTP, r.inbox.URL())
	}
	return r.config.SMTP
}
