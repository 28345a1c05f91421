package runtime

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"time"

	"github.com/troupedev/troupe/platform/choreo"
	"github.com/troupedev/troupe/platform/event"
	"github.com/troupedev/troupe/platform/failpoint"
	"github.com/troupedev/troupe/platform/store"
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
	Outcome   Outcome
	Messages  []choreo.Message // of a work Handled; none where the service has a store: its outbox has them
	Expired   bool             // Handled without running the handler: the event's time was over
	Duplicate bool             // Handled before, so that nothing was done now: the inbox says so

	Err    error         // why not Handled
	Stack  []byte        // where the handler panicked; nil: it did not
	Wait   time.Duration // before the next attempt, of a work to TryAgain
	Outage bool          // to TryAgain because the database was away: the attempt does not count
	Cause  Cause         // of a work GivenUp
}

// PanicError is a handler's panic as an error.
type PanicError struct {
	Value any
	Stack []byte
}

func (e *PanicError) Error() string { return fmt.Sprintf("panic: %v", e.Value) }

// Handle runs one attempt (from 1) of w, one after another, and turns what the
// handler returned into a result. now is the time of the emitted events and is held
// against the event's expiry. The handler's context carries [event.Meta] and ends
// after the reaction's timeout, or with ctx; an attempt that failed after ctx ended
// is never the last one, since it was cut short.
//
// Where the service has a store, the handler runs in a transaction that also
// keeps what it emitted; an answer runs in one that changes nothing.
func (s *Service) Handle(ctx context.Context, w *Work, attempt int, now time.Time) Result {
	if !w.Envelope.Expiry.IsZero() && now.After(w.Envelope.Expiry) {
		return Result{Expired: true}
	}
	messages, duplicate, err := s.attempt(ctx, w, attempt, now)
	if err != nil {
		return s.failed(ctx, w, attempt, err)
	}
	w.outages = 0
	return Result{Messages: messages, Duplicate: duplicate}
}

// attempt runs the handler where it belongs, and returns what is left to be produced.
func (s *Service) attempt(ctx context.Context, w *Work, attempt int, now time.Time) (messages []choreo.Message, duplicate bool, err error) {
	ctx, cancel := context.WithTimeout(event.With(ctx, s.meta(w, attempt)), w.handler.reaction.Timeout())
	defer cancel()
	run := func(ctx context.Context) ([]choreo.Message, error) { return s.run(ctx, w, now) }
	switch {
	case s.options.Database == nil:
		messages, err = run(ctx)
	case s.answering:
		err = s.options.Database.Read(ctx, func(ctx context.Context) (err error) {
			messages, err = run(ctx)
			return err
		})
	default:
		duplicate, err = s.options.Database.Handle(ctx, store.Entry{Reaction: w.Reaction(), ID: w.Envelope.ID}, run)
	}
	return messages, duplicate, err
}

// meta is the event as its handler sees it. Where a producer that knows nothing of
// gathering left out who is to answer, it is whoever answers such events by now.
func (s *Service) meta(w *Work, attempt int) event.Meta {
	meta := w.Envelope.Meta(attempt)
	r := w.handler.reaction
	if meta.Expects == nil && r.Gathers() && w.Event.EventType() == r.Hears()[0] && s.options.Expects != nil {
		meta.Expects = s.options.Expects(w.Event.EventType())
	}
	return meta
}

// run runs the handler and encodes what it emitted; either may panic.
func (s *Service) run(ctx context.Context, w *Work, now time.Time) (messages []choreo.Message, err error) {
	defer func() {
		if p := recover(); p != nil {
			messages, err = nil, &PanicError{p, debug.Stack()}
		}
	}()
	if err := failpoint.Reach(ctx, failpoint.HandlerStarts); err != nil {
		return nil, err
	}
	asking := choreo.WithAsker(ctx, &inquiry{service: s, work: w, now: now, began: time.Now()})
	emitted, err := w.handler.reaction.Handle(asking, w.Event)
	if err != nil {
		return nil, err
	}
	if err := failpoint.Reach(ctx, failpoint.HandlerEnded); err != nil {
		return nil, err
	}
	if s.answering {
		return w.handler.emitter.Reply(w.Envelope, emitted, now)
	}
	return w.handler.emitter.Emit(w.Envelope, emitted, now)
}

// failed decides what follows from a failed attempt. An outage of the database
// comes before what the handler made of it.
func (s *Service) failed(ctx context.Context, w *Work, attempt int, err error) Result {
	result := Result{Outcome: TryAgain, Err: err}
	panicked, isPanic := errors.AsType[*PanicError](err)
	if isPanic {
		result.Stack = panicked.Stack
	}
	if ctx.Err() != nil {
		return result
	}
	if s.options.Database != nil && store.IsOutage(err) {
		result.Outage, result.Wait = true, s.outageWait(w.outages)
		w.outages++
		return result
	}
	w.outages = 0
	retry := w.handler.reaction.Retry()
	switch {
	case choreo.IsPermanent(err):
		return result.giveUp(permanentCause(err))
	case attempt < retry.Attempts:
		result.Wait = s.wait(retry, attempt, err)
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
	return s.shorten(r.Wait(attempt))
}

// Waits while the database is away. The longest is short, since the event is
// not at fault and may be handled as soon as the database is back.
const (
	firstOutage = 100 * time.Millisecond
	longOutage  = 5 * time.Second
)

// outageWait is how long to wait after an outage that came after so many others.
func (s *Service) outageWait(before int) time.Duration {
	return s.shorten(min(longOutage, firstOutage<<min(before, 10)))
}

// shorten takes a random part of at most half off a wait.
func (s *Service) shorten(d time.Duration) time.Duration {
	return d - time.Duration(s.options.Jitter()*float64(d/2))
}
