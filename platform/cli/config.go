package cli

import (
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net"
	"regexp"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/troupedev/troupe/platform/choreo"
	"github.com/troupedev/troupe/platform/runtime"
)

// config are the settings of the process itself, each declared once: the
// variable's name gives the flag's, and flags, `troupe settings` and the README
// are made of the tags.
type config struct {
	Brokers     []string      `env:"TROUPE_BROKERS" doc:"Kafka brokers as host:port, with commas between; without any, an embedded broker starts, with its data in --data"`
	Embedded    string        `env:"TROUPE_EMBEDDED" default:"127.0.0.1:9092" doc:"where the embedded broker listens"`
	Data        string        `env:"TROUPE_DATA" default:".troupe" doc:"folder of what is kept between runs"`
	Database    string        `env:"TROUPE_DATABASE" doc:"where services keep their state: postgres://user:password@host:port/database, with a schema of its own for each service, on Postgres 14 or newer, spoken to directly, not through a pooler; or sqlite:FOLDER, with a file for each service; without one, SQLite files in --data"`
	Connections int           `env:"TROUPE_DATABASE_CONNECTIONS" default:"6" doc:"connections of one service to its database at most, its relay's apart"`
	KeepInbox   time.Duration `env:"TROUPE_KEEP_INBOX" default:"336h" doc:"how long services with a database remember which events they handled, and what requests with an Idempotency-Key were answered; has to be longer than the topics that they hear keep their events"`
	SMTP        string        `env:"TROUPE_SMTP" doc:"mail server, smtp://host:port; without one, an inbox in the process takes the mail, shown by the console"`
	API         string        `env:"TROUPE_API" default:"127.0.0.1:8000" doc:"where the services' HTTP listens, with OpenAPI at /docs"`
	Console     string        `env:"TROUPE_CONSOLE" default:"127.0.0.1:8080" doc:"where /livez, /readyz and the inbox listen"`
	TopicPrefix string        `env:"TROUPE_TOPIC_PREFIX" doc:"put before the names of domain topics and consumer groups, so that installations can share a cluster; dead letter topics have it before the domain: dlq.payments.PREFIXorders"`
	Concurrency int           `env:"TROUPE_CONCURRENCY" default:"64" doc:"handlers of one service that run at the same time"`
	Drain       time.Duration `env:"TROUPE_DRAIN" default:"6s" doc:"how long requests, and then handlers, may take to finish once the process is to end; at most 7s"`
	Demo        float64       `env:"TROUPE_DEMO" default:"0" doc:"made-up requests a second to send to the API, to have something to look at"`
	LogLevel    slog.Level    `env:"TROUPE_LOG_LEVEL" default:"info" doc:"debug, info, warn or error"`
	LogFormat   string        `env:"TROUPE_LOG_FORMAT" default:"auto" doc:"text, json, or auto: text on a terminal, JSON otherwise"`
}

// Names of flags, as commands list them.
const (
	flagBrokers     = "brokers"
	flagData        = "data"
	flagConsole     = "console"
	flagTopicPrefix = "topic-prefix"
)

const variablePrefix = "TROUPE_"

// flagOf is the flag of a variable: --topic-prefix of TROUPE_TOPIC_PREFIX.
func flagOf(variable string) string {
	return strings.ReplaceAll(strings.ToLower(strings.TrimPrefix(variable, variablePrefix)), "_", "-")
}

// platform is the process's settings as those of a service, so that they are
// read and shown like any other.
func platform(c *config) *choreo.Service { return &choreo.Service{Name: "troupe", Settings: c} }

// flag is the value of a flag, as text until all settings are read together.
type flag struct{ text, kind string }

// String implements pflag.Value.
func (f *flag) String() string { return f.text }

// Set implements pflag.Value.
func (f *flag) Set(text string) error {
	f.text = text
	return nil
}

// Type implements pflag.Value: what the help shows as the value's kind.
func (f *flag) Type() string { return f.kind }

// addFlags gives the command flags for the settings named; for all, where none is.
func addFlags(cmd *cobra.Command, names ...string) {
	wanted := map[string]bool{}
	for _, name := range names {
		wanted[name] = true
	}
	for _, s := range choreo.Settings(platform(&config{})) {
		name := flagOf(s.Variable)
		if len(names) == 0 || wanted[name] {
			cmd.Flags().Var(&flag{s.Default, kindOf(s.Type)}, name, s.Doc+" ("+s.Variable+")")
		}
	}
}

func kindOf(goType string) string {
	switch goType {
	case "[]string":
		return "addresses"
	case "time.Duration":
		return "duration"
	case "float64", "int":
		return "number"
	}
	return "text"
}

// configure reads the settings: flags over variables over defaults. It returns
// the environment with the flags in it, which services are configured from.
func (p *program) configure(cmd *cobra.Command) (*config, map[string]string, error) {
	environ := map[string]string{}
	maps.Copy(environ, p.environ)
	c := &config{}
	for _, s := range choreo.Settings(platform(c)) {
		if f := cmd.Flags().Lookup(flagOf(s.Variable)); f != nil && f.Changed {
			environ[s.Variable] = f.Value.String()
		}
	}
	unfit := c.fill(environ)
	for i, broker := range c.Brokers {
		c.Brokers[i] = strings.TrimSpace(broker)
	}
	return c, environ, errors.Join(unfit, c.validate())
}

// fill reads the settings from environ. One that does not fit its type is said
// in the error and has its default, so that the others can be judged too.
func (c *config) fill(environ map[string]string) error {
	var faults []error
	fitting := map[string]string{}
	for _, s := range choreo.Settings(platform(c)) {
		value, set := environ[s.Variable]
		if !set {
			continue
		}
		if platform(&config{}).Configure(map[string]string{s.Variable: value}) != nil {
			faults = append(faults, fmt.Errorf("--%s (%s): %q is no %s", flagOf(s.Variable), s.Variable, value, wanted(s.Type)))
			continue
		}
		fitting[s.Variable] = value
	}
	return errors.Join(append(faults, platform(c).Configure(fitting))...)
}

// wanted says what a value of the type looks like.
func wanted(goType string) string {
	switch goType {
	case "time.Duration":
		return "duration, such as 5s or 500ms"
	case "int":
		return "whole number"
	case "float64":
		return "number"
	case "slog.Level":
		return "level: debug, info, warn or error"
	}
	return goType
}

// topicPrefix is what Kafka takes in a topic's name, with room left for the rest of it.
var topicPrefix = regexp.MustCompile(`^[a-zA-Z0-9._-]{0,100}$`)

// validate returns every fault, joined.
func (c *config) validate() error {
	var faults []error
	fault := func(bad bool, variable, format string, args ...any) {
		if bad {
			faults = append(faults, fmt.Errorf("--%s (%s): "+format, append([]any{flagOf(variable), variable}, args...)...))
		}
	}
	for _, a := range []struct{ variable, addr string }{
		{"TROUPE_EMBEDDED", c.Embedded}, {"TROUPE_API", c.API}, {"TROUPE_CONSOLE", c.Console},
	} {
		_, _, err := net.SplitHostPort(a.addr)
		fault(err != nil, a.variable, "%q is not of the form host:port", a.addr)
	}
	for _, broker := range c.Brokers {
		_, _, err := net.SplitHostPort(broker)
		fault(err != nil, "TROUPE_BROKERS", "%q is not of the form host:port", broker)
	}
	fault(c.Database != "" && !strings.HasPrefix(c.Database, "postgres://") && !strings.HasPrefix(c.Database, "postgresql://") && !strings.HasPrefix(c.Database, schemeSQLite),
		"TROUPE_DATABASE", "is neither of the form postgres://user:password@host:port/database nor sqlite:FOLDER") // it may hold a password
	fault(c.Connections < 2 || c.Connections > 1000, "TROUPE_DATABASE_CONNECTIONS", "%d is not from 2 to 1,000", c.Connections)
	fault(c.KeepInbox < time.Minute, "TROUPE_KEEP_INBOX", "%v is not at least 1m", c.KeepInbox)
	fault(c.Concurrency < 1 || c.Concurrency > 10_000, "TROUPE_CONCURRENCY", "%d is not from 1 to 10,000", c.Concurrency)
	fault(c.Drain < time.Millisecond || c.Drain > runtime.MaxDrain, "TROUPE_DRAIN", "%v is not from 1ms to %v: after that the broker gives partitions to somebody else", c.Drain, runtime.MaxDrain)
	fault(c.Demo != 0 && !(c.Demo >= 0.001 && c.Demo <= 1000), "TROUPE_DEMO", "%v is not 0, nor from 0.001 to 1,000", c.Demo) // NaN is not either
	fault(!topicPrefix.MatchString(c.TopicPrefix), "TROUPE_TOPIC_PREFIX", "%q has other characters than Kafka takes in names (letters, digits, . _ -), or more than 100", c.TopicPrefix)
	fault(c.LogFormat != "auto" && c.LogFormat != "text" && c.LogFormat != "json", "TROUPE_LOG_FORMAT", "%q is neither text, json nor auto", c.LogFormat)
	return errors.Join(faults...)
}
