package kafka

import (
	"context"
	"errors"
	"log/slog"
	"math/rand/v2"
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

// outage logs when something that is tried over and over stops working and
// when it works again, and nothing in between.
type outage struct {
	log  *slog.Logger
	what string
	down bool
}

func (o *outage) failed(err error) {
	if !o.down {
		o.log.Warn(o.what+": failed; trying again", "error", err)
	}
	o.down = true
}

func (o *outage) worked() {
	if o.down {
		o.log.Info(o.what + ": works again")
	}
	o.down = false
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
