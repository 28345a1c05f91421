package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/troupedev/troupe/test/rig"
)

// faults are what fails in a run, each as said by the seed.
type faults struct {
	stage *stage
	plan  plan
	began time.Time
}

// outage is a fault of something that all services need.
type outage struct {
	name              string
	shortest, longest time.Duration // that it is away
	end, begin        func(context.Context) error
	serves            func(context.Context) error // nil once it does what it is there for
}

func (f *faults) outages() []outage {
	c := f.stage.compose
	of := func(do func(context.Context, string) error, service string) func(context.Context) error {
		return func(ctx context.Context) error { return do(ctx, service) }
	}
	kafka := func(ctx context.Context) error {
		_, err := rig.Partitions(ctx, c.Kafka)
		return err
	}
	postgres := func(ctx context.Context) error {
		_, err := f.stage.ledger(nil).SQL(ctx, "orders", "SELECT 1")
		return err
	}
	return []outage{
		{"postgres killed", 0, 5 * time.Second, of(c.Kill, "postgres"), of(c.Start, "postgres"), postgres},
		{"postgres restarted", 0, 0, of(c.Stop, "postgres"), of(c.Start, "postgres"), postgres},
		{"kafka killed", 0, 8 * time.Second, of(c.Kill, "kafka"), of(c.Start, "kafka"), kafka},
		{"kafka restarted", 0, 8 * time.Second, of(c.Stop, "kafka"), of(c.Start, "kafka"), kafka},
		{"kafka away", 30 * time.Second, 30 * time.Second, of(c.Stop, "kafka"), of(c.Start, "kafka"), kafka},
		{"mail away", 5 * time.Second, 20 * time.Second,
			func(context.Context) error { return f.stage.mail.Down() },
			func(context.Context) error { return f.stage.mail.Up() },
			func(context.Context) error { return nil }},
	}
}

// fail lets one after the other of the outages happen, all of them before one
// comes again, until ctx ends: each some time after the one before is over. It
// returns how often each did.
func (f *faults) fail(ctx context.Context) (map[string]int, error) {
	random := rand.New(rand.NewPCG(f.plan.seed, 2))
	happened := map[string]int{}
	for {
		all := f.outages()
		for _, i := range random.Perm(len(all)) {
			o := all[i]
			pause, away := between(random, f.plan.every, 3*f.plan.every), between(random, o.shortest, o.longest)
			if !wait(ctx, pause) {
				return happened, nil
			}
			err := f.once(ctx, o.name, away, o.end, func(ctx context.Context) error {
				return errors.Join(o.begin(ctx), serving(ctx, o.serves))
			})
			if err != nil {
				return happened, err
			}
			happened[o.name]++
		}
	}
}

// kill kills a random instance of a random service now and then, until ctx ends.
// It returns how often each service was killed.
func (f *faults) kill(ctx context.Context) (map[string]int, error) {
	random := rand.New(rand.NewPCG(f.plan.seed, 1))
	happened := map[string]int{}
	c := f.stage.compose
	for {
		service := services[random.IntN(len(services))]
		instance := service
		if random.IntN(2) == 0 {
			instance = twin(service)
		}
		away := between(random, 0, f.plan.every)
		if !wait(ctx, f.plan.every-away/2) {
			return happened, nil
		}
		err := f.once(ctx, instance+" killed", away,
			func(ctx context.Context) error { return c.Kill(ctx, instance) },
			func(ctx context.Context) error { return c.Start(ctx, instance) })
		if err != nil {
			return happened, err
		}
		happened[service]++
	}
}

// once lets something be away for a time. What has ended begins again, whatever
// else ends meanwhile.
func (f *faults) once(ctx context.Context, name string, away time.Duration, end, begin func(context.Context) error) error {
	ctx = context.WithoutCancel(ctx)
	since := time.Now()
	if err := end(ctx); err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	wait(ctx, away)
	if err := begin(ctx); err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	fmt.Printf("%5.1f s  %s, for %.1f s\n", time.Since(f.began).Seconds(), name, time.Since(since).Seconds())
	return nil
}

// serving waits until something that began again does what it is there for.
func serving(ctx context.Context, serves func(context.Context) error) error {
	const patience = 3 * time.Minute
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	for {
		attempt, stop := context.WithTimeout(ctx, 5*time.Second)
		err := serves(attempt)
		stop()
		if err == nil || !wait(ctx, time.Second) {
			return err
		}
	}
}

func between(random *rand.Rand, shortest, longest time.Duration) time.Duration {
	return shortest + time.Duration(random.Int64N(int64(longest-shortest)+1))
}

// wait reports whether ctx still goes on after d.
func wait(ctx context.Context, d time.Duration) bool {
	select {
	case <-ctx.Done():
		return false
	case <-time.After(d):
		return true
	}
}
