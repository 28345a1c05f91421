package store

import (
	"context"
	"errors"
	"maps"
	"slices"
	"sync/atomic"
	"time"
)

// flight is rows of one topic on their way to the broker, in a goroutine of their
// own: a topic without a leader, or a slow one, holds up no other. What it holds
// back are its own rows, which are not read before it has landed.
type flight struct {
	rows  []row
	late  atomic.Bool   // nobody waits: whoever ends it gives the signal
	ended chan struct{} // closed when done is there
	done  outcome
}

// lateAfter is how long a turn waits for the flights that it began. What takes
// longer lands in a later turn.
const lateAfter = 100 * time.Millisecond

// launch publishes rows of each topic beside those of the others, and returns what
// became of those that landed soon.
func (r *Relay) launch(ctx context.Context, topics [][]row) outcome {
	late := time.NewTimer(lateAfter)
	defer late.Stop()
	var waited []*flight
	for _, rows := range topics {
		f := &flight{rows: rows, ended: make(chan struct{})}
		domain, t := rows[0].domain, r.topics[rows[0].domain]
		r.flights[domain] = f
		if t == nil {
			waited = append(waited, f)
		}
		f.late.Store(t != nil) // it has cost enough time
		r.flying.Go(func() {
			f.done = r.publishTo(ctx, rows, t)
			close(f.ended)
			if f.late.Load() {
				r.signal.give()
			}
		})
	}
	for _, f := range waited {
		select {
		case <-f.ended:
		case <-late.C:
			for _, f := range waited {
				f.late.Store(true)
			}
			return r.landed(ctx)
		}
	}
	return r.landed(ctx)
}

// landed takes the flights that have ended out of the air, and returns what became
// of their rows.
func (r *Relay) landed(ctx context.Context) (done outcome) {
	for domain, f := range r.flights {
		select {
		case <-f.ended:
			delete(r.flights, domain)
			r.account(ctx, domain, f.done)
			done.add(f.done)
		default:
		}
	}
	return done
}

// inPlace publishes the rows of one topic after those of the other.
func (r *Relay) inPlace(ctx context.Context, topics [][]row) (done outcome) {
	for _, rows := range topics {
		if ctx.Err() != nil {
			done.failed = context.Cause(ctx)
			break
		}
		domain := rows[0].domain
		of := r.publishTo(ctx, rows, r.topics[domain])
		r.account(ctx, domain, of)
		done.add(of)
	}
	return done
}

// add adds what became of other rows.
func (o *outcome) add(other outcome) {
	o.published = append(o.published, other.published...)
	o.refused = append(o.refused, other.refused...)
	o.failed = errors.Join(o.failed, other.failed)
}

// inFlight are the buckets that have rows in the air, and the domains of these.
func (r *Relay) inFlight() (buckets bucketSet, domains []string) {
	for _, f := range r.flights {
		for i := range f.rows {
			buckets |= 1 << f.rows[i].bucket
		}
	}
	return buckets, slices.Collect(maps.Keys(r.flights))
}
