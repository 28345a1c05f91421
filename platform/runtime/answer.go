package runtime

import (
	"context"
	"fmt"
	"log/slog"

	"github.com/troupedev/troupe/platform/choreo"
	"github.com/troupedev/troupe/platform/event"
)

// replyFault says why the reply to a request must not go where the request
// wants it: whoever may publish requests could have replies written anywhere.
func (s *Service) replyFault(e *event.Envelope) error {
	if !s.answering || e.ReplyTo == "" || choreo.IsReplyTopic(s.options.Prefix, e.ReplyTo) {
		return nil
	}
	return fmt.Errorf("%s wants its reply on topic %q, which is no topic of replies; those begin with %s",
		e.Type, e.ReplyTo, choreo.ReplyTopic(s.options.Prefix, ""))
}

// replies finishes answers: like produce, but a reply that cannot be produced
// is dropped. The producer has tried for longer than anybody waits, and a topic
// that is gone must not hold up the requests of others.
type replies struct {
	*produce
	log *slog.Logger
}

// Finish implements finisher.
func (r *replies) Finish(ctx context.Context, completions []completion, done func(work int32, err error)) {
	direct := make(map[int32]string, len(completions))
	for i := range completions {
		for _, m := range completions[i].messages {
			direct[completions[i].work] = m.Topic
		}
	}
	r.produce.Finish(ctx, completions, func(work int32, err error) {
		if topic := direct[work]; err != nil && topic != "" && !refused(err) && ctx.Err() == nil {
			r.log.Warn("reply dropped: it could not be produced", "topic", topic, "error", err)
			err = nil
		}
		done(work, err)
	})
}
