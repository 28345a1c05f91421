package runtime

import (
	"context"
	"errors"

	"github.com/troupedev/troupe/platform/choreo"
	"github.com/troupedev/troupe/platform/kafka"
)

// completion is work that has come to its end, and what is to be made lasting
// of it: messages, or a dead letter.
type completion struct {
	work     int32
	origin   *kafka.Record
	messages []choreo.Message
	dead     *DeadLetter // nil: the work was handled
}

// finisher is the one seam through which completed work leaves the runtime: work has
// ended, and its offset may be committed, only when the finisher says so. At
// least once is [produce], and [replies] for answers; a Kafka transaction would
// be another. What a service with a store emitted its outbox has by then: only
// its dead letters are left to be made lasting.
type finisher interface {
	// Finish makes completions lasting and calls done once for each of them,
	// from any goroutine, and maybe before it returns. It blocks while there is
	// no room for more, until ctx ends. After an error a completion is not
	// lasting, or not known to be: it will be finished again.
	Finish(ctx context.Context, completions []completion, done func(work int32, err error))
}

// sender is what a finisher needs of a [kafka.Producer].
type sender interface {
	Send(ctx context.Context, records []kafka.Record, done func(error))
}

// produce finishes results at least once: it produces their records and waits
// for all of their acknowledgements.
type produce struct {
	sender sender
	prefix string
}

// Finish implements finisher.
func (p *produce) Finish(ctx context.Context, completions []completion, done func(work int32, err error)) {
	for i := range completions {
		work, records := completions[i].work, p.records(&completions[i])
		if len(records) == 0 {
			done(work, nil)
			continue
		}
		p.sender.Send(ctx, records, func(err error) { done(work, err) })
	}
}

func (p *produce) records(c *completion) []kafka.Record {
	if c.dead != nil {
		return []kafka.Record{c.dead.Record(c.origin)}
	}
	return Records(p.prefix, c.messages)
}

// Records are emitted events as records, on topics with the prefix given. Their
// partition and time are the producer's to set.
func Records(prefix string, messages []choreo.Message) []kafka.Record {
	records := make([]kafka.Record, len(messages))
	for i, m := range messages {
		topic := m.Topic
		if topic == "" {
			topic = choreo.TopicName(prefix, m.Domain)
		}
		records[i] = kafka.Record{Topic: topic, Key: m.Key, Value: m.Value, Headers: m.Headers}
	}
	return records
}

// refused reports whether err means that the broker will never take the
// records, so that producing them again is of no use.
func refused(err error) bool { return errors.Is(err, kafka.ErrTooLarge) }
