package kafka

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"sync"
	"time"

	kgo "github.com/segmentio/kafka-go"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// pulse sends a member's heartbeats through one generation and hears from
// their answers how it ends.
type pulse struct {
	m       *member
	round   *round
	ctx     context.Context // ends when the generation has been given back
	cancel  context.CancelFunc
	running sync.WaitGroup

	over      context.Context // ends with either of the two below
	end       context.CancelFunc
	rebalance chan struct{}   // closed when partitions are to move
	move      func()          // closes it, once
	lost      context.Context // ends, with its cause, when the membership is gone
	lose      context.CancelCauseFunc
}

func (m *member) startPulse(r *round) *pulse {
	p := &pulse{m: m, round: r, rebalance: make(chan struct{})}
	p.move = sync.OnceFunc(func() { close(p.rebalance); p.end() })
	p.ctx, p.cancel = context.WithCancel(context.Background())
	p.over, p.end = context.WithCancel(context.Background())
	p.lost, p.lose = context.WithCancelCause(context.Background())
	p.running.Go(p.beat)
	if r.leader {
		p.running.Go(p.watch)
	}
	return p
}

// stop ends the heartbeats.
func (p *pulse) stop() {
	p.cancel()
	p.running.Wait()
	p.end()
	p.lose(nil)
}

func (p *pulse) rebalancing() bool {
	select {
	case <-p.rebalance:
		return true
	default:
		return false
	}
}

// beat beats until the pulse is stopped or the membership lost.
func (p *pulse) beat() {
	outage := outage{c: p.m.c, what: "heartbeat of group " + p.m.cfg.ID}
	ticker := time.NewTicker(p.m.cfg.Heartbeat)
	defer ticker.Stop()
	heard := time.Now()
	for {
		select {
		case <-ticker.C:
		case <-p.ctx.Done():
			return
		}
		err := p.send(heard)
		switch {
		case p.ctx.Err() != nil:
			return
		case err == nil:
			heard = time.Now()
			outage.work()
		case errors.Is(err, kgo.RebalanceInProgress):
			heard = time.Now()
			p.move()
		case !retriable(err):
			p.gone(err)
			return
		case time.Since(heard) > p.m.cfg.SessionTimeout:
			p.gone(fmt.Errorf("%w: no heartbeat for %s: %w", ErrFenced, p.m.cfg.SessionTimeout, err))
			return
		default:
			outage.fail(err)
		}
	}
}

// send sends one heartbeat, which counts only while the session lasts.
func (p *pulse) send(heard time.Time) error {
	ctx, cancel := context.WithDeadline(p.ctx, heard.Add(p.m.cfg.SessionTimeout))
	defer cancel()
	req := kmsg.NewPtrHeartbeatRequest()
	req.Group, req.MemberID, req.Generation = p.round.session.group, p.round.session.member, p.round.session.generation
	resp, err := req.RequestWith(ctx, p.m.c.coordinator(p.m.cfg.ID))
	if err != nil {
		return err
	}
	return memberError(resp.ErrorCode)
}

func (p *pulse) gone(cause error) {
	p.lose(cause)
	p.end()
}

// watch is the leader's: it looks for topics that came into being and for
// partitions that were added, and has the group assign anew.
func (p *pulse) watch() {
	ticker := time.NewTicker(p.m.cfg.WatchPartitions)
	defer ticker.Stop()
	for {
		select {
		case <-ticker.C:
		case <-p.ctx.Done():
			return
		}
		now, err := p.m.c.partitionCounts(p.ctx, p.round.topics)
		if err == nil && !maps.Equal(now, p.round.partitions) {
			p.m.c.log.Info("partitions changed; the group assigns them anew", "group", p.m.cfg.ID)
			p.move()
			return
		}
	}
}
