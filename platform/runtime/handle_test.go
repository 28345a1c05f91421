package runtime

import (
	"context"
	"errors"
	"reflect"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/troupedev/troupe/platform/choreo"
	"github.com/troupedev/troupe/platform/event"
)

// serviceOf is a service with one reaction to Sold.
func serviceOf(o ServiceOptions, handler func(context.Context, sold) (choreo.Events, error), options ...choreo.Option) *Service {
	t := choreo.Topology{{Name: "packer", Reactions: []choreo.Reaction{choreo.On(handler, options...)}}}
	return NewService(t, &t[0], o)
}

// handle judges a record and runs the one work that it means.
func handle(t *testing.T, s *Service, attempt int, change ...func(*event.Envelope)) Result {
	t.Helper()
	r := record(t, sold{"1", "web"}, change...)
	v := s.Judge(&r)
	if len(v.Work) != 1 {
		t.Fatalf("judged %v %q: %v", reactions(&v), v.Cause, v.Err)
	}
	return s.Handle(t.Context(), &v.Work[0], attempt, noon)
}

func TestHandleSteersByTheError(t *testing.T) {
	broken := errors.New("broken")
	plain := func(context.Context, sold) (choreo.Events, error) { return nil, broken }
	retries := choreo.Retries(choreo.Retry{Attempts: 3, First: time.Second, Max: 3 * time.Second})
	for name, c := range map[string]struct {
		handler func(context.Context, sold) (choreo.Events, error)
		attempt int
		want    Result
	}{
		"nothing to say":                    {func(context.Context, sold) (choreo.Events, error) { return nil, nil }, 1, Result{}},
		"a plain error":                     {plain, 1, Result{Outcome: TryAgain, Wait: 750 * time.Millisecond}},
		"a plain error again waits longer":  {plain, 2, Result{Outcome: TryAgain, Wait: 1500 * time.Millisecond}},
		"a plain error at the last attempt": {plain, 3, Result{Outcome: GivenUp, Cause: CauseAttempts}},
		"a permanent error": {func(context.Context, sold) (choreo.Events, error) { return nil, choreo.Permanent(broken) }, 1,
			Result{Outcome: GivenUp, Cause: CausePermanent}},
		"an error with its own wait": {func(context.Context, sold) (choreo.Events, error) { return nil, choreo.RetryAfter(time.Minute, broken) }, 2,
			Result{Outcome: TryAgain, Wait: time.Minute}},
		"an error with its own wait at the last attempt": {func(context.Context, sold) (choreo.Events, error) { return nil, choreo.RetryAfter(time.Minute, broken) }, 3,
			Result{Outcome: GivenUp, Cause: CauseAttempts}},
		"a panic": {func(context.Context, sold) (choreo.Events, error) { panic(broken) }, 1, Result{Outcome: TryAgain, Wait: 750 * time.Millisecond}},
		"a panic in an emitted event": {func(context.Context, sold) (choreo.Events, error) { return choreo.Emit((*packed)(nil)), nil }, 1,
			Result{Outcome: TryAgain, Wait: 750 * time.Millisecond}},
		"a panic at the last attempt": {func(context.Context, sold) (choreo.Events, error) { panic(broken) }, 3, Result{Outcome: GivenUp, Cause: CausePanic}},
		"an event that is not declared": {func(context.Context, sold) (choreo.Events, error) { return choreo.Emit(shipped{"1"}), nil }, 1,
			Result{Outcome: GivenUp, Cause: CauseUndeclared}},
		"an event that its schema refuses": {func(context.Context, sold) (choreo.Events, error) { return choreo.Emit(packed{"\xff", ""}), nil }, 1,
			Result{Outcome: GivenUp, Cause: CausePermanent}},
	} {
		t.Run(name, func(t *testing.T) {
			s := serviceOf(ServiceOptions{Jitter: func() float64 { return 0.5 }}, c.handler, retries, choreo.Emits(packed{}))
			got := handle(t, s, c.attempt)
			if got.Outcome != c.want.Outcome || got.Cause != c.want.Cause || got.Wait != c.want.Wait {
				t.Errorf("got %d %q after %v (%v), want %d %q after %v", got.Outcome, got.Cause, got.Wait, got.Err, c.want.Outcome, c.want.Cause, c.want.Wait)
			}
			if panics := strings.Contains(name, "panic"); panics != (len(got.Stack) > 0) {
				t.Errorf("stack: %s", got.Stack)
			}
			if (got.Err == nil) != (got.Outcome == Handled) {
				t.Errorf("error %v", got.Err)
			}
		})
	}
}

func TestUndeclaredEmitIsNamed(t *testing.T) {
	s := serviceOf(ServiceOptions{}, func(context.Context, sold) (choreo.Events, error) { return choreo.Emit(shipped{"1"}), nil })
	text := handle(t, s, 1).Err.Error()
	for _, part := range []string{"packer", "Sold", "depot.Shipped"} {
		if !strings.Contains(text, part) {
			t.Errorf("%q does not name %s", text, part)
		}
	}
}

func TestHandleEmitsAsCausedByTheEvent(t *testing.T) {
	s := serviceOf(ServiceOptions{}, func(context.Context, sold) (choreo.Events, error) {
		return choreo.Emit(packed{"1", "a"}, packed{"2", "b"}), nil
	}, choreo.Emits(packed{}))
	first, second := handle(t, s, 1), handle(t, s, 2)
	if len(first.Messages) != 2 {
		t.Fatalf("emitted %d", len(first.Messages))
	}
	for i, m := range first.Messages {
		e, err := event.ParseHeaders(m.Headers)
		if err != nil {
			t.Fatal(err)
		}
		if e.Cause != "id-1" || e.Flow != "flow-1" || e.Hop != 1 || e.Reaction != "Sold" || e.EmitIndex != i+1 || e.EmitCount != 2 || !e.Time.Equal(noon) {
			t.Errorf("envelope %+v", e)
		}
		if m.ID != second.Messages[i].ID {
			t.Errorf("attempt 2 emitted id %s, attempt 1 %s", second.Messages[i].ID, m.ID)
		}
	}
}

func TestHandlerSeesItsEvent(t *testing.T) {
	var got event.Meta
	s := serviceOf(ServiceOptions{}, func(ctx context.Context, _ sold) (choreo.Events, error) {
		got = event.From(ctx)
		return nil, nil
	})
	handle(t, s, 7, func(e *event.Envelope) { e.Subject, e.Hop, e.Cause, e.TraceParent = "", 3, "before", "00-aa-bb-01" })
	want := event.Meta{ID: "id-1", Flow: "flow-1", Cause: "before", Source: "/services/test", Key: "1", Attempt: 7, Hop: 3, Time: noon, Trace: "00-aa-bb-01"}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v, want %+v", got, want)
	}
}

func TestExpiredEventIsNotHandled(t *testing.T) {
	ran := false
	s := serviceOf(ServiceOptions{}, func(context.Context, sold) (choreo.Events, error) { ran = true; return nil, nil })
	for expiry, want := range map[time.Duration]bool{-time.Second: true, 0: false, time.Second: false} {
		ran = false
		r := handle(t, s, 1, func(e *event.Envelope) { e.Expiry = noon.Add(expiry) })
		if r.Expired != want || ran == want || r.Outcome != Handled {
			t.Errorf("expiry %v from now: ran %t, %+v", expiry, ran, r)
		}
	}
}

func TestTimeoutEndsAnAttempt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := serviceOf(ServiceOptions{}, func(ctx context.Context, _ sold) (choreo.Events, error) {
			<-ctx.Done()
			return nil, ctx.Err()
		}, choreo.Timeout(5*time.Second))
		began := time.Now()
		r := handle(t, s, 1)
		if d := time.Since(began); d != 5*time.Second || r.Outcome != TryAgain || !errors.Is(r.Err, context.DeadlineExceeded) {
			t.Errorf("after %v: %+v", d, r)
		}
	})
}

func TestAttemptCutShortIsNeverTheLast(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	s := serviceOf(ServiceOptions{}, func(ctx context.Context, _ sold) (choreo.Events, error) {
		cancel()
		return nil, ctx.Err()
	}, choreo.Retries(choreo.Retry{Attempts: 1}))
	r := record(t, sold{"1", "web"})
	v := s.Judge(&r)
	if got := s.Handle(ctx, &v.Work[0], 1, noon); got.Outcome != TryAgain {
		t.Errorf("got %+v", got)
	}
}

func TestWaitStaysWithinItsBounds(t *testing.T) {
	for jitter, want := range map[float64]time.Duration{0: time.Second, 1: 500 * time.Millisecond} {
		s := serviceOf(ServiceOptions{Jitter: func() float64 { return jitter }},
			func(context.Context, sold) (choreo.Events, error) { return nil, errors.New("broken") },
			choreo.Retries(choreo.Retry{First: time.Second}))
		if r := handle(t, s, 1); r.Wait != want {
			t.Errorf("jitter %v: wait %v, want %v", jitter, r.Wait, want)
		}
	}
}
