package runtime

import (
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"testing"
	"time"
)

// TestSimulation drives the machine with a broker, workers and a finisher that
// are made of chance, through many lives of a partition's owner: batches in any
// split, with gaps and repetitions; handlers that fail, give up, never return
// and meet outages; producing that fails; partitions revoked; crashes. However it goes,
// everything must have been handled or be a dead letter in the end, in order.
//
// TROUPE_SEED runs one seed again.
func TestSimulation(t *testing.T) {
	first, count := uint64(1), uint64(3000)
	if s := os.Getenv("TROUPE_SEED"); s != "" {
		seed, err := strconv.ParseUint(s, 10, 64)
		if err != nil {
			t.Fatalf("TROUPE_SEED: %v", err)
		}
		first, count = seed, 1
	}
	for seed := first; seed < first+count; seed++ {
		if err := newWorld(seed).live(); err != nil {
			t.Fatalf("TROUPE_SEED=%d: %v", seed, err)
		}
	}
}

// fate is what happens to a work, each time that it is handled.
type fate uint8

const (
	succeeds fate = iota
	failsFirst
	failsAlways
	givesUp
	isRefused // handled, but the broker does not take what was emitted
	fates
)

// logged is one record of the simulated partition.
type logged struct {
	offset  int64
	key     uint64
	keyed   bool
	garbage bool
	size    int
	fates   []fate
	handled []int // by work: how often its messages are in the log
	letters []int // by work, or one for garbage: dead letters of it
}

func (r *logged) ended() bool {
	for i := range r.handled {
		if r.handled[i]+r.letters[i] == 0 {
			return false
		}
	}
	return true
}

const (
	worldAttempts = 4    // after which a work is given up
	worldChaos    = 1500 // steps after which nothing goes wrong any more
	worldEnd      = 200_000
)

// world is the simulated surroundings of one partition.
type world struct {
	*rand.Rand
	now       time.Time
	window    Window
	biggest   int // records in a batch
	log       []*logged
	end       int64
	committed int64 // at the broker
	steps     int

	// Of the life in hand:
	m       *machine
	out     output
	starts  map[[2]int64]int    // by offset and reaction
	running map[int32]bool      // work with the workers
	due     map[int32]time.Time // of work that was to be tried again
	results map[int32]Outcome
	sent    []int32 // with the finisher, in the order of sending
	commit  int64   // on the way; -1: none
	drain   bool
	gone    bool // after a cut, nothing is heard of what was under way
}

func newWorld(seed uint64) *world {
	w := &world{Rand: rand.New(rand.NewPCG(seed, 0)), now: time.Unix(0, 0)}
	w.window = Window{Records: 1 + w.IntN(20), Bytes: 1 + w.Int64N(500), Ahead: 1 + w.Int64N(60)}
	w.biggest = 1 + w.IntN(12)
	keys := 1 + w.Uint64N(8)
	for range 5 + w.IntN(60) {
		if w.IntN(5) == 0 {
			w.end += w.Int64N(9) // compaction, control records
		}
		w.log = append(w.log, w.record(keys))
		w.end++
	}
	w.end += w.Int64N(3)
	return w
}

func (w *world) record(keys uint64) *logged {
	r := &logged{offset: w.end, key: w.Uint64N(keys), keyed: w.IntN(5) > 0, size: w.IntN(60)}
	n := 1
	if r.garbage = w.IntN(12) == 0; !r.garbage {
		n = w.IntN(4)
		for range n {
			f := succeeds
			if w.IntN(3) == 0 {
				f = fate(w.IntN(int(fates)))
			}
			r.fates = append(r.fates, f)
		}
	}
	r.handled, r.letters = make([]int, n), make([]int, n)
	return r
}

func (w *world) chaos() bool { return w.steps < worldChaos }

// live lives until all is committed, and judges what has come of it.
func (w *world) live() error {
	for w.committed < w.end {
		w.begin()
		for !w.out.drained {
			if w.steps++; w.steps > worldEnd {
				return fmt.Errorf("no end: committed %d of %d", w.committed, w.end)
			}
			if w.chaos() && w.IntN(150) == 0 {
				w.crash()
				break
			}
			if err := w.step(); err != nil {
				return fmt.Errorf("step %d: %w", w.steps, err)
			}
			if w.committed == w.end {
				break
			}
		}
	}
	return w.judge()
}

func (w *world) begin() {
	w.m = newMachine(w.window, w.committed)
	w.out = output{fetch: true}
	w.starts, w.due = map[[2]int64]int{}, map[int32]time.Time{}
	w.running, w.results, w.sent, w.commit = map[int32]bool{}, map[int32]Outcome{}, nil, -1
	w.drain, w.gone = false, false
}

// crash ends the life at once; what was on the way may have arrived.
func (w *world) crash() {
	for _, work := range w.sent {
		if w.IntN(2) == 0 && !w.refused(work) {
			w.arrived(work)
		}
	}
	if w.commit >= 0 && w.IntN(2) == 0 {
		w.committed = w.commit
	}
}

// step lets some things happen, tells the machine, and does what it says.
func (w *world) step() error {
	w.now = w.now.Add(time.Duration(w.IntN(50)) * time.Millisecond)
	in := input{now: w.now}
	if w.out.fetch && w.IntN(2) == 0 {
		in.batch = w.batch()
	}
	if !w.gone {
		w.attempts(&in)
		w.finish(&in)
	}
	if w.commit >= 0 && w.IntN(3) == 0 {
		w.committed, in.committed, w.commit = w.commit, w.commit, -1
	}
	w.revoke(&in)
	if in.batch == nil && len(w.running)+len(w.sent) == 0 && !w.out.wake.IsZero() && w.out.wake.After(w.now) {
		w.now = w.out.wake
		in.now = w.now
	}
	w.m.Step(&in, &w.out)
	return w.obey()
}

// batch is what the reader brings next: any number of records, maybe again
// some that were there before.
func (w *world) batch() *arrivals {
	from := w.m.fetched
	if from >= w.end {
		return nil
	}
	if w.IntN(4) == 0 {
		from = max(0, from-w.Int64N(5))
	}
	b := &arrivals{next: from}
	n := w.IntN(w.biggest + 1)
	for _, r := range w.log {
		if r.offset < from {
			continue
		}
		if len(b.records) == n {
			b.next += w.Int64N(r.offset - b.next + 1) // up to the next record
			return b
		}
		b.records = append(b.records, arrival{
			offset: r.offset, key: r.key, keyed: r.keyed, dead: r.garbage, works: len(r.fates), size: r.size,
			payload: &delivery{},
		})
		b.next = r.offset + 1
	}
	b.next = w.end
	return b
}

// attempts lets some of the running work come to an outcome.
func (w *world) attempts(in *input) {
	for work := range w.pick(w.running, 3) {
		delete(w.running, work)
		a := attempted{work: work, outcome: w.outcome(work)}
		if w.chaos() && w.IntN(6) == 0 {
			a.outcome, a.outage = TryAgain, true
			r, i := w.at(work)
			w.starts[[2]int64{r.offset, int64(i)}]-- // as if it had not been
		}
		if a.outcome == TryAgain {
			a.wait = time.Duration(w.IntN(2000)) * time.Millisecond
			w.due[work] = w.now.Add(a.wait)
		}
		w.results[work] = a.outcome
		in.attempts = append(in.attempts, a)
	}
}

// pick chooses about one in n, in an order that the seed decides.
func (w *world) pick(set map[int32]bool, n int) map[int32]bool {
	all := make([]int32, 0, len(set))
	for work := range set {
		all = append(all, work)
	}
	slices.Sort(all)
	chosen := map[int32]bool{}
	for _, work := range all {
		if w.IntN(n) == 0 {
			chosen[work] = true
		}
	}
	return chosen
}

func (w *world) outcome(work int32) Outcome {
	attempt := w.m.works.at(work).attempt
	switch fate := w.fate(work); {
	case fate == givesUp, fate == failsAlways && attempt >= worldAttempts:
		return GivenUp
	case fate == failsAlways, fate == failsFirst && attempt < 3:
		return TryAgain
	}
	return Handled
}

func (w *world) at(work int32) (*logged, int) {
	one := w.m.works.at(work)
	offset := w.m.events.at(one.event).offset
	i, _ := slices.BinarySearchFunc(w.log, offset, func(r *logged, o int64) int { return int(r.offset - o) })
	return w.log[i], one.index
}

func (w *world) fate(work int32) fate {
	r, i := w.at(work)
	return r.fates[i]
}

// refused tells whether the broker would not take what the work emitted.
func (w *world) refused(work int32) bool {
	r, i := w.at(work)
	return !r.garbage && r.fates[i] == isRefused && w.results[work] == Handled
}

// arrived notes that a result is in the log.
func (w *world) arrived(work int32) {
	r, i := w.at(work)
	if r.garbage || w.results[work] == GivenUp {
		r.letters[i]++
	} else {
		r.handled[i]++
	}
}

// finish lets the finisher answer for some of what was sent. A failure may
// mean that the records are in the log nevertheless.
func (w *world) finish(in *input) {
	var still []int32
	for _, work := range w.sent {
		switch n := w.IntN(8); {
		case n > 3 && w.chaos():
			still = append(still, work)
		case w.refused(work):
			w.results[work] = GivenUp
			in.finished = append(in.finished, finished{work: work, replaced: true})
		case n == 0 && w.chaos():
			if w.IntN(2) == 0 {
				w.arrived(work)
			}
			in.finished = append(in.finished, finished{work: work})
		default:
			w.arrived(work)
			in.finished = append(in.finished, finished{work: work, ok: true})
		}
	}
	w.sent = still
}

// revoke lets the partition be taken away: work that no worker has begun comes
// back, and where the rest takes too long it is cut.
func (w *world) revoke(in *input) {
	if !w.drain && w.chaos() && w.IntN(200) == 0 {
		w.drain, in.drain = true, true
		for work := range w.pick(w.running, 2) {
			delete(w.running, work)
			in.withdrawn = append(in.withdrawn, work)
		}
		return
	}
	if w.drain && !w.gone && w.IntN(20) == 0 {
		w.gone, in.cut = true, true
	}
}

// obey does what the machine says, and checks that it may say so.
func (w *world) obey() error {
	for _, work := range w.out.start {
		if err := w.mayStart(work); err != nil {
			return err
		}
		w.running[work] = true
	}
	w.sent = append(w.sent, w.out.finish...)
	if c := w.out.commit; c >= 0 {
		if err := w.mayCommit(c); err != nil {
			return err
		}
		w.commit = c
	}
	if w.drain && !w.out.wake.IsZero() {
		return fmt.Errorf("a timer while draining")
	}
	if w.out.drained && (w.committed < w.m.wanted || !w.gone && len(w.running)+len(w.sent) > 0) {
		return fmt.Errorf("drained with %d running, %d sent, %d of %d committed", len(w.running), len(w.sent), w.committed, w.m.wanted)
	}
	if w.gone && w.m.busy > 0 {
		return fmt.Errorf("waits for %d pieces of work after a cut", w.m.busy)
	}
	if !w.keepsWaiting() {
		return fmt.Errorf("an event waits behind a failure and was not kept")
	}
	if n, most := w.m.records, w.window.Records-1+w.biggest; n > most {
		return fmt.Errorf("%d records in hand, want at most %d", n, most)
	}
	return nil
}

// keepsWaiting checks that all events of a key whose first one waits for its
// next attempt are marked to be kept.
func (w *world) keepsWaiting() bool {
	for _, q := range w.m.queues {
		waits := false
		for i := w.m.events.at(q.first).first; i != none; i = w.m.works.at(i).next {
			waits = waits || w.m.works.at(i).state == waiting
		}
		for e := q.first; waits && e != none; e = w.m.events.at(e).next {
			if !w.m.events.at(e).kept {
				return false
			}
		}
	}
	return true
}

// mayStart checks that all earlier events of the key have ended.
func (w *world) mayStart(work int32) error {
	r, i := w.at(work)
	if w.drain {
		return fmt.Errorf("offset %d started while draining", r.offset)
	}
	id := [2]int64{r.offset, int64(i)}
	if w.starts[id]++; w.starts[id] != w.m.works.at(work).attempt {
		return fmt.Errorf("offset %d, work %d started %d times in one life, attempt %d", r.offset, i, w.starts[id], w.m.works.at(work).attempt)
	}
	if n := w.m.works.at(work).attempt; n > worldAttempts {
		return fmt.Errorf("offset %d: attempt %d", r.offset, n)
	}
	if w.running[work] {
		return fmt.Errorf("offset %d: started while it runs", r.offset)
	}
	if one := w.m.works.at(work); one.attempt == 1 && !one.failed.IsZero() {
		return fmt.Errorf("offset %d, work %d: an outage counts as its first failure", r.offset, i)
	}
	if w.due[work].After(w.now) {
		return fmt.Errorf("offset %d, work %d started %v too early", r.offset, i, w.due[work].Sub(w.now))
	}
	if !r.keyed {
		return nil
	}
	for _, before := range w.log {
		if before.offset >= r.offset {
			return nil
		}
		if before.keyed && !before.garbage && before.key == r.key && !before.ended() {
			return fmt.Errorf("offset %d of key %d started before %d has ended", r.offset, r.key, before.offset)
		}
	}
	return nil
}

// mayCommit checks that nothing before c is open, and that positions only rise.
func (w *world) mayCommit(c int64) error {
	if c <= w.committed || c > w.end {
		return fmt.Errorf("commit of %d after %d, of %d", c, w.committed, w.end)
	}
	for _, r := range w.log {
		if r.offset < c && !r.ended() {
			return fmt.Errorf("commit of %d, but %d has not ended", c, r.offset)
		}
	}
	return nil
}

// judge checks what every record has come to.
func (w *world) judge() error {
	if m := w.m; m.records+m.busy+len(m.queues)+len(m.timers) != 0 || m.bytes != 0 || m.oldest != none || m.newest != none {
		return fmt.Errorf("left in hand: %d records, %d bytes, %d busy, %d keys, %d timers", m.records, m.bytes, m.busy, len(m.queues), len(m.timers))
	}
	for _, r := range w.log {
		for i := range r.handled {
			dead := r.garbage || r.fates[i] == failsAlways || r.fates[i] == givesUp || r.fates[i] == isRefused
			if dead && (r.letters[i] == 0 || r.handled[i] > 0) {
				return fmt.Errorf("offset %d, work %d: want a dead letter, got %d and handled %d times", r.offset, i, r.letters[i], r.handled[i])
			}
			if !dead && (r.handled[i] == 0 || r.letters[i] > 0) {
				return fmt.Errorf("offset %d, work %d: handled %d times, %d dead letters", r.offset, i, r.handled[i], r.letters[i])
			}
		}
	}
	return nil
}
