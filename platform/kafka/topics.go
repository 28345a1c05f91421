package kafka

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	kgo "github.com/segmentio/kafka-go"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// TopicConfig is a topic as it is declared.
type TopicConfig struct {
	Name         string
	Partitions   int               // at least 1
	Replication  int               // 0: whatever the broker's default is, or the topic has
	Settings     map[string]string // retention.ms, max.message.bytes, cleanup.policy and so on
	DeleteByHand bool              // what is in it is soon there again, so where it has other partitions the error says to delete it; Provision never does
}

func (t *TopicConfig) validate() error {
	switch {
	case t.Name == "":
		return errors.New("a topic without a name")
	case t.Partitions < 1:
		return fmt.Errorf("topic %s: %d partitions; at least 1 is needed", t.Name, t.Partitions)
	case t.Replication < 0:
		return fmt.Errorf("topic %s: replication %d", t.Name, t.Replication)
	}
	return nil
}

// provisionTime bounds how long new topics may take to get their leaders.
const provisionTime = 30 * time.Second

// Provision creates the topics that are missing, waits until they can be used,
// and brings the declared settings of all in line, leaving settings that are
// not declared as they are. It never raises partitions and never deletes; each
// such difference is an error that says what to do. All errors come joined.
// Several processes may provision the same topics at once.
func (c *Client) Provision(ctx context.Context, topics []TopicConfig) error {
	if len(topics) == 0 {
		return nil
	}
	var errs []error
	for i := range topics {
		errs = append(errs, topics[i].validate())
	}
	if err := errors.Join(errs...); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, provisionTime)
	defer cancel()
	if err := c.create(ctx, topics); err != nil {
		return err
	}
	states, err := c.awaitLeaders(ctx, topics)
	if err != nil {
		return err
	}
	for i := range topics {
		errs = append(errs, topics[i].compare(states[topics[i].Name]))
	}
	errs = append(errs, c.alignSettings(ctx, topics))
	return errors.Join(errs...)
}

// compare says what Provision will not mend.
func (t *TopicConfig) compare(state topicState) error {
	var errs []error
	if state.partitions != t.Partitions && t.DeleteByHand {
		errs = append(errs, fmt.Errorf("topic %s has %d partitions and has to have %d: stop what uses it and delete it; it is made anew at the next start", t.Name, state.partitions, t.Partitions))
	} else if state.partitions != t.Partitions {
		remedy := fmt.Sprintf("raise them (kafka-topics.sh --alter --topic %s --partitions %d; keys then move between partitions), or correct domain.yaml", t.Name, t.Partitions)
		if state.partitions > t.Partitions {
			remedy = "partitions cannot be taken away: correct domain.yaml"
		}
		errs = append(errs, fmt.Errorf("topic %s has %d partitions, domain.yaml says %d: %s", t.Name, state.partitions, t.Partitions, remedy))
	}
	if t.Replication > 0 && state.replication != t.Replication {
		errs = append(errs, fmt.Errorf("topic %s has replication %d, domain.yaml says %d: reassign its partitions, or correct domain.yaml", t.Name, state.replication, t.Replication))
	}
	return errors.Join(errs...)
}

// create creates the topics that do not exist.
func (c *Client) create(ctx context.Context, topics []TopicConfig) error {
	var states map[string]topicState
	err := c.retry(ctx, func(ctx context.Context) (err error) {
		states, err = c.topics(ctx, names(topics)...)
		return err
	})
	if err != nil {
		return fmt.Errorf("topics: %w", err)
	}
	var missing []TopicConfig
	for _, t := range topics {
		if _, ok := states[t.Name]; !ok {
			missing = append(missing, t)
		}
	}
	if len(missing) == 0 {
		return nil
	}
	return c.retry(ctx, func(ctx context.Context) error { return c.createOnce(ctx, missing) })
}

// createOnce goes through kafka-go's own request, because its transport then
// looks up where the new partitions are.
func (c *Client) createOnce(ctx context.Context, topics []TopicConfig) error {
	ctx, cancel := context.WithTimeout(ctx, c.cfg.RequestTimeout)
	defer cancel()
	req := &kgo.CreateTopicsRequest{}
	for _, t := range topics {
		topic := kgo.TopicConfig{Topic: t.Name, NumPartitions: t.Partitions, ReplicationFactor: t.Replication}
		if t.Replication == 0 {
			topic.ReplicationFactor = -1
		}
		for _, name := range slices.Sorted(maps.Keys(t.Settings)) {
			topic.ConfigEntries = append(topic.ConfigEntries, kgo.ConfigEntry{ConfigName: name, ConfigValue: t.Settings[name]})
		}
		req.Topics = append(req.Topics, topic)
	}
	client := &kgo.Client{Addr: c.addr, Transport: c.transport}
	resp, err := client.CreateTopics(ctx, req)
	if err != nil {
		return fmt.Errorf("creating topics: %w", err)
	}
	var errs []error
	for _, name := range slices.Sorted(maps.Keys(resp.Errors)) {
		if err := resp.Errors[name]; err != nil && !errors.Is(err, kgo.TopicAlreadyExists) {
			errs = append(errs, fmt.Errorf("creating topic %s: %w", name, err))
		}
	}
	return errors.Join(errs...)
}

// awaitLeaders waits until every topic exists and can be written to.
func (c *Client) awaitLeaders(ctx context.Context, topics []TopicConfig) (map[string]topicState, error) {
	var wait backoff
	for {
		states, err := c.topics(ctx, names(topics)...)
		if err != nil && !retriable(err) {
			return nil, err
		}
		waiting := ""
		for _, t := range topics {
			if state, ok := states[t.Name]; !ok || state.leaderless > 0 {
				waiting = t.Name
			}
		}
		if err == nil && waiting == "" {
			return states, nil
		}
		if wait.wait(ctx) != nil {
			return nil, fmt.Errorf("topic %s has partitions without a leader after %s: %w", waiting, provisionTime, ctx.Err())
		}
	}
}

// alignSettings sets what is declared and differs.
func (c *Client) alignSettings(ctx context.Context, topics []TopicConfig) error {
	var current map[string]map[string]string
	err := c.retry(ctx, func(ctx context.Context) (err error) {
		current, err = c.settings(ctx, topics)
		return err
	})
	if err != nil {
		return fmt.Errorf("settings of topics: %w", err)
	}
	return c.retry(ctx, func(ctx context.Context) error { return c.alterSettings(ctx, topics, current) })
}

// alterSettings sends what differs; nothing, when nothing does.
func (c *Client) alterSettings(ctx context.Context, topics []TopicConfig, current map[string]map[string]string) error {
	req := kmsg.NewPtrIncrementalAlterConfigsRequest()
	for _, t := range topics {
		if resource := t.alterations(current[t.Name]); len(resource.Configs) > 0 {
			req.Resources = append(req.Resources, resource)
		}
	}
	if len(req.Resources) == 0 {
		return nil
	}
	resp, err := req.RequestWith(ctx, c.any())
	if err != nil {
		return fmt.Errorf("settings of topics: %w", err)
	}
	var errs []error
	for i := range resp.Resources {
		r := &resp.Resources[i]
		if err := codeError(r.ErrorCode, r.ErrorMessage); err != nil {
			errs = append(errs, fmt.Errorf("settings of topic %s: %w", r.ResourceName, err))
		}
	}
	return errors.Join(errs...)
}

// alterations are the settings to be changed.
func (t *TopicConfig) alterations(current map[string]string) kmsg.IncrementalAlterConfigsRequestResource {
	resource := kmsg.NewIncrementalAlterConfigsRequestResource()
	resource.ResourceType, resource.ResourceName = kmsg.ConfigResourceTypeTopic, t.Name
	for _, name := range slices.Sorted(maps.Keys(t.Settings)) {
		want := t.Settings[name]
		if have, ok := current[name]; ok && have == want {
			continue
		}
		setting := kmsg.NewIncrementalAlterConfigsRequestResourceConfig()
		setting.Name, setting.Op, setting.Value = name, kmsg.IncrementalAlterConfigOpSet, &want
		resource.Configs = append(resource.Configs, setting)
	}
	return resource
}

// settings reads the declared settings of topics as they are now.
func (c *Client) settings(ctx context.Context, topics []TopicConfig) (map[string]map[string]string, error) {
	req := kmsg.NewPtrDescribeConfigsRequest()
	for _, t := range topics {
		if len(t.Settings) == 0 {
			continue
		}
		resource := kmsg.NewDescribeConfigsRequestResource()
		resource.ResourceType, resource.ResourceName = kmsg.ConfigResourceTypeTopic, t.Name
		resource.ConfigNames = slices.Sorted(maps.Keys(t.Settings))
		req.Resources = append(req.Resources, resource)
	}
	if len(req.Resources) == 0 {
		return nil, nil
	}
	resp, err := req.RequestWith(ctx, c.any())
	if err != nil {
		return nil, err
	}
	current := make(map[string]map[string]string)
	for i := range resp.Resources {
		r := &resp.Resources[i]
		if err := codeError(r.ErrorCode, r.ErrorMessage); err != nil {
			return nil, fmt.Errorf("topic %s: %w", r.ResourceName, err)
		}
		values := make(map[string]string)
		for _, setting := range r.Configs {
			if setting.Value != nil {
				values[setting.Name] = *setting.Value
			}
		}
		current[r.ResourceName] = values
	}
	return current, nil
}

func names(topics []TopicConfig) []string {
	list := make([]string, len(topics))
	for i := range topics {
		list[i] = topics[i].Name
	}
	return list
}
