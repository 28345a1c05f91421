package choreo

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/troupedev/troupe/platform/contract"
	"github.com/troupedev/troupe/platform/event"
)

// DefaultPatience is how long [Ask] waits for a reply where its context does
// not end sooner.
const DefaultPatience = 10 * time.Second

// Answer declares that h answers each request of type Q with an R. It is a
// query: it changes nothing, so it runs again for a request that comes twice,
// outside of transaction and inbox, beside the service's other reactions and
// not behind them. Nobody waits for an answer longer than the request says.
func Answer[Q event.Request[R], R event.Event, P byValue[Q]](h func(context.Context, Q) (R, error), o ...Option) Reaction {
	in := inputOf[Q, P]()
	var reply R
	r := Reaction{name: in.typ.Name, inputs: []input{in}, domain: in.typ.Domain, reply: reply.EventType(), options: collect(o)}
	r.options.emits = append(r.options.emits, reply)
	if h == nil {
		return r
	}
	r.handle = func(ctx context.Context, e event.Event) (Events, error) {
		q, ok := e.(Q)
		if !ok {
			return nil, unexpected(e, in)
		}
		answer, err := h(ctx, q)
		if err != nil {
			return nil, err
		}
		return Emit(answer), nil
	}
	return r
}

// Asker sends a request and waits for its reply; whoever runs handlers provides it.
type Asker interface {
	// Ask returns the value of the reply, as it was on the wire. It gives up
	// when ctx ends, with a [NoReplyError].
	Ask(ctx context.Context, request event.Event) (reply []byte, err error)
}

type askerKey struct{}

// WithAsker returns a context in which [Ask] works.
func WithAsker(ctx context.Context, a Asker) context.Context {
	return context.WithValue(ctx, askerKey{}, a)
}

// Ask publishes the request q, which the reaction has to declare by [Emits],
// and waits for the reply, at most [DefaultPatience] and no longer than ctx. No
// reply in time is a [NoReplyError], which is tried again like any error; the
// request is then asked anew.
//
// The request goes out at once, and not with the handler's transaction: ask
// before the first use of store.Tx. Asking after it is an error.
func Ask[R event.Event](ctx context.Context, q event.Request[R]) (r R, err error) {
	asker, ok := ctx.Value(askerKey{}).(Asker)
	if !ok {
		return r, Permanent(fmt.Errorf("ask %s: only the handler of a reaction can ask, with the context that it was given", q.EventType()))
	}
	ctx, cancel := context.WithTimeout(ctx, DefaultPatience)
	defer cancel()
	value, err := asker.Ask(ctx, q)
	if err != nil {
		return r, err
	}
	into, ok := any(&r).(contract.Decoder)
	if !ok {
		return r, Permanent(fmt.Errorf("ask %s: %T is not a generated event", q.EventType(), r))
	}
	if err := contract.Decode(value, r.EventType(), into); err != nil {
		return r, fmt.Errorf("ask %s: the reply: %w", q.EventType(), err)
	}
	return r, nil
}

// NoReplyError says that nobody replied to a request in time.
type NoReplyError struct {
	Request *event.Type
	From    []string // services that answer it; empty: none is known
	Waited  time.Duration
}

func (e *NoReplyError) Error() string {
	from := strings.Join(e.From, ", ")
	if from == "" {
		from = "anybody; no running service answers it"
	}
	return fmt.Sprintf("no reply to %s within %v: waited for %s", e.Request, e.Waited.Round(time.Millisecond), from)
}

// Is makes a NoReplyError a [context.DeadlineExceeded].
func (e *NoReplyError) Is(target error) bool { return target == context.DeadlineExceeded }
