package runtime

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"

	"golang.org/x/sync/errgroup"

	"github.com/troupedev/troupe/platform/choreo"
	"github.com/troupedev/troupe/platform/kafka"
	"github.com/troupedev/troupe/platform/store"
)

// Run runs services until ctx ends: it provisions their topics, lets each join
// its consumer groups (a new one begins at the end of its topics), announces
// them, and handles what comes. After ctx has ended it lets handlers finish within
// the drain time, commits, leaves the groups, publishes what is left in the
// services' databases, and returns nil. It returns an error for what cannot heal:
// bad options, a topic that cannot be brought in line, a group that refuses the
// service, a database whose outbox cannot be read.
//
// Settings are filled, services started and databases opened before: Run does
// none of it.
func Run(ctx context.Context, t choreo.Topology, o Options) (err error) {
	o = o.withDefaults()
	running, err := t.Select(o.Services...)
	if err := errors.Join(err, o.Validate(), o.storeFaults(running)); err != nil {
		return err
	}
	if err := o.inboxFaults(t, running); err != nil {
		return err
	}
	o.Directory.runs(running)
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
	return serve(ctx, t, running, o)
}

// closeProducer closes the producer of a run that has ended: nobody waits for
// what is left in it, since the work that it belongs to was given back.
func closeProducer(ctx context.Context, p *kafka.Producer) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), lastCommit)
	defer cancel()
	return p.Close(ctx)
}

// group is one consumer group of a service.
type group struct {
	id      string
	topics  []string
	answers bool // it hears requests, and nothing else
}

// groups are those that a service needs: at most one for what it hears, and one
// for what it answers.
func groups(s *choreo.Service, prefix string) []group {
	var out []group
	if topics := topicNames(prefix, s.Hears()); len(topics) > 0 {
		out = append(out, group{choreo.GroupName(prefix, s.Name), topics, false})
	}
	if topics := topicNames(prefix, s.Answers()); len(topics) > 0 {
		out = append(out, group{choreo.AnswerGroup(prefix, s.Name), topics, true})
	}
	return out
}

func topicNames(prefix string, domains []string) []string {
	for i, domain := range domains {
		domains[i] = choreo.TopicName(prefix, domain)
	}
	return domains
}

// prepare brings the broker to what the services need.
func prepare(ctx context.Context, t, running choreo.Topology, o Options) error {
	if err := o.Client.Provision(ctx, Topics(t, running, o.Prefix)); err != nil {
		return fmt.Errorf("topics: %w", err)
	}
	for i := range running {
		for _, g := range groups(&running[i], o.Prefix) {
			if err := o.Client.StartAtEnd(ctx, g.id, g.topics); err != nil {
				return fmt.Errorf("service %s: first offsets: %w", running[i].Name, err)
			}
		}
	}
	return nil
}

// serve runs the members until ctx ends, and behind them what their handlers
// need until the last of them has ended.
func serve(ctx context.Context, t, running choreo.Topology, o Options) error {
	ctx, fail := context.WithCancelCause(ctx)
	defer fail(nil)
	b := newBackground(ctx, fail)
	members, err := b.start(ctx, t, running, o)
	if err == nil && ctx.Err() == nil {
		err = join(ctx, members, o)
	}
	if ctx.Err() != nil {
		err = nil // what failed, if anything did, end returns
	}
	return errors.Join(err, b.end())
}

// background is what goes on behind the members of a run.
type background struct {
	ctx  context.Context
	stop context.CancelFunc
	fail context.CancelCauseFunc // ends the members
	all  errgroup.Group
}

func newBackground(ctx context.Context, fail context.CancelCauseFunc) *background {
	b := &background{fail: fail}
	b.ctx, b.stop = context.WithCancel(context.WithoutCancel(ctx))
	return b
}

// run runs f until the end; an error of f ends the members too.
func (b *background) run(f func(context.Context) error) {
	b.all.Go(func() error {
		err := f(b.ctx)
		if err != nil {
			b.fail(err)
		}
		return err
	})
}

// end ends all, and returns why the first ended that did so before.
func (b *background) end() error {
	b.stop()
	return b.all.Wait()
}

// start starts what is needed before a handler may run, and returns the members
// to be. It returns early, without an error, when ctx ends.
func (b *background) start(ctx context.Context, t, running choreo.Topology, o Options) ([]*member, error) {
	if err := b.direct(ctx, o); err != nil || ctx.Err() != nil {
		return nil, err
	}
	var members []*member
	for i := range running {
		s := &running[i]
		options := ServiceOptions{Prefix: o.Prefix, Hops: o.Hops, Expects: o.Directory.Expects}
		if s.Store != nil {
			db := o.Databases[s.Name]
			options.Database = db
			relay := db.Relay(store.RelayConfig{Publish: func(ctx context.Context, messages []choreo.Message) error {
				return o.Producer.Produce(ctx, Records(o.Prefix, messages)...)
			}})
			b.run(func(ctx context.Context) error {
				if err := relay.Run(ctx); err != nil {
					return fmt.Errorf("service %s: outbox: %w", s.Name, err)
				}
				return nil
			})
		}
		if len(s.Asks()) > 0 {
			a := newAsker(s.Name, o)
			end, err := a.end(ctx)
			if err != nil {
				return nil, fmt.Errorf("service %s: replies: %w", s.Name, err)
			}
			b.run(func(ctx context.Context) error { a.follow(ctx, end); return nil })
			options.Ask = a.ask
		}
		for _, g := range groups(s, o.Prefix) {
			if g.answers {
				members = append(members, newMember(ctx, NewAnswers(t, s, options), g, o))
			} else {
				members = append(members, newMember(ctx, NewService(t, s, options), g, o))
			}
		}
	}
	return members, nil
}

// direct announces the services, which can hear by now what is published from
// here on, and waits until those of others are known.
func (b *background) direct(ctx context.Context, o Options) error {
	if err := o.Directory.announce(ctx, o.Producer, o.Prefix); err != nil {
		return err
	}
	known := make(chan struct{})
	b.run(func(ctx context.Context) error {
		o.Directory.follow(ctx, o.Client, o.Prefix, o.Logger, func() { close(known) })
		return nil
	})
	select {
	case <-known:
	case <-ctx.Done():
	}
	return nil
}

// join lets every member join its group, and waits for all.
func join(ctx context.Context, members []*member, o Options) error {
	all, ctx := errgroup.WithContext(ctx)
	var missing atomic.Int64
	missing.Store(int64(len(members)))
	if len(members) == 0 {
		o.Ready()
	}
	for _, m := range members {
		m.joined = func() {
			if missing.Add(-1) == 0 {
				o.Ready()
			}
		}
		all.Go(func() error { return m.run(ctx) })
	}
	return all.Wait()
}

func newMember(ctx context.Context, s *Service, g group, o Options) *member {
	log := o.Logger.With("service", s.name)
	finisher := &produce{sender: o.Producer, prefix: o.Prefix}
	m := &member{
		shared: &shared{
			service:   s,
			window:    o.Window,
			host:      o.Host,
			log:       log,
			pool:      &pool{limit: o.Concurrency},
			finisher:  finisher,
			committer: newCommitter(o.CommitInterval, log),
			health:    o.Health,
			values:    context.WithoutCancel(ctx),
		},
		group:  g,
		client: o.Client,
		drain:  o.Drain,
	}
	if g.answers {
		m.finisher = &replies{finisher, log}
	}
	return m
}
