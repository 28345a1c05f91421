package runtime

import (
	"strconv"
	"time"

	"github.com/troupedev/troupe/platform/choreo"
	"github.com/troupedev/troupe/platform/event"
	"github.com/troupedev/troupe/platform/kafka"
)

// Topics are the topics that the running services need: one for each domain
// that they hear or emit to, as its domain.yaml declares it, and one for each
// service's dead letters of each topic that it hears, kept for ever. From t,
// the whole topology, come the domains that a running service names but whose
// events it does not, as one with [choreo.OnTopic] alone.
func Topics(t, running choreo.Topology, prefix string) []kafka.TopicConfig {
	needed := map[string]bool{}
	for _, topic := range running.Topics() {
		needed[topic.Name] = true
	}
	for i := range running {
		for _, domain := range running[i].Hears() {
			needed[domain] = true
		}
	}
	var out []kafka.TopicConfig
	domains := map[string]*event.Topic{}
	for _, topic := range t.Topics() {
		if needed[topic.Name] {
			domains[topic.Name] = topic
			out = append(out, domainTopic(topic, prefix))
		}
	}
	for i := range running {
		for _, domain := range running[i].Hears() {
			if topic := domains[domain]; topic != nil {
				out = append(out, deadLetterTopic(running[i].Name, topic, prefix))
			}
		}
	}
	return out
}

// A compacted topic would lose the earlier events of each key.
const (
	cleanupPolicy = "cleanup.policy"
	deletes       = "delete"
)

func domainTopic(t *event.Topic, prefix string) kafka.TopicConfig {
	return kafka.TopicConfig{
		Name:        choreo.TopicName(prefix, t.Name),
		Partitions:  t.Partitions,
		Replication: t.Replication,
		Settings:    map[string]string{cleanupPolicy: deletes, "retention.ms": retention(t.Retention)},
	}
}

// deadLetterTopic has its origin's partitions, so that a key's dead letters
// are in the partition of the same number. It takes far more than a domain
// topic does by the broker's default: all that the producer sends, so that a
// record fits with the headers of a dead letter, also one that was compressed.
func deadLetterTopic(service string, t *event.Topic, prefix string) kafka.TopicConfig {
	return kafka.TopicConfig{
		Name:        choreo.DeadLetterTopic(service, choreo.TopicName(prefix, t.Name)),
		Partitions:  t.Partitions,
		Replication: t.Replication,
		Settings: map[string]string{
			cleanupPolicy:       deletes,
			"retention.ms":      retention(-1),
			"max.message.bytes": strconv.Itoa(kafka.MaxRecordBytes),
		},
	}
}

// retention is retention.ms: -1 for ever.
func retention(d time.Duration) string {
	if d < 0 {
		return "-1"
	}
	return strconv.FormatInt(d.Milliseconds(), 10)
}
