package runtime

import "time"

// machine is what the owner of one partition knows and decides. It is pure:
// no I/O, no clock, no goroutine. In go batches fetched, what became of work,
// and the time; out come work to run, results to finish, the offset to commit,
// whether to fetch on, and when to be woken.
//
// Its rules:
//
//   - Events of one key are handled one after another, in the order of their
//     offsets: the next starts when every reaction to the one before has ended.
//     Reactions to one event, and events of different keys or without one, run
//     side by side.
//   - Work has ended when its messages, or its dead letter, are lasting: when
//     the finisher says so.
//   - What failed waits, and only its key waits with it.
//   - The position to commit is the offset of the first event that has not
//     ended; where none is in hand, the offset that fetch comes to next.
//   - Fetching pauses where the window is full, until half of it is free.
//
// Events and work live in slabs and are named by their index, so that a step
// allocates nothing once the slabs have grown to the window.
type machine struct {
	window Window

	events slab[inHand]
	works  slab[work]
	queues map[uint64]keyQueue // keys that have events in hand
	oldest int32               // events in hand, in the order of their offsets
	newest int32
	timers timers

	records  int   // events in hand
	bytes    int64 // of their records
	busy     int   // work that runs or is being finished
	full     bool
	draining bool

	fetched   int64 // the offset that fetch comes to next
	wanted    int64 // last position given out to be committed
	committed int64 // last position known to be committed
}

// Window bounds what one partition may have in hand. Fetching pauses at a
// bound, which the batch that reaches it may exceed, and goes on when all are
// at most half used.
type Window struct {
	Records int   // events not yet handled; default 4,096, at least 1
	Bytes   int64 // of their records; default 8 MiB, at least 1
	Ahead   int64 // offsets fetched beyond the oldest event in hand, which a crash would have handled again; default 100,000, at least 1
}

const none int32 = -1

// inHand is an event that has not ended.
type inHand struct {
	offset  int64
	key     uint64
	size    int
	keyed   bool
	kept    bool  // it waits behind a failure: see output.keep
	first   int32 // of its works
	open    int32 // works that have not ended
	older   int32 // neighbours in the order of offsets
	newer   int32
	next    int32 // the next event of the same key
	payload *delivery
}

// keyQueue is the events of one key in hand; the first one is being handled.
type keyQueue struct{ first, last int32 }

type state uint8

const (
	queued    state = iota // its key is not at it yet
	running                // a worker has it, or is about to
	waiting                // for its next attempt
	finishing              // its result is with the finisher
	stalled                // its result could not be finished and waits to be tried again
	ended
	released // given back, to be handled by the partition's next owner
)

// work is one event for one reaction.
type work struct {
	event    int32
	next     int32 // of the same event
	index    int   // which of the event's works
	attempt  int   // attempts begun, those aside that met an outage
	failures int   // of the finisher, in a row
	state    state
	failed   time.Time // first failure; zero: none
}

// arrival is a fetched record as the machine sees it.
type arrival struct {
	offset  int64
	key     uint64 // hash; two keys of one hash share their order, which does no harm
	keyed   bool
	dead    bool // a dead letter to be, whatever its key is at
	works   int  // reactions to it; 0 and not dead: skipped
	size    int  // bytes
	payload *delivery
}

// arrivals is a fetched batch as the machine sees it.
type arrivals struct {
	next    int64 // the offset after the batch
	records []arrival
}

// input is what happened since the last step.
type input struct {
	now       time.Time
	batch     *arrivals // nil: none
	attempts  []attempted
	finished  []finished
	withdrawn []int32 // work that was given out and will not be run
	committed int64   // position known to be committed, or given up because a newer owner exists; 0: no news
	drain     bool    // start nothing new; from here on
	cut       bool    // wait for no work any longer; from here on
}

// attempted says what an attempt came to.
type attempted struct {
	work    int32
	outcome Outcome
	wait    time.Duration
	outage  bool // of TryAgain: it does not count as an attempt, nor as a failure
}

// finished says whether the result of a work is lasting.
type finished struct {
	work     int32
	ok       bool
	replaced bool // not ok: something else is in its place now, to be finished at once
}

// output is what is to be done now.
type output struct {
	start   []int32   // work to run
	finish  []int32   // work whose results are to be made lasting
	keep    []int32   // events that wait behind a failure, and should not hold the batch that they came in
	commit  int64     // position to commit; none: -1
	fetch   bool      // whether more is wanted
	wake    time.Time // next step at the latest; zero: when something happens
	drained bool      // nothing is in hand any more that could be waited for
}

func (o *output) reset() {
	*o = output{start: o.start[:0], finish: o.finish[:0], keep: o.keep[:0], commit: -1}
}

// newMachine returns the machine of a partition whose handling begins at from,
// up to where all is committed.
func newMachine(w Window, from int64) *machine {
	return &machine{
		window: w, queues: map[uint64]keyQueue{}, oldest: none, newest: none,
		fetched: from, wanted: from, committed: from,
	}
}

// Step takes in what happened and puts into out what is to be done.
func (m *machine) Step(in *input, out *output) {
	out.reset()
	if in.drain || in.cut {
		m.drain()
	}
	for _, a := range in.attempts {
		m.attempted(a, in.now, out)
	}
	for _, f := range in.finished {
		m.finish(f, in.now, out)
	}
	for _, w := range in.withdrawn {
		m.release(w, running)
	}
	if in.cut {
		m.cut(out)
	}
	for !m.draining && m.timers.due(in.now) {
		m.resume(m.timers.pop(), out)
	}
	if in.batch != nil && !m.draining {
		m.take(in.batch, out)
	}
	m.committed = max(m.committed, in.committed)
	m.conclude(out)
}

// take takes in a batch. Records below fetched came twice: a fetch may begin
// within a batch of the log.
func (m *machine) take(b *arrivals, out *output) {
	for i := range b.records {
		a := &b.records[i]
		if a.offset < m.fetched || a.works == 0 && !a.dead {
			continue
		}
		e := m.add(a)
		switch {
		case a.dead:
			w := m.works.at(m.events.at(e).first)
			w.state = finishing
			m.busy++
			out.finish = append(out.finish, m.events.at(e).first)
		case !a.keyed:
			m.start(e, out)
		default:
			m.enqueue(e, out)
		}
	}
	m.fetched = max(m.fetched, b.next)
}

// add puts an event and its work into the slabs, newest in order.
func (m *machine) add(a *arrival) int32 {
	i := m.events.add(inHand{
		offset: a.offset, key: a.key, keyed: a.keyed && !a.dead, size: a.size, payload: a.payload,
		first: none, older: m.newest, newer: none, next: none,
	})
	e := m.events.at(i)
	for index := max(a.works, 1) - 1; index >= 0; index-- {
		e.first = m.works.add(work{event: i, next: e.first, index: index})
		e.open++
	}
	if m.newest == none {
		m.oldest = i
	} else {
		m.events.at(m.newest).newer = i
	}
	m.newest = i
	m.records++
	m.bytes += int64(a.size)
	return i
}

// enqueue puts an event at the end of its key's queue, and starts it where it
// is the first there.
func (m *machine) enqueue(i int32, out *output) {
	key := m.events.at(i).key
	q, ok := m.queues[key]
	if !ok {
		m.queues[key] = keyQueue{i, i}
		m.start(i, out)
		return
	}
	m.events.at(q.last).next = i
	q.last = i
	m.queues[key] = q
	if m.events.at(q.first).kept {
		m.keep(i, out)
	}
}

// keep says that an event, and those behind it, will be in hand for long.
func (m *machine) keep(i int32, out *output) {
	for ; i != none; i = m.events.at(i).next {
		if e := m.events.at(i); !e.kept {
			e.kept = true
			out.keep = append(out.keep, i)
		}
	}
}

// start gives out all work of an event.
func (m *machine) start(i int32, out *output) {
	for w := m.events.at(i).first; w != none; w = m.works.at(w).next {
		m.run(w, out)
	}
}

func (m *machine) run(i int32, out *output) {
	w := m.works.at(i)
	w.state = running
	w.attempt++
	m.busy++
	out.start = append(out.start, i)
}

// attempted takes in what an attempt came to.
func (m *machine) attempted(a attempted, now time.Time, out *output) {
	w := m.works.at(a.work)
	if w.state != running {
		return // released by cut
	}
	if a.outage {
		w.attempt--
	} else if a.outcome != Handled && w.failed.IsZero() {
		w.failed = now
	}
	switch {
	case a.outcome != TryAgain:
		w.state = finishing
		out.finish = append(out.finish, a.work)
	case m.draining:
		m.release(a.work, running)
	default:
		m.busy--
		w.state = waiting
		m.timers.push(timer{now.Add(a.wait), a.work})
		m.keep(w.event, out)
	}
}

// Waits after the finisher failed: it has tried for minutes already.
const (
	firstStall = 100 * time.Millisecond
	longStall  = 10 * time.Second
)

// finish takes in whether the finisher made a result lasting.
func (m *machine) finish(f finished, now time.Time, out *output) {
	w := m.works.at(f.work)
	if w.state != finishing {
		return // released by cut
	}
	switch {
	case f.ok:
		m.busy--
		m.end(f.work, out)
	case f.replaced:
		if w.failed.IsZero() {
			w.failed = now
		}
		out.finish = append(out.finish, f.work)
	case m.draining:
		m.release(f.work, finishing)
	default:
		m.busy--
		w.state = stalled
		m.timers.push(timer{now.Add(min(longStall, firstStall<<min(w.failures, 10))), f.work})
		w.failures++
	}
}

// resume goes on with work whose time has come.
func (m *machine) resume(i int32, out *output) {
	w := m.works.at(i)
	if w.state == waiting {
		m.run(i, out)
		return
	}
	w.state = finishing
	m.busy++
	out.finish = append(out.finish, i)
}

// end ends one work, and its event where it was the last one of it.
func (m *machine) end(i int32, out *output) {
	w := m.works.at(i)
	w.state = ended
	e := m.events.at(w.event)
	if e.open--; e.open == 0 {
		m.remove(w.event, out)
	}
}

// remove takes an event that has ended out of hand, and starts the next of its key.
func (m *machine) remove(i int32, out *output) {
	e := *m.events.at(i)
	m.unlink(&e)
	m.records--
	m.bytes -= int64(e.size)
	for w := e.first; w != none; {
		next := m.works.at(w).next
		m.works.remove(w)
		w = next
	}
	m.events.remove(i)
	if !e.keyed {
		return
	}
	if e.next == none {
		delete(m.queues, e.key)
		return
	}
	m.queues[e.key] = keyQueue{e.next, m.queues[e.key].last}
	if !m.draining {
		m.start(e.next, out)
	}
}

// unlink takes an event out of the order of offsets.
func (m *machine) unlink(e *inHand) {
	if e.older == none {
		m.oldest = e.newer
	} else {
		m.events.at(e.older).newer = e.newer
	}
	if e.newer == none {
		m.newest = e.older
	} else {
		m.events.at(e.newer).older = e.older
	}
}

// drain gives back all that waits for a time; what runs may end.
func (m *machine) drain() {
	if m.draining {
		return
	}
	m.draining = true
	for _, t := range m.timers {
		m.works.at(t.work).state = released
	}
	m.timers = m.timers[:0]
}

// cut gives back what runs or is being finished too.
func (m *machine) cut(out *output) {
	out.finish = out.finish[:0]
	for e := m.oldest; e != none; e = m.events.at(e).newer {
		for w := m.events.at(e).first; w != none; w = m.works.at(w).next {
			if s := m.works.at(w).state; s == running || s == finishing {
				m.release(w, s)
			}
		}
	}
}

// release gives back busy work that is in the state given.
func (m *machine) release(i int32, in state) {
	if w := m.works.at(i); w.state == in {
		w.state = released
		m.busy--
	}
}

// position is up to where all has ended.
func (m *machine) position() int64 {
	if m.oldest == none {
		return m.fetched
	}
	return m.events.at(m.oldest).offset
}

// conclude says what follows from the state that the step has come to.
func (m *machine) conclude(out *output) {
	if p := m.position(); p > m.wanted {
		m.wanted = p
		out.commit = p
	}
	used := m.used()
	if used >= 1 {
		m.full = true
	} else if used <= 0.5 {
		m.full = false
	}
	out.fetch = !m.full && !m.draining
	out.drained = m.draining && m.busy == 0 && m.committed >= m.wanted
	if len(m.timers) > 0 {
		out.wake = m.timers[0].at
	}
}

// used is how much of the window is, by the bound that is used most.
func (m *machine) used() float64 {
	return max(
		float64(m.records)/float64(m.window.Records),
		float64(m.bytes)/float64(m.window.Bytes),
		float64(m.fetched-m.wanted)/float64(m.window.Ahead),
	)
}
