package runtime

import (
	"bytes"
	"context"
	"errors"
	"hash/maphash"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/troupedev/troupe/platform/event"
	"github.com/troupedev/troupe/platform/kafka"
)

// errTakenAway is the cause with which handlers are cancelled whose partition
// is somebody else's, or whose drain time is over.
var errTakenAway = errors.New("the partition was taken away from this process")

// reader is what an owner needs of a [kafka.Reader].
type reader interface {
	Next(ctx context.Context) (kafka.Batch, error)
	Close() error
}

// shared is what the owners of one service's partitions share.
type shared struct {
	service   *Service
	window    Window
	host      string
	log       *slog.Logger
	pool      *pool
	finisher  finisher
	committer *committer
	health    *Health
	values    context.Context // of the run, for what it carries; owners end by themselves
}

// owner drives the machine of one partition while it is this process's: one
// goroutine owns the machine, a second one fetches and judges.
type owner struct {
	*shared
	partition kafka.TopicPartition
	log       *slog.Logger
	queue     *queue
	mail      mailbox
	batches   chan *arrivals // unbuffered, so that fetching waits for the machine

	ctx    context.Context // ends when the partition is lost
	cancel context.CancelCauseFunc
	work   context.Context // of handlers and their results; ends before ctx where they take too long
	cut    context.CancelCauseFunc
	drain  signal
	ended  chan struct{} // both goroutines are gone

	// Of the goroutine that owns the machine:
	machine     *machine
	news        news
	in          input
	out         output
	unfinished  []unfinished // by work
	tasks       []task       // of one step, to be used again
	completions []completion // of one step, to be used again
}

// unfinished is the result of a work until it is finished.
type unfinished struct {
	Result
	shorten bool // its dead letter was refused for its size
}

// delivery is a record with what the service makes of it.
type delivery struct {
	record  kafka.Record
	verdict Verdict
}

// signal is something that is said once.
type signal struct {
	said chan struct{}
	once *sync.Once
}

func newSignal() signal { return signal{make(chan struct{}), new(sync.Once)} }

func (s signal) say() { s.once.Do(func() { close(s.said) }) }

// own starts to handle a partition from an offset on.
func own(s *shared, p kafka.TopicPartition, from int64, r reader) *owner {
	o := &owner{
		shared:    s,
		partition: p,
		log:       s.log.With("topic", p.Topic, "partition", p.Partition),
		queue:     &queue{pool: s.pool},
		mail:      newMailbox(),
		batches:   make(chan *arrivals),
		drain:     newSignal(),
		ended:     make(chan struct{}),
		machine:   newMachine(s.window, from),
	}
	o.ctx, o.cancel = context.WithCancelCause(s.values)
	o.work, o.cut = context.WithCancelCause(o.ctx)
	var both sync.WaitGroup
	fetching, stop := context.WithCancel(o.ctx)
	both.Go(func() { o.fetch(fetching, r) })
	both.Go(func() {
		defer stop()
		o.run(stop)
	})
	go func() { // waited for by release and lose
		both.Wait()
		close(o.ended)
	}()
	return o
}

// gone reports whether the owner has given the partition up.
func (o *owner) gone() bool {
	select {
	case <-o.ended:
		return true
	default:
		return false
	}
}

// release gives the partition up in good order: nothing new starts, what runs
// may end until soft does, and what has ended is committed until hard ends.
func (o *owner) release(soft, hard context.Context) {
	o.drain.say()
	select {
	case <-o.ended:
	case <-soft.Done():
		o.cut(errTakenAway)
	}
	select {
	case <-o.ended:
	case <-hard.Done():
	}
	o.lose()
}

// lose gives the partition up at once; what comes in late is dropped.
func (o *owner) lose() {
	o.cancel(errTakenAway)
	<-o.ended
	o.committer.forget(o)
}

// fetch reads and judges batches until ctx ends.
func (o *owner) fetch(ctx context.Context, r reader) {
	const again = time.Second
	defer r.Close()
	defer o.health.set(o, nil)
	for failed := false; ; {
		batch, err := r.Next(ctx)
		if ctx.Err() != nil {
			return
		}
		if err != nil {
			if o.health.set(o, err); !failed {
				o.log.Error("the partition cannot be read; trying again every second", "error", err)
			}
			failed = true
			pause(ctx, again)
			continue
		}
		if failed {
			o.health.set(o, nil)
			o.log.Info("the partition can be read again", "offset", batch.From)
		}
		failed = false
		select {
		case o.batches <- o.judge(&batch):
		case <-ctx.Done():
		}
	}
}

func pause(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
	case <-t.C:
	}
}

var hashSeed = maphash.MakeSeed()

// judge turns a batch into what the machine takes.
func (o *owner) judge(b *kafka.Batch) *arrivals {
	deliveries := make([]delivery, len(b.Records))
	out := &arrivals{next: b.Next, records: make([]arrival, len(b.Records))}
	for i := range b.Records {
		d := &deliveries[i]
		d.record = b.Records[i]
		d.verdict = o.service.Judge(&d.record)
		out.records[i] = arrival{
			offset:  d.record.Offset,
			key:     maphash.Bytes(hashSeed, d.record.Key),
			keyed:   d.record.Key != nil && !o.service.answering, // questions have no order
			dead:    d.verdict.Cause != "",
			works:   len(d.verdict.Work),
			size:    size(&d.record),
			payload: d,
		}
	}
	return out
}

// size is about what a record takes in memory.
func size(r *kafka.Record) int {
	n := len(r.Key) + len(r.Value)
	for _, h := range r.Headers {
		n += len(h.Key) + len(h.Value)
	}
	return n
}

// run owns the machine until it has drained or the partition is lost.
func (o *owner) run(stopFetching func()) {
	wake := time.NewTimer(0)
	defer wake.Stop()
	drain, cut := o.drain.said, o.work.Done()
	o.out.fetch = true
	for !o.out.drained {
		var batches chan *arrivals
		if o.out.fetch {
			batches = o.batches
		}
		o.in = input{attempts: o.in.attempts[:0], finished: o.in.finished[:0], withdrawn: o.in.withdrawn[:0]}
		select {
		case o.in.batch = <-batches:
		case <-o.mail.bell:
		case <-wake.C:
		case <-drain:
			drain, o.in.drain = nil, true
			stopFetching()
			o.in.withdrawn = o.queue.withdraw(o.in.withdrawn)
		case <-cut:
			cut = nil // step sees it
		case <-o.ctx.Done():
			o.queue.withdraw(nil)
			return
		}
		o.step()
		if wake.Stop(); !o.out.wake.IsZero() {
			wake.Reset(time.Until(o.out.wake))
		}
	}
}

// step tells the machine the news and does what it says.
func (o *owner) step() {
	o.in.now = time.Now()
	o.news = o.mail.take(o.news)
	o.in.committed = o.news.committed
	o.in.cut = o.work.Err() != nil
	o.readAttempts()
	o.readFinished()
	o.machine.Step(&o.in, &o.out)
	o.keep()
	o.start()
	o.finish()
	if o.out.commit >= 0 {
		o.committer.want(o, o.out.commit)
	}
	if o.machine.draining && !o.out.drained {
		o.committer.now()
	}
}

// readAttempts turns what workers left into the machine's input.
func (o *owner) readAttempts() {
	for i := range o.news.attempts {
		a := &o.news.attempts[i]
		o.logAttempt(a)
		*o.resultOf(a.work) = unfinished{Result: a.result}
		o.in.attempts = append(o.in.attempts, attempted{a.work, a.result.Outcome, a.result.Wait, a.result.Outage})
	}
}

// readFinished turns what the finisher left into the machine's input. What the
// broker will never take is replaced: messages by a dead letter, a dead letter
// by a shorter one.
func (o *owner) readFinished() {
	for _, f := range o.news.finished {
		r := o.resultOf(f.work)
		replaced := false
		switch {
		case f.err == nil:
			*r = unfinished{} // lets go of its messages
		case refused(f.err) && r.Outcome == Handled:
			replaced = true
			*r = unfinished{Result: Result{Outcome: GivenUp, Cause: CauseRefused, Err: f.err}}
			o.log.Error("the broker refuses what was emitted: dead letter", "error", f.err)
		case refused(f.err) && !r.shorten:
			replaced = true
			r.shorten = true
			o.log.Error("the broker refuses a dead letter for its size: it is shortened", "error", f.err)
		case o.work.Err() == nil: // otherwise it was given back
			o.log.Warn("producing failed, trying again", "error", f.err)
		}
		o.in.finished = append(o.in.finished, finished{f.work, f.err == nil, replaced})
	}
}

// resultOf is where the result of a work is kept until it is finished.
func (o *owner) resultOf(work int32) *unfinished {
	if n := int(work) + 1 - len(o.unfinished); n > 0 {
		o.unfinished = append(o.unfinished, make([]unfinished, n)...)
	}
	return &o.unfinished[work]
}

// keep copies the records of events that will stay for a while, so that they
// do not hold the batches that they came in.
func (o *owner) keep() {
	for _, i := range o.out.keep {
		e := o.machine.events.at(i)
		kept := *e.payload
		kept.record = clone(&kept.record)
		e.payload = &kept
	}
}

func clone(r *kafka.Record) kafka.Record {
	c := *r
	c.Key, c.Value = bytes.Clone(r.Key), bytes.Clone(r.Value)
	c.Headers = make([]event.Header, len(r.Headers))
	for i, h := range r.Headers {
		c.Headers[i] = event.Header{Key: h.Key, Value: bytes.Clone(h.Value)}
	}
	return c
}

// start queues the work that the machine gave out.
func (o *owner) start() {
	o.tasks = o.tasks[:0]
	for _, w := range o.out.start {
		work := o.machine.works.at(w)
		o.tasks = append(o.tasks, task{o, w, work.attempt, o.machine.events.at(work.event).payload, work.index})
	}
	o.queue.add(o.tasks)
	clear(o.tasks)
}

// attempt runs one task, on a worker.
func (o *owner) attempt(t task) {
	if o.work.Err() != nil {
		return // the partition went while the task was queued
	}
	w := &t.delivery.verdict.Work[t.index]
	limit := w.handler.reaction.Timeout()
	late := time.AfterFunc(2*limit, func() {
		o.log.Error("handler ignores its timeout and holds up its key", "reaction", w.Reaction(), "event", w.Envelope.ID, "timeout", limit)
	})
	defer late.Stop()
	o.mail.attempted(t.work, o.service.Handle(o.work, w, t.attempt, time.Now()))
}

// finish hands over the work that the machine says is to be finished.
func (o *owner) finish() {
	if len(o.out.finish) == 0 {
		return
	}
	o.completions = slices.Grow(o.completions[:0], len(o.out.finish))
	for _, w := range o.out.finish {
		o.completions = append(o.completions, o.complete(w))
	}
	o.finisher.Finish(o.work, o.completions, o.mail.finished)
	clear(o.completions)
}

// complete is what is to be made lasting of a work.
func (o *owner) complete(w int32) completion {
	work, r := o.machine.works.at(w), o.resultOf(w)
	d := o.machine.events.at(work.event).payload
	c := completion{work: w, origin: &d.record}
	switch {
	case d.verdict.Cause != "":
		if r.Outcome != GivenUp {
			r.Outcome = GivenUp
			o.log.Warn("record cannot be handled: dead letter", "offset", d.record.Offset, "cause", d.verdict.Cause, "error", d.verdict.Err)
		}
		c.dead = o.deadRecord(d)
	case r.Outcome == GivenUp:
		c.dead = o.deadWork(work, d, &r.Result)
	default:
		c.messages = r.Messages
		return c
	}
	if r.shorten {
		c.origin = c.dead.shorten(c.origin)
	}
	return c
}

// deadRecord is the dead letter of a record that no handler has seen.
func (o *owner) deadRecord(d *delivery) *DeadLetter {
	letter := o.service.DeadLetter(&d.record, d.verdict.Cause, d.verdict.Err)
	letter.First, letter.Last, letter.Host = o.in.now, o.in.now, o.host
	return letter
}

// deadWork is the dead letter of a work that was given up.
func (o *owner) deadWork(w *work, d *delivery, r *Result) *DeadLetter {
	letter := o.service.DeadLetter(&d.record, r.Cause, r.Err)
	letter.Stack, letter.Attempts, letter.Reaction = string(r.Stack), w.attempt, d.verdict.Work[w.index].Reaction()
	letter.First, letter.Last, letter.Host = w.failed, o.in.now, o.host
	return letter
}

func (o *owner) logAttempt(a *attemptNews) {
	r := &a.result
	if r.Outcome == Handled && !r.Expired {
		return
	}
	work := o.machine.works.at(a.work)
	payload := o.machine.events.at(work.event).payload
	w := &payload.verdict.Work[work.index]
	log := o.log.With("reaction", w.Reaction(), "event", w.Envelope.ID, "flow", w.Envelope.Flow, "attempt", work.attempt)
	switch {
	case r.Expired:
		log.Info("event not handled: its time is over", "expiry", w.Envelope.Expiry)
	case r.Outage:
		log.Warn("database away: the attempt does not count", "error", r.Err, "again", r.Wait)
	case r.Outcome == TryAgain && o.work.Err() != nil:
		log.Info("attempt cut short: the partition goes to somebody else", "error", r.Err)
	case r.Outcome == TryAgain:
		log.Warn("attempt failed", "error", r.Err, "again", r.Wait)
	default:
		log.Error("given up: dead letter", "cause", r.Cause, "error", r.Err)
	}
}
