// Package failpoint names the steps between which a process may die, so that
// tests can let it.
//
// A step that matters calls [Reach]. In a usual build that does nothing but look
// whether the context has a hook, which a test put there by [With]. Built with
// the tag failpoint, the process kills itself with SIGKILL at the step that the
// variable TROUPE_FAILPOINT names.
package failpoint

import "context"

// Steps, in the order in which an event goes through them.
const (
	HandlerStarts   = "handler.starts"   // an attempt is about to run its handler
	HandlerEnded    = "handler.ended"    // the handler returned without an error
	StoreCommits    = "store.commits"    // the transaction is about to be committed
	StoreCommitted  = "store.committed"  // it was
	RelayPublishes  = "relay.publishes"  // rows of the outbox are about to be produced
	RelayPublished  = "relay.published"  // the broker has acknowledged them
	RelayDeleted    = "relay.deleted"    // they are out of the outbox
	OffsetCommits   = "offset.commits"   // offsets are about to be committed
	OffsetCommitted = "offset.committed" // they were
)

// Variable names the step at which a process built with the tag failpoint is to
// die, and at which time of reaching it (default the first): "store.committed",
// "relay.published:3".
const Variable = "TROUPE_FAILPOINT"

// Hook is told of each step that is reached. Its error is what the step fails with.
type Hook func(step string) error

type hookKey struct{}

// With returns a context whose steps are told to h.
func With(ctx context.Context, h Hook) context.Context {
	return context.WithValue(ctx, hookKey{}, h)
}

// Reach says that the process has come to a step, and returns the error that
// the step is to fail with: nil, but in a test.
func Reach(ctx context.Context, step string) error {
	kill(step)
	if h, ok := ctx.Value(hookKey{}).(Hook); ok {
		return h(step)
	}
	return nil
}
