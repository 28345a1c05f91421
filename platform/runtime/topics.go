package runtime

import (
	"strconv"
	"time"

	"github.com/troupedev/troupe/platform/choreo"
	"github.com/troupedev/troupe/platform/event"
	"github.com/troupedev/troupe/platform/kafka"
)

// deadLetterBytes is the largest record that a dead letter topic takes. It is
// four times what a domain topic takes by the broker's default, so that a
// record of that size fits with the headers of a dead letter.
const deadLetterBytes = 4 << 20

// defaults of a domain that leaves them open.
const (
	defaultPartitions = 4
	defaultRetention  = 7 * 24 * time.Hour
)

// Topics are the topics that a topology needs: one for each domain, as its
// domain.yaml declares it, and one for each service's dead letters of each
// topic that it hears, kept for ever.
func Topics(t choreo.Topology, prefix string) []kafka.TopicConfig {
	var out []kafka.TopicConfig
	domains := map[string]*event.Topic{}
	for _, topic := range t.Topics() {
		domains[topic.Name] = topic
		out = append(out, domainTopic(topic, prefix))
	}
	for i := range t {
		for _, domain := range t[i].Hears() {
			if topic := domains[domain]; topic != nil {
				out = append(out, deadLetterTopic(t[i].Name, topic, prefix))
			}
		}
	}
	return out
}

func domainTopic(t *event.Topic, prefix string) kafka.TopicConfig {
	return kafka.TopicConfig{
		Name:        choreo.TopicName(prefix, t.Name),
		Partitions:  partitions(t),
		Replication: t.Replication,
		Settings:    map[string]string{"retention.ms": retention(t.Retention)},
	}
}

// deadLetterTopic has its origin's partitions, so that a key's dead letters
// are in the partition of the same number.
func deadLetterTopic(service string, t *event.Topic, prefix string) kafka.TopicConfig {
	return kafka.TopicConfig{
		Name:        choreo.DeadLetterTopic(service, choreo.TopicName(prefix, t.Name)),
		Partitions:  partitions(t),
		Replication: t.Replication,
		Settings: map[string]string{
			"retention.ms":      retention(-1),
			"max.message.bytes": strconv.Itoa(deadLetterBytes),
		},
	}
}

func partitions(t *event.Topic) int {
	if t.Partitions == 0 {
		return defaultPartitions
	}
	return t.Partitions
}

// retention is retention.ms: -1 for ever.
func retention(d time.Duration) string {
	switch {
	case d < 0:
		return "-1"
	case d == 0:
		d = defaultRetention
	}
	return strconv.FormatInt(d.Milliseconds(), 10)
}
