package cli

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/spf13/cobra"

	"github.com/troupedev/troupe/platform/choreo"
	"github.com/troupedev/troupe/platform/contract"
	"github.com/troupedev/troupe/platform/kafka"
)

func (p *program) tailCommand() *cobra.Command {
	var from string
	var count int
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "tail TOPIC",
		Short: "Print decoded events as they come",
		Long: "Prints the events of a topic as they come, until it is interrupted. TOPIC is a domain, such as orders, or any\n" +
			"other topic, such as dlq.payments.orders for what payments could not handle.",
		Args: argument("TOPIC"),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, _, err := p.configure(cmd)
			if err != nil {
				return err
			}
			if from != "start" && from != "end" {
				return fmt.Errorf("--from: %q is neither start nor end", from)
			}
			if count < 0 {
				return fmt.Errorf("-n: %d is below 0", count)
			}
			printer := &printer{out: p.out, json: asJSON, types: contract.NewIndex(p.types()...)}
			err = c.tail(cmd.Context(), args[0], from == "start", count, printer.print)
			if cmd.Context().Err() != nil {
				return nil // interrupted, which is how a tail ends
			}
			return err
		},
	}
	addFlags(cmd, flagBrokers, flagData, flagTopicPrefix)
	cmd.Flags().StringVar(&from, "from", "end", "where to begin: start (of what is kept) or end (what comes from now on)")
	cmd.Flags().IntVarP(&count, "count", "n", 0, "end after so many events; 0: go on until interrupted")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print one JSON object a line")
	return cmd
}

// tail gives the topic's records to print, until ctx ends, print fails, or
// count records were printed, where count is not 0. Records of one partition
// are in their order.
func (c *config) tail(ctx context.Context, topic string, fromStart bool, count int, print func(*kafka.Record) error) (err error) {
	client, prefix, err := c.connect(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, client.Close()) }()
	topic, positions, err := findTopic(ctx, client, prefix, topic, fromStart)
	if err != nil {
		return err
	}
	records := make(chan kafka.Record)
	reading, cancel := context.WithCancelCause(ctx)
	var readers sync.WaitGroup
	defer readers.Wait()
	defer cancel(nil)
	for partition, at := range positions {
		readers.Go(func() {
			if err := read(reading, client, kafka.TopicPartition{Topic: topic, Partition: int32(partition)}, at, records); err != nil {
				cancel(err)
			}
		})
	}
	for n := 0; count == 0 || n < count; n++ {
		select {
		case r := <-records:
			if err := print(&r); err != nil {
				return err
			}
		case <-reading.Done():
			return context.Cause(reading)
		}
	}
	return nil
}

// findTopic finds a topic by its name with or without the prefix, and where
// reading it begins, by partition.
func findTopic(ctx context.Context, client *kafka.Client, prefix, name string, fromStart bool) (topic string, at []int64, err error) {
	ctx, cancel := context.WithTimeout(ctx, sendTimeout)
	defer cancel()
	topics, err := client.Topics(ctx)
	if err != nil {
		return "", nil, err
	}
	topic = choreo.TopicName(prefix, name)
	if !slices.Contains(topics, topic) {
		topic = name
	}
	if !slices.Contains(topics, topic) {
		return "", nil, noTopic(name, topics)
	}
	starts, ends, err := client.Ends(ctx, topic)
	if err != nil {
		return "", nil, err
	}
	if fromStart {
		return topic, starts, nil
	}
	return topic, ends, nil
}

// noTopic names the topics there are, but for the brokers' own.
func noTopic(name string, topics []string) error {
	topics = slices.DeleteFunc(slices.Clone(topics), func(topic string) bool { return strings.HasPrefix(topic, "__") })
	if len(topics) == 0 {
		return fmt.Errorf("there is no topic %q, nor any other; `troupe run` makes the topics", name)
	}
	return fmt.Errorf("there is no topic %q; there are %s", name, strings.Join(topics, ", "))
}

// read sends the records of one partition to out, until ctx ends.
func read(ctx context.Context, client *kafka.Client, tp kafka.TopicPartition, at int64, out chan<- kafka.Record) error {
	reader := client.Read(tp, at)
	defer reader.Close() // returns nil always
	for {
		batch, err := reader.Next(ctx)
		if ctx.Err() != nil {
			return nil
		}
		if err != nil {
			return err
		}
		for _, r := range batch.Records {
			select {
			case out <- r:
			case <-ctx.Done():
				return nil
			}
		}
	}
}
