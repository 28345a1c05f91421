package runtime

import (
	"cmp"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"time"

	"github.com/troupedev/troupe/platform/choreo"
	"github.com/troupedev/troupe/platform/kafka"
	"github.com/troupedev/troupe/platform/store"
)

// Drain times.
const (
	// MaxDrain is the longest that [Options.Drain] can be: what a group waits
	// by default for partitions to be given back, [kafka.GroupConfig.DrainTime],
	// less a second for the last commit.
	MaxDrain = 7 * time.Second
	// DefaultDrain is the default of [Options.Drain].
	DefaultDrain = 6 * time.Second
)

// Options are what [Run] depends on besides the topology. A field left zero
// has its default.
type Options struct {
	// Client is the broker. Required; it is not closed.
	Client *kafka.Client
	// Producer produces what handlers emit. Default: one made from Client for
	// the time of the run. One that is given is not closed.
	Producer *kafka.Producer
	// Services are the names of those to run; the others of the topology are
	// only known. Default: all.
	Services []string
	// Databases are those of the services to run that declare a Store, by
	// the service's name, open. Required for each of them. None is closed.
	Databases map[string]*store.DB
	// Directory is told what runs here, and learns what runs elsewhere. Default:
	// one for the time of the run. Give one that others use too, as HTTP routes do.
	Directory *Directory
	// Prefix is the prefix of topics and groups. Default: none.
	Prefix string
	// Concurrency is how many handlers of one service run at the same time, and
	// besides them how many of its answers. Default 64, from 1 to 10,000.
	Concurrency int
	// Hops is how deep a flow may be, in events, before it counts as a loop.
	// Default [choreo.DefaultHops], at least 1.
	Hops int
	// Window bounds what one partition has in hand.
	Window Window
	// Drain is how long handlers may go on after their partition was taken
	// away or the run was ended; then they are cancelled. Default
	// [DefaultDrain], above 0 and at most [MaxDrain].
	Drain time.Duration
	// CommitInterval is the time between two commits of a service, and so how
	// much is handled again after a crash. Default 500 ms, from 1 ms to 1 minute.
	CommitInterval time.Duration
	// Logger gets what goes wrong. Default [slog.Default].
	Logger *slog.Logger
	// Host names this process in dead letters. Default: the machine's host name.
	Host string
	// Ready is called once, when every service has been assigned its
	// partitions. Default: nobody is told.
	Ready func()
	// Health is told what goes wrong for longer. Default: nobody is told.
	Health *Health
}

func (o Options) withDefaults() Options {
	o.Concurrency = cmp.Or(o.Concurrency, 64)
	o.Hops = cmp.Or(o.Hops, choreo.DefaultHops)
	o.Window.Records = cmp.Or(o.Window.Records, 4096)
	o.Window.Bytes = cmp.Or(o.Window.Bytes, 8<<20)
	o.Window.Ahead = cmp.Or(o.Window.Ahead, 100_000)
	o.Drain = cmp.Or(o.Drain, DefaultDrain)
	o.CommitInterval = cmp.Or(o.CommitInterval, 500*time.Millisecond)
	o.Logger = cmp.Or(o.Logger, slog.Default())
	if o.Host == "" {
		o.Host, _ = os.Hostname() // a dead letter without a host is better than none
	}
	o.Health = cmp.Or(o.Health, &Health{})
	if o.Directory == nil {
		o.Directory = NewDirectory(nil)
	}
	if o.Ready == nil {
		o.Ready = func() {}
	}
	return o
}

// Validate returns every fault of the options, joined.
func (o Options) Validate() error {
	o = o.withDefaults()
	var faults []error
	fault := func(bad bool, format string, args ...any) {
		if bad {
			faults = append(faults, fmt.Errorf("runtime options: "+format, args...))
		}
	}
	fault(o.Client == nil, "Client is missing")
	fault(o.Concurrency < 1 || o.Concurrency > 10_000, "Concurrency is %d, want 1 to 10,000", o.Concurrency)
	fault(o.Hops < 1, "Hops is %d, want at least 1", o.Hops)
	fault(o.Window.Records < 1, "Window.Records is %d, want at least 1", o.Window.Records)
	fault(o.Window.Bytes < 1, "Window.Bytes is %d, want at least 1", o.Window.Bytes)
	fault(o.Window.Ahead < 1, "Window.Ahead is %d, want at least 1", o.Window.Ahead)
	fault(o.Drain < 0 || o.Drain > MaxDrain, "Drain is %v, want above 0 and at most %v, since the group waits no longer", o.Drain, MaxDrain)
	fault(o.CommitInterval < time.Millisecond || o.CommitInterval > time.Minute, "CommitInterval is %v, want 1ms to 1m", o.CommitInterval)
	return errors.Join(faults...)
}

// inboxFaults are topics that keep their events for longer than a service that
// hears them remembers what it has handled: what is redelivered from them, after
// offsets were reset, say, would have its effect again. One that keeps them for ever
// outlasts any inbox, and is worth a word only.
func (o Options) inboxFaults(t, running choreo.Topology) error {
	retention := map[string]time.Duration{}
	for _, topic := range t.Topics() {
		retention[topic.Name] = topic.Retention
	}
	var faults []error
	for i := range running {
		s := &running[i]
		if s.Store == nil {
			continue
		}
		keeps := o.Databases[s.Name].KeepsInbox()
		for _, domain := range s.Hears() {
			switch kept := retention[domain]; {
			case kept < 0:
				o.Logger.Warn("a topic keeps its events for ever, and the service remembers for a time only which of them it has handled: "+
					"reset no offsets of its group further back than that", "service", s.Name, "topic", choreo.TopicName(o.Prefix, domain), "remembers", keeps)
			case kept >= keeps:
				faults = append(faults, fmt.Errorf("service %s remembers for %v which events it has handled, and topic %s keeps them for %v: what is redelivered after that would be handled again; "+
					"raise --keep-inbox (TROUPE_KEEP_INBOX) above it, or lower retention in the topic's domain.yaml", s.Name, keeps, choreo.TopicName(o.Prefix, domain), kept))
			}
		}
	}
	return errors.Join(faults...)
}

// storeFaults are the services to run whose database is missing.
func (o Options) storeFaults(running choreo.Topology) error {
	var faults []error
	for i := range running {
		if s := &running[i]; s.Store != nil && o.Databases[s.Name] == nil {
			faults = append(faults, fmt.Errorf("runtime options: service %s declares a Store and Databases has none for it: open one by store.Open", s.Name))
		}
	}
	return errors.Join(faults...)
}
