package runtime

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"time"

	"github.com/troupedev/troupe/platform/choreo"
	"github.com/troupedev/troupe/platform/event"
)

// Outcome is what one attempt came to.
type Outcome uint8

// Outcomes of an attempt.
const (
	Handled  Outcome = iota // its messages are to be produced
	TryAgain                // another attempt after Result.Wait
	GivenUp                 // a dead letter
)

// Result is what one attempt of one piece of work brought.
type Result struct {
	Outcome  Outcome
	Messages []choreo.Message // of a work Handled
	Expired  bool             // Handled without running the handler: the event's time was over

	Err   error         // why not Handled
	Stack []byte        // where the handler panicked; nil: it did not
	Wait  time.Duration // before the next attempt, of a work to TryAgain
	Cause Cause         // of a work GivenUp
}

// PanicError is a handler's panic as an error.
type PanicError struct {
	Value any
	Stack []byte
}

func (e *PanicError) Error() string { return fmt.Sprintf("panic: %v", e.Value) }

// Handle runs one attempt (from 1) of w and turns what the handler returned
// into a result. now is the time of the emitted events and is held against the
// event's expiry. The handler's context carries [event.Meta] and ends after the
// reaction's timeout, or with ctx; an attempt that failed after ctx ended is
// never the last one, since it was cut short.
func (s *Service) Handle(ctx context.Context, w *Work, attempt int, now time.Time) Result {
	if !w.Envelope.Expiry.IsZero() && now.After(w.Envelope.Expiry) {
		return Result{Expired: true}
	}
	messages, err := w.attempt(ctx, attempt, now)
	if err == nil {
		return Result{Messages: messages}
	}
	return s.failed(ctx, w.handler.reaction, attempt, err)
}

// attempt runs the handler and encodes what it emitted; either may panic.
func (w *Work) attempt(ctx context.Context, attempt int, now time.Time) (messages []choreo.Message, err error) {
	defer func() {
		if p := recover(); p != nil {
			messages, err = nil, &PanicError{p, debug.Stack()}
		}
	}()
	ctx, cancel := context.WithTimeout(event.With(ctx, w.Envelope.Meta(attempt)), w.handler.reaction.Timeout())
	defer cancel()
	emitted, err := w.handler.reaction.Handle(ctx, w.Event)
	if err != nil {
		return nil, err
	}
	return w.handler.emitter.Emit(w.Envelope, emitted, now)
}

// failed decides what follows from a failed attempt.
func (s *Service) failed(ctx context.Context, r *choreo.Reaction, attempt int, err error) Result {
	result := Result{Outcome: TryAgain, Err: err}
	panicked, isPanic := errors.AsType[*PanicError](err)
	if isPanic {
		result.Stack = panicked.Stack
	}
	switch {
	case ctx.Err() != nil:
		return result
	case choreo.IsPermanent(err):
		return result.giveUp(permanentCause(err))
	case attempt < r.Retry().Attempts:
		result.Wait = s.wait(r.Retry(), attempt, err)
		return result
	case isPanic:
		return result.giveUp(CausePanic)
	default:
		return result.giveUp(CauseAttempts)
	}
}

func (r Result) giveUp(c Cause) Result {
	r.Outcome, r.Cause = GivenUp, c
	return r
}

func permanentCause(err error) Cause {
	if _, ok := errors.AsType[*choreo.UndeclaredError](err); ok {
		return CauseUndeclared
	}
	return CausePermanent
}

// wait is how long to wait after a failed attempt: as the handler says, else
// by the schedule with a random part of at most half taken off.
func (s *Service) wait(r choreo.Retry, attempt int, err error) time.Duration {
	if d, ok := choreo.RetryWait(err); ok {
		return d
	}
	d := r.Wait(attempt)
	return d - time.Duration(s.jitter()*float64(d/2))
}
