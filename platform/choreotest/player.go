package choreotest

import (
	"context"
	"errors"
	"reflect"
	"time"

	"github.com/troupedev/troupe/platform/choreo"
	"github.com/troupedev/troupe/platform/failpoint"
	"github.com/troupedev/troupe/platform/runtime"
	"github.com/troupedev/troupe/platform/store"
)

// player is a member of the company in one run: what a process of the service
// has in memory, and what the broker knows of its group.
type player struct {
	*member
	stage  *Stage
	ctx    context.Context // of its handlers; has the hook, where a seed decides
	queues []*queue        // in the order of their first events
	byKey  map[queueKey]*queue
	relay  *store.Relay // nil: no Store
	batch  int          // rows that the relay publishes at once

	due    time.Time // when the next row that waits for its time is due; zero: none does
	spared int       // faults that may still strike it
	struck *strike   // what struck it in what it does now; nil: nothing
}

func (s *Stage) newPlayer(m *member) *player {
	p := &player{member: m, stage: s, byKey: map[queueKey]*queue{}, spared: faultsPerPlayer}
	p.ctx = p.begin(s.t.Context())
	p.rise()
	return p
}

// begin is ctx for what the player does: with a seed, each of its steps may fail.
func (p *player) begin(ctx context.Context) context.Context {
	if p.stage.dice == nil {
		return ctx
	}
	return failpoint.With(ctx, p.step)
}

// rise is the start of a process.
func (p *player) rise() {
	p.stage.t.Helper()
	if start := p.declared.Start; start != nil {
		if err := start(p.stage.t.Context()); err != nil {
			p.stage.t.Fatalf("%s: start: %v", p.name, err)
		}
	}
	if p.db == nil {
		return
	}
	p.batch = store.DefaultBatch
	if p.stage.dice != nil && p.stage.dice.IntN(2) == 0 {
		p.batch = 1 + p.stage.dice.IntN(3) // so that it dies between rows too
	}
	p.relay = p.db.Relay(store.RelayConfig{Batch: p.batch, Publish: func(_ context.Context, messages []choreo.Message) error {
		return p.produce(messages)
	}})
}

// produce publishes what the player emitted, or some of it, if it is struck meanwhile.
func (p *player) produce(messages []choreo.Message) error {
	p.stage.t.Helper()
	if p.struck != nil && p.struck.crashed {
		return errCrashed
	}
	if d := p.stage.dice; d != nil && len(messages) > 0 && p.spared > 0 && d.happens(d.faults) {
		p.stage.publish(messages[:d.IntN(len(messages)+1)], emitted)
		return p.strike("producing", d.happens(d.crashes))
	}
	p.stage.publish(messages, emitted)
	return nil
}

// exit is the end of a process, whatever way it comes.
func (p *player) exit() {
	if p.relay != nil {
		p.relay.Close()
	}
}

// recover ends what the player did: if it died of it, it starts again.
func (p *player) recover() {
	struck := p.struck
	p.struck = nil
	if struck == nil || !struck.crashed {
		return
	}
	for _, q := range p.queues {
		for _, i := range q.items[q.committed:q.done] {
			i.reset()
		}
		if q.done < len(q.items) {
			q.items[q.done].reset()
		}
		q.done = q.committed
	}
	p.exit()
	p.rise()
}

// hear lets the player do one piece of the work that the next event of q means,
// and commit, where the seed wants it.
func (p *player) hear(q *queue) {
	p.stage.t.Helper()
	i := q.items[q.done]
	if i.verdict.Cause != "" {
		p.bury(i, deadLetter{DeadLetter: runtime.DeadLetter{Cause: i.verdict.Cause, Error: i.verdict.Err.Error()}})
	} else {
		p.work(i, p.stage.dice.pick(i.ended))
	}
	if p.struck == nil && i.over() {
		q.done++
		p.commit(q)
	}
	p.recover()
}

func (i *item) over() bool {
	for _, ended := range i.ended {
		if !ended {
			return false
		}
	}
	return true
}

// pick is one of the pieces of work that have not ended; the first in calm.
func (d *dice) pick(ended []bool) int {
	first := 0
	if d != nil {
		first = d.IntN(len(ended))
	}
	for n := range ended {
		if w := (first + n) % len(ended); !ended[w] {
			return w
		}
	}
	return first
}

// work runs one attempt of a piece of work.
func (p *player) work(i *item, n int) {
	p.stage.t.Helper()
	w := &i.verdict.Work[n]
	p.stage.trace.add("hear", p.name, w.Reaction(), i.record)
	result := p.attempt(w, i.attempt[n])
	if p.excused(result) {
		return
	}
	p.struck = nil
	switch result.Outcome {
	case runtime.Handled:
		i.ended[n] = p.produce(result.Messages) == nil
	case runtime.GivenUp:
		i.ended[n] = true
		p.bury(i, deadLetter{DeadLetter: runtime.DeadLetter{
			Cause: result.Cause, Error: result.Err.Error(), Attempts: i.attempt[n], Reaction: w.Reaction(),
		}})
	default:
		p.stage.trace.add("failed", p.name, result.Err.Error(), nil)
		p.stage.now = p.stage.now.Add(result.Wait)
		if !result.Outage {
			i.attempt[n]++
		}
	}
}

// excused reports whether an attempt does not count, since the fault is the
// stage's. A handler that says that its error is permanent is not excused: no
// reply is no reason to say so.
func (p *player) excused(r runtime.Result) bool {
	switch {
	case p.struck == nil:
		return false
	case p.struck.crashed:
		return true
	}
	return r.Outcome == runtime.TryAgain || r.Outcome == runtime.GivenUp && r.Cause != runtime.CausePermanent
}

// attempt runs the handler: once with a seed, twice in calm.
func (p *player) attempt(w *runtime.Work, attempt int) runtime.Result {
	p.stage.t.Helper()
	if p.stage.dice != nil {
		result, _ := p.handle(w, attempt)
		return result
	}
	rehearsed, first := p.rehearse(w, attempt)
	result, second := p.handle(w, attempt)
	if rehearsed.Outcome == runtime.TryAgain || result.Outcome == runtime.TryAgain {
		return result // whatever it needs was not there
	}
	if rehearsed.Outcome != result.Outcome || rehearsed.Cause != result.Cause || !reflect.DeepEqual(first, second) {
		p.stage.errorf("%s: reaction %s: run twice for one %s, it came to\n%s\nand then to\n%s",
			p.name, w.Reaction(), w.Envelope.Type, p.stage.show(rehearsed, first), p.stage.show(result, second))
	}
	return result
}

// rehearse runs the handler and takes back what it did to the tables.
func (p *player) rehearse(w *runtime.Work, attempt int) (runtime.Result, []choreo.Message) {
	if p.db == nil {
		return p.handle(w, attempt)
	}
	p.db.rehearsing = true
	result, messages := p.handle(w, attempt)
	p.db.rehearsing = false
	if errors.Is(result.Err, errRehearsed) {
		result = runtime.Result{}
	}
	return result, messages
}

// handle runs the handler, and returns what it emitted as well, whether that is
// to be published now or lies in the outbox.
func (p *player) handle(w *runtime.Work, attempt int) (runtime.Result, []choreo.Message) {
	if p.db == nil {
		result := p.service.Handle(p.ctx, w, attempt, p.stage.now)
		return result, result.Messages
	}
	p.db.messages = nil
	result := p.service.Handle(p.ctx, w, attempt, p.stage.now)
	return result, p.db.messages
}

// commit commits the offsets of all queues, or of some: a partition's offset
// moves only when all before it is done.
func (p *player) commit(q *queue) {
	d := p.stage.dice
	if d == nil {
		q.committed = q.done
		return
	}
	if !d.happens(d.commits) || failpoint.Reach(p.ctx, failpoint.OffsetCommits) != nil {
		return
	}
	all := d.IntN(2) == 0
	for _, q := range p.queues {
		if all || d.IntN(2) == 0 {
			q.committed = q.done
		}
	}
	_ = failpoint.Reach(p.ctx, failpoint.OffsetCommitted)
}

// publishStored publishes one batch of the outbox.
func (p *player) publishStored() {
	p.stage.t.Helper()
	p.stage.trace.add("relay", p.name, "", nil)
	n, next, err := p.relay.Step(p.ctx)
	switch {
	case p.struck != nil: // it tries again
	case err != nil:
		p.stage.t.Fatalf("%s: the relay: %v", p.name, err)
	default:
		p.db.pending, p.due = n >= p.batch, next
	}
	p.recover()
}

// bury makes i a dead letter.
func (p *player) bury(i *item, d deadLetter) {
	d.Service, d.event = p.name, i.record
	p.stage.bury(d)
}
