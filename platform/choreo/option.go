package choreo

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/troupedev/troupe/platform/event"
)

// Option says more of a reaction or route. Options are data: the topology
// shows them and Validate checks them.
type Option struct {
	apply func(*options)
}

type options struct {
	name    string
	emits   []event.Event
	filter  Filter
	timeout time.Duration
	within  time.Duration
	retry   Retry
	faults  []error
}

func collect(list []Option) options {
	o := options{timeout: DefaultTimeout, retry: DefaultRetry()}
	for _, opt := range list {
		if opt.apply != nil {
			opt.apply(&o)
		}
	}
	return o
}

// Emits declares the events that a handler may emit, given as zero values.
// Emitting another one is an error at run time.
func Emits(events ...event.Event) Option {
	return Option{func(o *options) {
		for _, e := range events {
			if e == nil {
				o.faults = append(o.faults, errors.New("Emits has a nil event"))
				continue
			}
			o.emits = append(o.emits, e)
		}
	}}
}

// Named names a reaction. Needed from a service's second reaction to one event on.
func Named(name string) Option {
	return Option{func(o *options) { o.name = name }}
}

// Timeout bounds one attempt and cancels its context. Default 30 s.
func Timeout(d time.Duration) Option {
	return Option{func(o *options) {
		o.timeout = d
		if d <= 0 {
			o.faults = append(o.faults, fmt.Errorf("timeout %v is not above 0", d))
		}
	}}
}

// Within is the time after which the reaction counts as late, retries
// included. Default: timeout times attempts, and the waits between them.
func Within(d time.Duration) Option {
	return Option{func(o *options) {
		o.within = d
		if d <= 0 {
			o.faults = append(o.faults, fmt.Errorf("within %v is not above 0", d))
		}
	}}
}

// Retries says how often and when a failed reaction is tried again. Fields
// left zero keep their defaults.
func Retries(r Retry) Option {
	return Option{func(o *options) {
		o.retry = r.withDefaults()
		if err := o.retry.validate(); err != nil {
			o.faults = append(o.faults, err)
		}
	}}
}

// Retry is the schedule of a failed reaction: the wait doubles from First up
// to Max, each wait with a random part taken off (at most half of it), so that
// failures that came together do not come again together.
type Retry struct {
	Attempts int           // in all, the first one included; default 10, at least 1
	First    time.Duration // wait after the first failure; default 500 ms
	Max      time.Duration // longest wait; default 2 minutes
}

// DefaultRetry is 10 attempts within about 4 minutes.
func DefaultRetry() Retry {
	return Retry{Attempts: 10, First: 500 * time.Millisecond, Max: 2 * time.Minute}
}

func (r Retry) withDefaults() Retry {
	d := DefaultRetry()
	if r.Attempts == 0 {
		r.Attempts = d.Attempts
	}
	if r.First == 0 {
		r.First = d.First
	}
	if r.Max == 0 {
		r.Max = max(d.Max, r.First)
	}
	return r
}

func (r Retry) validate() error {
	var faults []error
	if r.Attempts < 1 {
		faults = append(faults, fmt.Errorf("retries: %d attempts, want at least 1", r.Attempts))
	}
	if r.First < 0 || r.Max < r.First {
		faults = append(faults, fmt.Errorf("retries: waits from %v to %v, want 0 < first <= max", r.First, r.Max))
	}
	return errors.Join(faults...)
}

// Wait is how long to wait after the given failed attempt (from 1), before
// the random part is taken off.
func (r Retry) Wait(attempt int) time.Duration {
	d := r.First
	for range attempt - 1 {
		if d >= r.Max {
			break
		}
		d *= 2
	}
	return min(d, r.Max)
}

// longest is the sum of all waits, or the longest duration that there is.
func (r Retry) longest() (sum time.Duration) {
	for attempt := 1; attempt < r.Attempts; attempt++ {
		wait := r.Wait(attempt)
		if wait == r.Max {
			return plus(sum, times(r.Attempts-attempt, wait))
		}
		sum = plus(sum, wait)
	}
	return sum
}

const forever = time.Duration(math.MaxInt64)

// plus and times saturate.
func plus(a, b time.Duration) time.Duration {
	if b > forever-a {
		return forever
	}
	return a + b
}

func times(n int, d time.Duration) time.Duration {
	if d > 0 && time.Duration(n) > forever/d {
		return forever
	}
	return time.Duration(n) * d
}

func types(events []event.Event) []*event.Type {
	out := make([]*event.Type, 0, len(events))
	for _, e := range events {
		if t := e.EventType(); !slices.Contains(out, t) {
			out = append(out, t)
		}
	}
	return out
}

// Permanent marks err as one that no retry will mend: the event goes to the
// dead letter topic at once. Permanent(nil) is nil.
func Permanent(err error) error {
	if err == nil {
		return nil
	}
	return &permanentError{err}
}

type permanentError struct{ error }

func (e *permanentError) Unwrap() error { return e.error }

// IsPermanent reports whether err was marked by [Permanent].
func IsPermanent(err error) bool {
	_, ok := errors.AsType[*permanentError](err)
	return ok
}

// RetryAfter asks for the next attempt after d instead of after the schedule's
// wait. It counts as an attempt. RetryAfter(d, nil) is nil.
func RetryAfter(d time.Duration, err error) error {
	if err == nil {
		return nil
	}
	return &retryAfterError{d, err}
}

type retryAfterError struct {
	wait time.Duration
	error
}

func (e *retryAfterError) Unwrap() error { return e.error }

// RetryWait returns the wait that err asks for by [RetryAfter], if it does.
func RetryWait(err error) (time.Duration, bool) {
	e, ok := errors.AsType[*retryAfterError](err)
	if !ok {
		return 0, false
	}
	return max(e.wait, 0), true
}
