package choreo

import (
	"context"
	"fmt"

	"github.com/troupedev/troupe/platform/contract"
	"github.com/troupedev/troupe/platform/event"
)

// Gather declares that h runs once for each request of type Q, when every
// service that hears Q and emits A has answered it, with all of the answers.
// Who is expected is read off the announcements of running services when Q is
// emitted, and travels in Q (event.Meta.Expects); where Q comes from a producer
// that says nothing of it, when Q is first heard. An answer is an A that Q led
// to directly. What has come is kept in the service's database, so the service
// needs a Store; Gathered of package store shows who is waited for.
//
// In h, event.From is the event that made it complete.
func Gather[Q, A event.Event, PQ byValue[Q], PA byValue[A]](h func(context.Context, Q, []A) (Events, error), o ...Option) Reaction {
	request, answer := inputOf[Q, PQ](), inputOf[A, PA]()
	r := Reaction{
		name: request.typ.Name, inputs: []input{request, answer}, domain: request.typ.Domain, options: collect(o),
	}
	if h == nil {
		return r
	}
	r.handle = func(ctx context.Context, e event.Event) (Events, error) {
		all, err := r.gathered(ctx, e)
		if all == nil || err != nil {
			return nil, err
		}
		q, err := decodeAs[Q](request, all.Request)
		if err != nil {
			return nil, err
		}
		answers := make([]A, len(all.Answers))
		for i, value := range all.Answers {
			if answers[i], err = decodeAs[A](answer, value); err != nil {
				return nil, err
			}
		}
		return h(ctx, q, answers)
	}
	return r
}

func decodeAs[E event.Event](in input, value []byte) (e E, err error) {
	decoded, err := in.decode(value)
	if err != nil {
		return e, Permanent(fmt.Errorf("gathered %s: %w", in.typ, err))
	}
	return decoded.(E), nil
}

// gathered keeps e, and returns all that was gathered once e makes it complete.
func (r *Reaction) gathered(ctx context.Context, e event.Event) (*Gathered, error) {
	g, ok := ctx.Value(gathererKey{}).(Gatherer)
	if !ok {
		return nil, Permanent(fmt.Errorf("reaction %s gathers, which needs a database; declare a Store", r.Name()))
	}
	value, err := contract.Append(nil, e)
	if err != nil {
		return nil, Permanent(err)
	}
	meta := event.From(ctx)
	if e.EventType() == r.inputs[0].typ {
		return g.Request(ctx, r.Name(), meta.ID, value, meta.Expects)
	}
	return g.Answer(ctx, r.Name(), meta.Cause, ServiceOf(meta.Source), value)
}

// Gatherer keeps what [Gather] reactions have heard, in the transaction of the
// event in hand; a service's database provides it.
type Gatherer interface {
	// Request keeps a request and who is expected to answer it: an empty list
	// says nobody, and nil, that it is not known, is an error.
	Request(ctx context.Context, reaction, id string, value []byte, expected []string) (*Gathered, error)
	// Answer keeps the answer of a service to the request id. An answer may come
	// before its request, and an answer of somebody who is not expected counts
	// as one more.
	Answer(ctx context.Context, reaction, id, service string, value []byte) (*Gathered, error)
}

// Gathered is a request with all answers that were expected, as encoded
// values. Both methods of a [Gatherer] return it once for each request, from
// the call that made it complete, and nil otherwise.
type Gathered struct {
	Request []byte
	Answers [][]byte // in the order of their services' names
}

type gathererKey struct{}

// WithGatherer returns a context in which [Gather] reactions work.
func WithGatherer(ctx context.Context, g Gatherer) context.Context {
	return context.WithValue(ctx, gathererKey{}, g)
}
