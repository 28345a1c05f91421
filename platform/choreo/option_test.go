package choreo_test

import (
	"errors"
	"testing"
	"time"

	"github.com/troupedev/troupe/platform/choreo"
)

func TestWaitsDoubleUpToTheirLongest(t *testing.T) {
	r := choreo.Retry{Attempts: 6, First: time.Second, Max: 5 * time.Second}
	for attempt, want := range []time.Duration{1: 1, 2: 2, 3: 4, 4: 5, 5: 5, 1000: 5} {
		if want == 0 {
			continue
		}
		if got := r.Wait(attempt); got != want*time.Second {
			t.Errorf("after attempt %d: %v, want %v", attempt, got, want*time.Second)
		}
	}
}

func TestWithinDefaultsToWhatTheRetriesCanTake(t *testing.T) {
	r := choreo.On(onBought, choreo.Timeout(time.Second),
		choreo.Retries(choreo.Retry{Attempts: 3, First: time.Second, Max: 10 * time.Second}))
	if got, want := r.Within(), 3*time.Second+1*time.Second+2*time.Second; got != want {
		t.Errorf("got %v, want %v", got, want)
	}
}

func TestErrorsSteer(t *testing.T) {
	cause := errors.New("no such account")
	if err := choreo.Permanent(cause); !choreo.IsPermanent(err) || !errors.Is(err, cause) || err.Error() != cause.Error() {
		t.Errorf("Permanent gave %v", err)
	}
	if choreo.Permanent(nil) != nil || choreo.RetryAfter(time.Second, nil) != nil {
		t.Error("no error became one")
	}
	if choreo.IsPermanent(cause) {
		t.Error("a plain error is permanent")
	}
	err := errors.Join(errors.New("busy"), choreo.RetryAfter(3*time.Second, cause))
	if d, ok := choreo.RetryWait(err); !ok || d != 3*time.Second || !errors.Is(err, cause) {
		t.Errorf("RetryAfter asks for %v, %t", d, ok)
	}
	if d, ok := choreo.RetryWait(choreo.RetryAfter(-time.Second, cause)); !ok || d != 0 {
		t.Errorf("a negative wait became %v", d)
	}
	if _, ok := choreo.RetryWait(cause); ok {
		t.Error("a plain error asks for a wait")
	}
}
