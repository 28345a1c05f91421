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

// heartbeats sends a member's heartbeats through one generation and hears from
// their answers how it ends.
type heartbeats struct {
	m       *member
	gen     *generation
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

func (m *member) startHeartbeats(g *generation) *heartbeats {
	h := &heartbeats{m: m, gen: g, rebalance: make(chan struct{})}
	h.move = sync.OnceFunc(func() { close(h.rebalance); h.end() })
	h.ctx, h.cancel = context.WithCancel(context.Background())
	h.over, h.end = context.WithCancel(context.Background())
	h.lost, h.lose = context.WithCancelCause(context.Background())
	h.running.Go(h.beat)
	if g.leader {
		h.running.Go(h.watch)
	}
	return h
}

// stop ends the heartbeats.
func (h *heartbeats) stop() {
	h.cancel()
	h.running.Wait()
	h.end()
	h.lose(nil)
}

func (h *heartbeats) rebalancing() bool {
	select {
	case <-h.rebalance:
		return true
	default:
		return false
	}
}

// beat beats until it is stopped or the membership lost.
func (h *heartbeats) beat() {
	outage := outage{c: h.m.c, what: "heartbeat of group " + h.m.cfg.ID}
	ticker := time.NewTicker(h.m.cfg.Heartbeat)
	defer ticker.Stop()
	heard := time.Now()
	for {
		select {
		case <-ticker.C:
		case <-h.ctx.Done():
			return
		}
		err := h.send(heard)
		switch {
		case h.ctx.Err() != nil:
			return
		case err == nil:
			heard = time.Now()
			outage.work()
		case errors.Is(err, kgo.RebalanceInProgress):
			heard = time.Now()
			h.move()
		case !retriable(err):
			h.gone(err)
			return
		case time.Since(heard) > h.m.cfg.SessionTimeout:
			h.gone(fmt.Errorf("%w: no heartbeat for %s: %w", ErrFenced, h.m.cfg.SessionTimeout, err))
			return
		default:
			outage.fail(err)
		}
	}
}

// send sends one heartbeat, which counts only while the session lasts.
func (h *heartbeats) send(heard time.Time) error {
	ctx, cancel := context.WithDeadline(h.ctx, heard.Add(h.m.cfg.SessionTimeout))
	defer cancel()
	req := kmsg.NewPtrHeartbeatRequest()
	req.Group, req.MemberID, req.Generation = h.gen.session.group, h.gen.session.member, h.gen.session.generation
	resp, err := req.RequestWith(ctx, h.m.c.coordinator(h.m.cfg.ID))
	if err != nil {
		return err
	}
	return memberError(resp.ErrorCode)
}

func (h *heartbeats) gone(cause error) {
	h.lose(cause)
	h.end()
}

// watch is the leader's: it looks for topics that came into being and for
// partitions that were added, and has the group assign anew. That a topic is
// gone it believes when it sees it twice: a broker that has just started may
// not know all topics yet.
func (h *heartbeats) watch() {
	ticker := time.NewTicker(h.m.cfg.WatchPartitions)
	defer ticker.Stop()
	assigned, doubted := h.gen.partitions, h.gen.partitions
	for {
		select {
		case <-ticker.C:
		case <-h.ctx.Done():
			return
		}
		now, err := h.m.c.partitionCounts(h.ctx, h.gen.topics)
		switch {
		case err != nil:
		case lacking(now, assigned) && !maps.Equal(now, doubted):
			doubted = now
		case maps.Equal(now, assigned):
			doubted = assigned
		default:
			h.m.c.log.Info("partitions changed; the group assigns them anew", "group", h.m.cfg.ID)
			h.move()
			return
		}
	}
}

// lacking tells whether a topic that was there is not.
func lacking(now, before map[string]int32) bool {
	for topic := range before {
		if _, ok := now[topic]; !ok {
			return true
		}
	}
	return false
}
