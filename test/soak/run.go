package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/troupedev/troupe/test/rig"
)

// rehearsal is one run.
type rehearsal struct {
	stage *stage
	plan  plan
	log   *rig.Log
	sent  atomic.Int64 // orders, bookings and registrations

	mu    sync.Mutex
	flows []flow
	seen  seen
}

func newRehearsal(s *stage, p plan) (*rehearsal, error) {
	root, err := rig.Root()
	if err != nil {
		return nil, err
	}
	schemas, err := rig.LoadSchemas(filepath.Join(root, "schemas"))
	if err != nil {
		return nil, err
	}
	log, err := rig.Follow(s.compose.Kafka, schemas)
	return &rehearsal{stage: s, plan: p, log: log}, err
}

// play does the whole run, and returns what did not hold.
func (r *rehearsal) play(ctx context.Context) error {
	began := time.Now()
	if err := r.sendWhileAllFails(ctx, began); err != nil {
		return err
	}
	quiet := time.Now()
	err := r.awaitEnd(ctx)
	r.seen.last = time.Since(quiet)
	if err == nil {
		err = r.awaitBalance(ctx, quiet)
	}
	r.judge()
	r.seen.print(os.Stdout)
	return errors.Join(err, r.seen.faults())
}

// sendWhileAllFails sends every flow, and lets things fail for as long as that
// takes. When it returns, all that failed is there again.
func (r *rehearsal) sendWhileAllFails(ctx context.Context, began time.Time) error {
	f := &faults{r.stage, r.plan, began}
	g, ctx := errgroup.WithContext(ctx)
	failing, stop := context.WithCancel(ctx)
	g.Go(func() (err error) {
		r.seen.outages, err = f.fail(failing)
		return err
	})
	g.Go(func() (err error) {
		r.seen.kills, err = f.kill(failing)
		return err
	})
	g.Go(func() error {
		defer stop()
		err := r.send(ctx)
		r.seen.sending = time.Since(began)
		return err
	})
	g.Go(func() error {
		r.report(failing, began)
		return nil
	})
	return g.Wait()
}

// report says now and then how far the run is, until ctx ends.
func (r *rehearsal) report(ctx context.Context, began time.Time) {
	for wait(ctx, 15*time.Second) {
		fmt.Printf("%5.1f s  %d were taken, %d flows have begun\n", time.Since(began).Seconds(), r.sent.Load(), r.log.Flows())
	}
}

// awaitEnd waits until every flow has gone the way of its kind, at most for the
// grace after the last fault.
func (r *rehearsal) awaitEnd(ctx context.Context) error {
	ctx, cancel := context.WithTimeoutCause(ctx, r.plan.grace, fmt.Errorf("not within %v of the last fault", r.plan.grace))
	defer cancel()
	open := slices.Clone(r.flows)
	for {
		open = slices.DeleteFunc(open, func(f flow) bool { return f.check(r.log.Flow(f.FlowID)) == nil })
		if len(open) == 0 {
			return nil
		}
		if !wait(ctx, time.Second) {
			return fmt.Errorf("%w: %d flows are open: %w", context.Cause(ctx), len(open), r.describe(open))
		}
	}
}

// describe says what the first of some flows lack.
func (r *rehearsal) describe(flows []flow) error {
	var errs []error
	for _, f := range flows[:min(len(flows), 10)] {
		if err := f.check(r.log.Flow(f.FlowID)); err != nil {
			errs = append(errs, fmt.Errorf("%s %s, flow %s: %w", f.name, f.ID, f.FlowID, err))
		}
	}
	return errors.Join(errs...)
}

// awaitBalance waits until all effects balance, what is on its way in this
// moment being allowed some time to come too much.
func (r *rehearsal) awaitBalance(ctx context.Context, quiet time.Time) error {
	ctx, cancel := context.WithDeadlineCause(ctx, quiet.Add(2*r.plan.grace), fmt.Errorf("not within %v of the last fault", 2*r.plan.grace))
	defer cancel()
	const settle = 5 * time.Second
	// A mail comes again where its sender was killed, or the server before it said yes.
	again := r.seen.kills["notifications"] + 2*r.seen.outages["mail away"]
	ledger := r.stage.ledger(r.log)
	for {
		wait(ctx, settle)
		err := ledger.Balance(ctx, again)
		if err == nil {
			return nil
		}
		if ctx.Err() != nil {
			return fmt.Errorf("%w: %w", context.Cause(ctx), err)
		}
	}
}

// judge gathers what is to be said of the run.
func (r *rehearsal) judge() {
	s := &r.seen
	s.sent, s.flows, s.begun = int(r.sent.Load()), len(r.flows), r.log.Flows()
	s.events, s.repeated = len(r.log.Events()), r.log.Repeated()
	s.dead = len(r.log.DeadLetters())
	s.order = r.log.CheckOrder()
	s.kinds = map[string]int{}
	mails, _ := r.stage.mail.Mails(context.Background()) // our own: never fails
	byCause := rig.ByCause(mails)
	s.mails, s.mailsAgain = len(byCause), len(mails)-len(byCause)
	for _, f := range r.flows {
		s.kinds[f.name]++
		events := r.log.Flow(f.FlowID)
		err := f.check(events)
		if err == nil && !f.loose {
			err = rig.CheckMail(events, byCause, false)
		}
		if err != nil {
			s.wrong = append(s.wrong, fmt.Errorf("%s %s, flow %s: %w", f.name, f.ID, f.FlowID, err))
			continue
		}
		s.took = append(s.took, events[len(events)-1].Time.Sub(f.sent))
	}
	slices.Sort(s.took)
}
