package runtime

import (
	"slices"
	"strconv"
	"time"

	"github.com/troupedev/troupe/platform/choreo"
	"github.com/troupedev/troupe/platform/event"
	"github.com/troupedev/troupe/platform/kafka"
)

// Topics are the topics that the running services need: one for each domain
// that they hear, answer or emit to, as its domain.yaml declares it; one for each
// service's dead letters of each topic that it hears, kept for ever; one for the
// replies to each service that asks; and one for announcements. From t, the
// whole topology, come the domains that a running service names but whose events
// it does not, as one with [choreo.OnTopic] alone.
func Topics(t, running choreo.Topology, prefix string) []kafka.TopicConfig {
	needed := map[string]bool{}
	for _, topic := range running.Topics() {
		needed[topic.Name] = true
	}
	for i := range running {
		for _, domain := range heard(&running[i]) {
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
		s := &running[i]
		for _, domain := range heard(s) {
			if topic := domains[domain]; topic != nil {
				out = append(out, deadLetterTopic(s.Name, topic, prefix))
			}
		}
		if len(s.Asks()) > 0 {
			out = append(out, replyTopic(s.Name, prefix))
		}
	}
	return append(out, announcementTopic(prefix))
}

// heard are the domains that a service hears or answers requests of.
func heard(s *choreo.Service) []string {
	domains := append(s.Hears(), s.Answers()...)
	slices.Sort(domains)
	return slices.Compact(domains)
}

// Settings of topics. A compacted topic would lose the earlier events of each
// key, so only announcements are.
const (
	cleanupPolicy = "cleanup.policy"
	deletes       = "delete"
	compacts      = "compact"
	retentionMs   = "retention.ms"
	segmentMs     = "segment.ms" // only what is in an ended segment is deleted or compacted
)

func domainTopic(t *event.Topic, prefix string) kafka.TopicConfig {
	return kafka.TopicConfig{
		Name:        choreo.TopicName(prefix, t.Name),
		Partitions:  t.Partitions,
		Replication: t.Replication,
		Settings:    map[string]string{cleanupPolicy: deletes, retentionMs: retention(t.Retention)},
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
			retentionMs:         retention(-1),
			"max.message.bytes": strconv.Itoa(kafka.MaxRecordBytes),
		},
	}
}

// keepReplies is how long replies are kept: nobody waits as long.
const keepReplies = time.Hour

// replyTopic has one partition, since each instance of the service reads all of it.
func replyTopic(service, prefix string) kafka.TopicConfig {
	return kafka.TopicConfig{
		Name:         choreo.ReplyTopic(prefix, service),
		Partitions:   1,
		Settings:     map[string]string{cleanupPolicy: deletes, retentionMs: retention(keepReplies), segmentMs: retention(keepReplies)},
		DeleteByHand: true,
	}
}

func announcementTopic(prefix string) kafka.TopicConfig {
	return kafka.TopicConfig{
		Name:         choreo.AnnouncementTopic(prefix),
		Partitions:   1,
		Settings:     map[string]string{cleanupPolicy: compacts, retentionMs: retention(-1), segmentMs: retention(24 * time.Hour)},
		DeleteByHand: true,
	}
}

// retention is retention.ms: -1 for ever.
func retention(d time.Duration) string {
	if d < 0 {
		return "-1"
	}
	return strconv.FormatInt(d.Milliseconds(), 10)
}
