package kafka

import (
	"context"
	"fmt"
	"time"
)

// send is one call of Send. The producer's lock guards what changes.
type send struct {
	p       *Producer
	ctx     context.Context
	unwatch func() bool // nil: ctx never ends
	report  func(error)
	memory  int64
	items   []item
	left    int   // records that are not settled
	err     error // the first failure
	over    bool  // ctx has ended: nobody waits
}

// item is one record on its way. It is queued, then in flight, then queued
// again or settled.
type item struct {
	Record
	sent   time.Time
	send   *send
	flying bool // in flight: with its lane
	tried  bool // was in flight
	done   bool // settled
}

// withdraw takes the records that are not in flight out of the queue: ctx has
// ended.
func (s *send) withdraw() {
	p := s.p
	var reports reports
	p.mu.Lock()
	for i := range s.items {
		if it := &s.items[i]; !it.flying {
			reports.settle(it, it.withdrawn())
		}
	}
	s.abandon()
	// A record was unsettled until now, so its lane or lookup goes on, and Close
	// waits for that, and so for this.
	if len(reports) > 0 {
		p.working.Add(1)
		defer p.working.Done()
	}
	p.mu.Unlock()
	reports.make()
}

// abandon notes that nobody waits for the send. The lock is held.
func (s *send) abandon() {
	if !s.over {
		s.over = true
		s.p.waiting--
		s.p.stopWhenDone()
	}
}

// finish reports the send, when all its records are settled.
func (s *send) finish() {
	if s.unwatch != nil {
		s.unwatch()
	}
	s.p.memory.Release(s.memory)
	s.report(s.err)
}

// ended tells whether the context that the record was sent with has.
func (it *item) ended() bool { return it.send.ctx.Err() != nil }

// withdrawn is the error of a record whose context has ended.
func (it *item) withdrawn() error {
	cause := context.Cause(it.send.ctx)
	if it.tried {
		return fmt.Errorf("producing to %s: no acknowledgement, the record may be written: %w", it.Topic, cause)
	}
	return fmt.Errorf("producing to %s: the record was not sent: %w", it.Topic, cause)
}

// reports are sends that are settled, to be reported once the lock is free.
type reports []*send

// settle says what became of a record, once. The lock is held.
func (r *reports) settle(it *item, err error) {
	if it.done {
		return
	}
	s := it.send
	if err != nil {
		if s.err == nil {
			s.err = err
		}
		if s.p.closed && !it.ended() {
			s.p.lost[it.Topic]++
		}
	}
	it.done, it.flying = true, false
	it.Record = Record{} // what stays in a queue holds no bytes
	if s.left--; s.left == 0 {
		s.abandon()
		*r = append(*r, s)
	}
}

func (r reports) make() {
	for _, s := range r {
		s.finish()
	}
}
