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
	replies     = own + ".replies."
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

// AnnouncementTopic is where running services announce their declarations.
func AnnouncementTopic(prefix string) string { return prefix + own + ".services" }

// ReplyTopic is where replies to what a service asks go.
func ReplyTopic(prefix, service string) string { return prefix + replies + service }

// IsReplyTopic reports whether topic can be a [ReplyTopic] of an installation.
func IsReplyTopic(prefix, topic string) bool { return strings.HasPrefix(topic, prefix+replies) }

// AnswerGroup is the consumer group in which a service hears requests.
func AnswerGroup(prefix, service string) string { return GroupName(prefix, service) + ".answers" }

const sourcePrefix = "/services/"

// Source is the ce_source of a service.
func Source(service string) string { return sourcePrefix + service }

// ServiceOf is the service of a ce_source; any other source as it is.
func ServiceOf(source string) string { return strings.TrimPrefix(source, sourcePrefix) }
