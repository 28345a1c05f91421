package runtime

import (
	"fmt"

	"github.com/troupedev/troupe/platform/event"
	"github.com/troupedev/troupe/platform/kafka"
)

// Verdict is what a service makes of a record: a dead letter where Cause is
// set, else the work that it means. A record that is neither, because the
// service does not hear its type or no filter lets it through, is skipped.
type Verdict struct {
	Envelope *event.Envelope // nil where the headers cannot be read
	Work     []Work          // one for each reaction that hears the event, in order of declaration
	Cause    Cause
	Err      error // what Cause means here
}

// Work is one event for one reaction: the unit of attempts, retries and dead
// letters. [Service.Handle] counts in it, so it is for one attempt at a time.
type Work struct {
	Envelope *event.Envelope
	Event    event.Event // in the version that the reaction declares

	handler *handler
	outages int // attempts in a row that came to nothing because the database was away
}

// Reaction is the name of the reaction.
func (w *Work) Reaction() string { return w.handler.reaction.Name() }

// Judge says what the service does with a record. It depends on the record and
// the declaration alone, and never fails: whatever is wrong with a record makes
// it a dead letter.
//
// Of several things that are wrong, the one that tells most counts. A record
// with our headers is skipped, undecoded, if its type is not heard; else its
// value decides. A record without them can be nobody's event: its value is
// looked at first (none, empty, not framed, of an unknown schema), since that
// says better where it came from, and only a value that could have been an
// event's is [CauseNotAnEvent].
func (s *Service) Judge(r *kafka.Record) (v Verdict) {
	defer func() {
		if p := recover(); p != nil {
			v = dead(v.Envelope, CauseUndecodable, fmt.Errorf("decoding panicked: %v", p))
		}
	}()
	h, ok := s.topics[r.Topic]
	if !ok {
		return Verdict{}
	}
	envelope, err := event.ParseHeaders(r.Headers)
	if err != nil {
		return s.judgeForeign(r.Value, err)
	}
	if r.Key != nil {
		envelope.Subject = string(r.Key)
	}
	v.Envelope = &envelope
	v = s.decode(h, &envelope, r.Value)
	if len(v.Work) > 0 && envelope.Hop > s.options.Hops {
		return dead(&envelope, CauseHopLimit, fmt.Errorf("%s is event %d of flow %s, more than %d: reactions seem to lead to each other in a loop",
			envelope.Type, envelope.Hop, envelope.Flow, s.options.Hops))
	}
	if err := s.replyFault(&envelope); err != nil && len(v.Work) > 0 {
		return dead(&envelope, CauseReplyTopic, err)
	}
	return v
}

func dead(e *event.Envelope, c Cause, err error) Verdict {
	return Verdict{Envelope: e, Cause: c, Err: err}
}

// decode decodes the value once for each version that is heard, and keeps the
// reactions whose filters let the event through.
func (s *Service) decode(h *hearing, e *event.Envelope, value []byte) Verdict {
	v := Verdict{Envelope: e}
	for _, heard := range h.events[e.Type] {
		decoded, err := heard.handlers[0].reaction.Decode(heard.typ, value)
		if err != nil {
			return dead(e, s.whyNot(e.Type, value, err), fmt.Errorf("%s: %w", heard.typ, err))
		}
		v.add(heard.handlers, decoded)
	}
	if len(h.all) == 0 {
		return v
	}
	decoded, known, err := s.decodeAny(e.Type, value)
	if err != nil {
		return dead(e, s.whyNot(e.Type, value, err), fmt.Errorf("%s: %w", e.Type, err))
	}
	if known {
		v.add(h.all, decoded)
	}
	return v
}

func (v *Verdict) add(handlers []*handler, e event.Event) {
	for _, h := range handlers {
		if h.reaction.Accepts(e) {
			v.Work = append(v.Work, Work{Envelope: v.Envelope, Event: e, handler: h})
		}
	}
}

// whyNot is the cause for a value that did not decode as the event called name.
func (s *Service) whyNot(name string, value []byte, err error) Cause {
	if t, _ := s.schemas.TypeOf(value); t != nil && t.FullName() != name {
		return CauseTypeMismatch
	}
	return decodeCause(value, err)
}

// judgeForeign judges a record whose headers are not ours, as the error says.
// It can be no request: whoever answers skips it, and leaves it to those who
// hear the topic's events.
func (s *Service) judgeForeign(value []byte, headers error) Verdict {
	if s.answering {
		return Verdict{}
	}
	if _, err := s.schemas.TypeOf(value); err != nil {
		return dead(nil, decodeCause(value, err), fmt.Errorf("%w; also %w", err, headers))
	}
	return dead(nil, CauseNotAnEvent, headers)
}
