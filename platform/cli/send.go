package cli

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/troupedev/troupe/platform/choreo"
	"github.com/troupedev/troupe/platform/event"
	"github.com/troupedev/troupe/platform/kafka"
	"github.com/troupedev/troupe/platform/runtime"
)

// sourceCLI is the ce_source of what `troupe send` publishes: no service's.
const sourceCLI = "/cli"

// sendTimeout bounds finding the topic and publishing.
const sendTimeout = 15 * time.Second

// maxJSON bounds what is read from standard input, in bytes.
const maxJSON = 16 << 20

func (p *program) sendCommand() *cobra.Command {
	var body string
	var keyless bool
	from := origin{source: sourceCLI}
	cmd := &cobra.Command{
		Use:   "send EVENT --json '{…}'",
		Short: "Publish one event, checked by its schema",
		Long: "Publishes one event as the first of a new flow. EVENT is OrderPlaced, orders.OrderPlaced or orders.OrderPlaced/v1;\n" +
			"without a version it is the newest. Prints the ids of the event and its flow.\n\n" +
			"With --cause it is what another event led to, of the flow that began with that one or that --flow names. With --source as\n" +
			"well, it answers in the place of a service that will not.",
		Args: argument("EVENT"),
		RunE: func(cmd *cobra.Command, args []string) error {
			t, err := p.findType(args[0])
			if err != nil {
				return err
			}
			text := []byte(body)
			if body == "-" {
				if text, err = io.ReadAll(io.LimitReader(p.in, maxJSON)); err != nil {
					return fmt.Errorf("standard input: %w", err)
				}
			}
			m, err := sentMessage(t, text, keyless, from, nil, time.Now()) // what is wrong with it needs no broker
			if err != nil {
				return err
			}
			err = p.onBrokers(cmd, func(ctx context.Context, client *kafka.Client, prefix string) error {
				directory, err := runtime.ReadDirectory(ctx, client, prefix)
				if err != nil {
					return err
				}
				if m, err = sentMessage(t, text, keyless, from, directory.Expects(t), time.Now()); err != nil {
					return err
				}
				return send(ctx, client, prefix, m)
			})
			if err == nil {
				_, err = fmt.Fprintf(p.out, "event %s\nflow  %s\n", m.ID, cmp.Or(from.flow, from.cause, m.ID))
			}
			return err
		},
	}
	addFlags(cmd, flagBrokers, flagData, flagTopicPrefix)
	cmd.Flags().StringVar(&body, "json", "", "the event's fields as a JSON object; - reads it from standard input")
	cmd.Flags().BoolVar(&keyless, "key-less", false, "send the record without a key, whatever the schema says")
	cmd.Flags().StringVar(&from.cause, "cause", "", "id of the event that led to this one (ce_causationid)")
	cmd.Flags().StringVar(&from.flow, "flow", "", "id of the flow (ce_correlationid); default: the cause, else the event itself")
	cmd.Flags().StringVar(&from.source, "source", sourceCLI, "who sends it (ce_source), such as /services/orders")
	_ = cmd.MarkFlagRequired("json") // fails only for a flag that is not there
	return cmd
}

// types are all versions of the events that some declaration names.
func (p *program) types() []*event.Type {
	var out []*event.Type
	for _, t := range p.topology.Types() {
		for _, version := range t.Family() {
			if !slices.Contains(out, version) {
				out = append(out, version)
			}
		}
	}
	return out
}

// findType finds an event by name, domain.name or domain.name/version.
func (p *program) findType(name string) (*event.Type, error) {
	var found []*event.Type
	var known []string
	for _, t := range p.types() {
		if !slices.Contains(known, t.FullName()) {
			known = append(known, t.FullName())
		}
		switch name {
		case t.String():
			return t, nil
		case t.Name, t.FullName():
			found = slices.DeleteFunc(found, func(older *event.Type) bool { return older.FullName() == t.FullName() })
			found = append(found, t) // oldest first, so the newest stays
		}
	}
	switch len(found) {
	case 1:
		return found[0], nil
	case 0:
		return nil, fmt.Errorf("there is no event %q; there are %s", name, strings.Join(known, ", "))
	}
	return nil, fmt.Errorf("several domains have an event %q: %v; name one of them with its domain", name, found)
}

// origin is where an event that is sent says that it comes from.
type origin struct{ cause, flow, source string }

// sentMessage is an event that expects answers of the services named; one
// without a cause or flow is the first of its flow.
func sentMessage(t *event.Type, text []byte, keyless bool, from origin, expects []string, now time.Time) (choreo.Message, error) {
	id := event.NewID(now)
	m, err := choreo.FromJSON(t, text, event.Envelope{
		ID: id, Source: from.source, Time: now, Flow: cmp.Or(from.flow, from.cause, id), Cause: from.cause, Expects: expects,
	})
	if keyless {
		m.Key = nil
		m.Headers = slices.DeleteFunc(m.Headers, func(h event.Header) bool { return h.Key == event.HeaderSubject })
	}
	return m, err
}

// send publishes the message.
func send(ctx context.Context, client *kafka.Client, prefix string, m choreo.Message) (err error) {
	records := runtime.Records(prefix, []choreo.Message{m})
	if _, err := client.Partitions(ctx, records[0].Topic); err != nil {
		return fmt.Errorf("%w; `troupe run` makes the topics", err)
	}
	producer, err := client.Producer(kafka.ProducerConfig{})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, producer.Close(ctx)) }()
	return producer.Produce(ctx, records...)
}

// connect reaches the brokers that the settings, or a running troupe, name.
func (c *config) connect(ctx context.Context) (client *kafka.Client, prefix string, err error) {
	brokers, prefix, err := c.where()
	if err != nil {
		return nil, "", err
	}
	if client, err = kafka.New(kafka.Config{Brokers: brokers}); err != nil {
		return nil, "", err
	}
	ctx, cancel := context.WithTimeout(ctx, pingTimeout)
	defer cancel()
	if err := client.Ping(ctx); err != nil {
		return nil, "", errors.Join(err, client.Close())
	}
	return client, prefix, nil
}
