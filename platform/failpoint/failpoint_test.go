package failpoint_test

import (
	"errors"
	"testing"

	"github.com/troupedev/troupe/platform/failpoint"
)

func TestAHookIsToldOfEachStep(t *testing.T) {
	var reached []string
	broken := errors.New("broken")
	ctx := failpoint.With(t.Context(), func(step string) error {
		reached = append(reached, step)
		if step == failpoint.StoreCommits {
			return broken
		}
		return nil
	})
	if err := failpoint.Reach(ctx, failpoint.HandlerEnded); err != nil {
		t.Errorf("got %v", err)
	}
	if err := failpoint.Reach(ctx, failpoint.StoreCommits); err != broken {
		t.Errorf("got %v, want the hook's error", err)
	}
	if len(reached) != 2 || reached[0] != failpoint.HandlerEnded {
		t.Errorf("the hook was told of %v", reached)
	}
	if err := failpoint.Reach(t.Context(), failpoint.StoreCommits); err != nil {
		t.Errorf("without a hook: %v", err)
	}
}
