package store

import (
	"context"
	"errors"
	"time"

	"github.com/troupedev/troupe/platform/choreo"
)

// RelayConfig is what a relay depends on.
type RelayConfig struct {
	// Publish produces messages and returns once all are acknowledged. Required.
	Publish func(context.Context, []choreo.Message) error
	// Batch is how many rows are published at once. Default 500.
	Batch int
	// Poll is how often the relay looks without having been woken. Default 1 s.
	Poll time.Duration
}

// Relay publishes the outbox of one service. Several, in one process or in
// many, share the work: each owns some of the buckets that keys hash to.
type Relay struct{}

// Relay returns a relay of the database. It does nothing until [Relay.Run] or [Relay.Step].
func (db *DB) Relay(c RelayConfig) *Relay { return nil }

// Run publishes until ctx ends, and then what is there once more, for at most a
// second. It returns nil then, and otherwise only what cannot heal.
func (r *Relay) Run(ctx context.Context) error { return errors.ErrUnsupported }

// Step publishes one batch, and returns how many rows it was, and when the next
// one that is known is due (zero: none). Only Config.Now and the database decide
// what it does: no goroutine, no waiting. For tests that play a relay.
func (r *Relay) Step(ctx context.Context) (published int, next time.Time, err error) {
	return 0, time.Time{}, errors.ErrUnsupported
}
