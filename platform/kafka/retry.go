package kafka

import (
	"context"
	"errors"
	"log/slog"
	"math/rand/v2"
	"sync"
	"time"
)

// backoff is the wait between tries: from 20 ms it doubles up to 1 s, with a
// fifth of jitter so that many clients of one broker do not come back at once.
type backoff struct{ tries int }

const (
	backoffFirst = 20 * time.Millisecond
	backoffLast  = time.Second
)

// wait waits for the next try, or returns ctx's error.
func (b *backoff) wait(ctx context.Context) error {
	d := backoffLast
	if b.tries < 6 {
		d = min(d, backoffFirst<<b.tries)
	}
	b.tries++
	d += time.Duration(rand.Int64N(int64(d)/5 + 1))
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-timer.C:
		return nil
	}
}

func (b *backoff) reset() { b.tries = 0 }

// outage follows something that is tried over and over. It logs when that stops
// working and when it works again, and nothing in between. That no broker can
// be reached concerns everything at once, and is logged once for the client.
type outage struct {
	c      *Client
	what   string
	failed int // in a row
	told   bool
}

// fail notes a failed try. The first of a row is not worth a word: after a
// broker's restart every connection from before fails once.
func (o *outage) fail(err error) {
	o.failed++
	switch _, refused := kgoCode(err); {
	case o.failed != 2:
	case refused:
		o.told = true
		o.c.log.Warn(o.what+" fails; trying again", "error", err)
	default:
		o.c.reach.lost(o.c.log, err)
	}
}

func (o *outage) work() {
	if o.told {
		o.c.log.Info(o.what + " works again")
	}
	o.failed, o.told = 0, false
}

// reach is whether any broker can be reached, as far as anybody noticed: not
// after something failed twice in a row on the way, until a broker answers.
type reach struct {
	mu   sync.Mutex
	down bool
}

func (r *reach) lost(log *slog.Logger, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.down {
		log.Warn("Kafka cannot be reached; trying again", "error", reason(err))
	}
	r.down = true
}

func (r *reach) found(log *slog.Logger) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.down {
		log.Info("Kafka can be reached again")
	}
	r.down = false
}

func (r *reach) is() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return !r.down
}

// retry tries again what passes, for as long as three requests may take. A
// group's coordinator that is being chosen takes some seconds.
func (c *Client) retry(ctx context.Context, try func(context.Context) error) error {
	return c.retryUnless(ctx, nil, try)
}

// retryUnless is retry, but takes one of the errors that pass for an answer.
func (c *Client) retryUnless(ctx context.Context, answer error, try func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, 3*c.cfg.RequestTimeout)
	defer cancel()
	var wait backoff
	for {
		err := try(ctx)
		if err == nil || !retriable(err) || answer != nil && errors.Is(err, answer) || wait.wait(ctx) != nil {
			return err
		}
	}
}
