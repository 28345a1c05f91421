package choreo

import (
	"slices"
	"strings"
)

// Names of what a declaration brings forth on the broker. The prefix is the
// setting TROUPE_TOPIC_PREFIX, which lets several installations share a cluster.
const (
	deadLetters = "dlq"
	retries     = "retry"
	own         = "troupe"
)

// reserved are the domains that would collide with Troupe's own topics.
var reserved = []string{deadLetters, retries, own}

func isReserved(domain string) bool { return slices.Contains(reserved, domain) }

// TopicName is the topic of a domain.
func TopicName(prefix, domain string) string { return prefix + domain }

// GroupName is the consumer group of a service.
func GroupName(prefix, service string) string { return prefix + service }

// DeadLetterTopic is where a service's dead letters of a topic go.
func DeadLetterTopic(service, topic string) string {
	return strings.Join([]string{deadLetters, service, topic}, ".")
}

// Source is the ce_source of a service.
func Source(service string) string { return "/services/" + service }
