package runtime

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"

	"golang.org/x/sync/errgroup"

	"github.com/troupedev/troupe/platform/choreo"
	"github.com/troupedev/troupe/platform/kafka"
)

// Run runs services until ctx ends: it provisions their topics, lets each join
// its consumer group (a new one begins at the end of its topics), and handles
// what comes. After ctx has ended it lets handlers finish within the drain
// time, commits, leaves the groups, and returns nil. It returns an error for
// what cannot heal: bad options, a topic that cannot be brought in line, a
// group that refuses the service.
//
// Settings are filled and services started before: Run does neither.
func Run(ctx context.Context, t choreo.Topology, o Options) (err error) {
	o = o.withDefaults()
	running, err := t.Select(o.Services...)
	if err := errors.Join(err, o.Validate()); err != nil {
		return err
	}
	if err := prepare(ctx, t, running, o); err != nil {
		if ctx.Err() != nil {
			return nil
		}
		return err
	}
	if o.Producer == nil {
		if o.Producer, err = o.Client.Producer(kafka.ProducerConfig{}); err != nil {
			return fmt.Errorf("producer: %w", err)
		}
		defer func() { err = errors.Join(err, closeProducer(ctx, o.Producer)) }()
	}
	return join(ctx, t, running, o)
}

// closeProducer closes the producer of a run that has ended: nobody waits for
// what is left in it, since the work that it belongs to was given back.
func closeProducer(ctx context.Context, p *kafka.Producer) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), lastCommit)
	defer cancel()
	return p.Close(ctx)
}

// prepare brings the broker to what the services need.
func prepare(ctx context.Context, t, running choreo.Topology, o Options) error {
	if err := o.Client.Provision(ctx, Topics(t, running, o.Prefix)); err != nil {
		return fmt.Errorf("topics: %w", err)
	}
	for i := range running {
		s := &running[i]
		if len(s.Reactions) == 0 {
			continue
		}
		if err := o.Client.StartAtEnd(ctx, choreo.GroupName(o.Prefix, s.Name), heard(s, o.Prefix)); err != nil {
			return fmt.Errorf("service %s: first offsets: %w", s.Name, err)
		}
	}
	return nil
}

// heard are the topics that a service hears.
func heard(s *choreo.Service, prefix string) []string {
	topics := s.Hears()
	for i, domain := range topics {
		topics[i] = choreo.TopicName(prefix, domain)
	}
	return topics
}

// join lets every service that hears something join its group, and waits for all.
func join(ctx context.Context, t, running choreo.Topology, o Options) error {
	group, ctx := errgroup.WithContext(ctx)
	var members []*choreo.Service
	for i := range running {
		if len(running[i].Reactions) > 0 {
			members = append(members, &running[i])
		}
	}
	var missing atomic.Int64
	missing.Store(int64(len(members)))
	joined := func() {
		if missing.Add(-1) == 0 {
			o.Ready()
		}
	}
	if len(members) == 0 {
		o.Ready()
	}
	for _, s := range members {
		m := newMember(t, s, o, joined)
		group.Go(func() error {
			return m.run(ctx, choreo.GroupName(o.Prefix, s.Name), heard(s, o.Prefix))
		})
	}
	return group.Wait()
}

func newMember(t choreo.Topology, s *choreo.Service, o Options, joined func()) *member {
	log := o.Logger.With("service", s.Name)
	return &member{
		shared: &shared{
			service:   NewService(t, s, ServiceOptions{Prefix: o.Prefix, Hops: o.Hops}),
			window:    o.Window,
			host:      o.Host,
			log:       log,
			pool:      &pool{limit: o.Concurrency},
			finisher:  &produce{sender: o.Producer, prefix: o.Prefix},
			committer: newCommitter(o.CommitInterval, log),
			health:    o.Health,
		},
		client: o.Client,
		drain:  o.Drain,
		joined: joined,
	}
}
