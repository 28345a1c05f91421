package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/troupedev/troupe/test/rig"
)

// services are those that may be killed.
var services = []string{"orders", "payments", "inventory", "shipping", "notifications"}

// order is an order that the API has taken.
type order struct {
	rig.Placed
	kind rig.Kind
	sent time.Time
}

// seen is what a run saw.
type seen struct {
	orders        int
	placing       time.Duration
	kills         []string
	ended         int
	last          time.Duration // from the last kill until the last order had ended
	flows         int
	events        int
	repeated      map[string]int // by service: events written again
	dead          int
	order         error
	mails         mails
	fromSentToEnd []time.Duration
}

type mails struct{ wanted, missing, repeated int }

// rehearsal is one run.
type rehearsal struct {
	compose *rig.Compose
	plan    plan
	rand    *rand.Rand
	kinds   []rig.Kind
	log     *rig.Log

	mu     sync.Mutex
	orders []order
	seen   seen
}

func newRehearsal(c *rig.Compose, p plan) (*rehearsal, error) {
	root, err := rig.Root()
	if err != nil {
		return nil, err
	}
	schemas, err := rig.LoadSchemas(filepath.Join(root, "schemas"))
	if err != nil {
		return nil, err
	}
	log, err := rig.Follow(c.Kafka, schemas)
	return &rehearsal{compose: c, plan: p, rand: rand.New(rand.NewPCG(p.seed, p.seed)), kinds: rig.Ending(), log: log}, err
}

// play does the whole run, and returns what did not hold.
func (r *rehearsal) play(ctx context.Context) error {
	began := time.Now()
	placing, stop := context.WithCancel(ctx)
	defer stop()
	var killed time.Time
	var g errgroup.Group
	g.Go(func() (err error) {
		killed, err = r.kill(placing, began)
		return err
	})
	err := r.place(ctx)
	r.seen.placing = time.Since(began)
	stop()
	if err := errors.Join(err, g.Wait()); err != nil {
		return err
	}
	if killed.IsZero() {
		killed = time.Now()
	}
	err = r.awaitEnd(ctx, killed)
	r.judge()
	r.seen.print(os.Stdout)
	return errors.Join(err, r.seen.faults())
}

// kill kills a random service now and then, for as long as orders are placed.
func (r *rehearsal) kill(ctx context.Context, began time.Time) (last time.Time, err error) {
	tick := time.NewTicker(r.plan.every)
	defer tick.Stop()
	choice := rand.New(rand.NewPCG(r.plan.seed, 1))
	for {
		select {
		case <-ctx.Done():
			return last, nil
		case <-tick.C:
		}
		name := services[choice.IntN(len(services))]
		// Not ctx: what has been killed is started again, whatever ends meanwhile.
		if err := r.compose.Restart(context.WithoutCancel(ctx), name); err != nil {
			return last, err
		}
		last = time.Now()
		r.seen.kills = append(r.seen.kills, name)
		fmt.Printf("%5.1f s  killed %s, and started it again; %d flows have begun\n", last.Sub(began).Seconds(), name, r.log.Flows())
	}
}

// place places the orders, each in its own time: one that the API cannot take
// does not hold up those behind it.
func (r *rehearsal) place(ctx context.Context) error {
	began := time.Now()
	g, ctx := errgroup.WithContext(ctx)
	for n := range r.plan.orders {
		// By the clock: a busy machine makes them bunch, and not fewer.
		due := began.Add(time.Duration(n) * time.Second / time.Duration(r.plan.rate))
		select {
		case <-time.After(time.Until(due)):
		case <-ctx.Done():
			return g.Wait()
		}
		kind := r.kinds[r.rand.IntN(len(r.kinds))]
		g.Go(func() error {
			sent := time.Now()
			placed, err := rig.Place(ctx, r.compose.API, fmt.Sprintf("soak-%d-%d", r.plan.seed, n), kind.Order)
			if err != nil {
				return fmt.Errorf("order %d: %w", n, err)
			}
			r.mu.Lock()
			defer r.mu.Unlock()
			r.orders = append(r.orders, order{placed, kind, sent})
			return nil
		})
	}
	return g.Wait()
}

// awaitEnd waits until every order has gone the way of its kind and its mail is
// there, at most for the grace after the last kill.
func (r *rehearsal) awaitEnd(ctx context.Context, killed time.Time) error {
	ctx, cancel := context.WithDeadlineCause(ctx, killed.Add(r.plan.grace), fmt.Errorf("not within %v of the last kill", r.plan.grace))
	defer cancel()
	open := slices.Clone(r.orders)
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		err := r.stillOpen(ctx, &open)
		if err == nil {
			r.seen.last = time.Since(killed)
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("%w: %w", context.Cause(ctx), err)
		case <-tick.C:
		}
	}
}

// stillOpen takes the orders that have ended out of open. The error says what
// the last of the others lacks.
func (r *rehearsal) stillOpen(ctx context.Context, open *[]order) (last error) {
	*open = slices.DeleteFunc(*open, func(o order) bool {
		err := o.kind.Check(r.log.Flow(o.FlowID))
		if err != nil {
			last = fmt.Errorf("order %s (%s): %w", o.OrderID, o.kind.Name, err)
		}
		return err == nil
	})
	if last != nil {
		return fmt.Errorf("%d orders are open; the last: %w", len(*open), last)
	}
	missing, err := r.countMails(ctx)
	if err == nil && missing > 0 {
		err = fmt.Errorf("%d mails are missing", missing)
	}
	return err
}

func (r *rehearsal) countMails(ctx context.Context) (missing int, err error) {
	all, err := rig.Inbox{Addr: r.compose.Mail}.Mails(ctx)
	if err != nil {
		return 0, err
	}
	byCause := rig.ByCause(all)
	var m mails
	for _, o := range r.orders {
		for _, e := range rig.Told(r.log.Flow(o.FlowID)) {
			m.wanted++
			switch n := len(byCause[e.ID()]); {
			case n == 0:
				m.missing++
			case n > 1:
				m.repeated++
			}
		}
	}
	r.seen.mails = m
	return m.missing, nil
}

// judge gathers what is to be said of the run.
func (r *rehearsal) judge() {
	s := &r.seen
	s.orders, s.flows = len(r.orders), r.log.Flows()
	s.events, s.repeated = len(r.log.Events()), r.log.Repeated()
	s.dead = len(r.log.DeadLetters())
	s.order = r.log.CheckOrder()
	for _, o := range r.orders {
		flow := r.log.Flow(o.FlowID)
		if o.kind.Check(flow) == nil {
			s.ended++
			s.fromSentToEnd = append(s.fromSentToEnd, flow[len(flow)-1].Time.Sub(o.sent))
		}
	}
	slices.Sort(s.fromSentToEnd)
}

// faults are what did not hold, besides orders that have not ended.
func (s *seen) faults() error {
	var errs []error
	if s.flows != s.orders {
		errs = append(errs, fmt.Errorf("%d orders led to %d flows", s.orders, s.flows))
	}
	if s.dead > 0 {
		errs = append(errs, fmt.Errorf("%d dead letters", s.dead))
	}
	return errors.Join(append(errs, s.order)...)
}

func (s *seen) keyOrder() string {
	if s.order != nil {
		return s.order.Error()
	}
	return "kept"
}

// took is a percentile of the time from sending an order until its last event.
func (s *seen) took(percent int) time.Duration {
	if len(s.fromSentToEnd) == 0 {
		return 0
	}
	i := min(len(s.fromSentToEnd)*percent/100, len(s.fromSentToEnd)-1)
	return s.fromSentToEnd[i].Round(time.Millisecond)
}
