package choreotest

import (
	"errors"
	"math/rand/v2"
	"strings"
)

// faultsPerPlayer is how often a service is struck in one run, at most, so that
// every play ends.
const faultsPerPlayer = 5

var (
	errFailed  = errors.New("choreotest: this step failed, as the seed wants it")
	errCrashed = errors.New("choreotest: the service died at this step, as the seed wants it")
)

// dice decide what happens in a run with a seed. Each seed is of a temper of its
// own, so that some runs see one kind of fault only, and some see many.
type dice struct {
	*rand.Rand
	seed uint64

	even    bool    // all queues are equally likely to be next
	faults  float64 // chance that a step is struck
	crashes float64 // chance that this is a crash
	commits float64 // chance to commit after an event
	doubles float64 // chance that a record is published twice
	late    float64 // chance that a service dies when all is done
}

func newDice(seed uint64) *dice {
	r := rand.New(rand.NewPCG(seed, 0x74726f757065))
	one := func(of ...float64) float64 { return of[r.IntN(len(of))] }
	return &dice{
		Rand: r, seed: seed,
		even:    r.IntN(2) == 0,
		faults:  one(0, 0.02, 0.1, 0.3),
		crashes: one(0, 0.5, 1),
		commits: one(0, 0.2, 0.7, 1),
		doubles: one(0, 0, 0.1, 0.5),
		late:    one(0, 0.5),
	}
}

func (d *dice) happens(chance float64) bool { return chance > 0 && d.Float64() < chance }

func (d *dice) repeats() bool { return d.happens(d.doubles) }

// weight is how likely a queue is to be next, compared to others: where it is
// not even, some are heard only once nothing else is left.
func (d *dice) weight() int {
	if d == nil || d.even {
		return 1
	}
	return 1 << (4 * d.IntN(4))
}

// strike is a fault that has happened to a player.
type strike struct {
	step    string
	crashed bool
}

// step is the failpoint.Hook of a player: it decides whether the step is struck.
// Of what is committed or deleted at that step already, only the answer is lost.
func (p *player) step(step string) error {
	if p.struck != nil && p.struck.crashed {
		return errCrashed // whatever the dead do, fails
	}
	d := p.stage.dice
	if p.spared == 0 || !d.happens(d.faults) {
		return nil
	}
	return p.strike(step, d.happens(d.crashes))
}

func (p *player) strike(step string, crash bool) error {
	p.spared--
	p.struck = &strike{step, crash}
	if crash {
		p.stage.trace.add("crash", p.name, step, nil)
		return errCrashed
	}
	p.stage.trace.add("fault", p.name, step, nil)
	return errFailed
}

// trace is what happened in a run, for a person who looks for the fault.
type trace struct{ moments []moment }

type moment struct {
	what, who, detail string
	record            *record
}

// longestTrace is how many moments of a run are shown.
const longestTrace = 400

func (t *trace) add(what, who, detail string, r *record) {
	t.moments = append(t.moments, moment{what, who, detail, r})
}

func (t trace) String() string {
	var b strings.Builder
	b.WriteString("what happened in it:\n")
	moments := t.moments
	if left := len(moments) - longestTrace; left > 0 {
		b.WriteString("  …\n")
		moments = moments[left:]
	}
	for _, m := range moments {
		b.WriteString("  " + m.what)
		if m.who != "" {
			b.WriteString(" " + m.who)
		}
		if m.record != nil {
			b.WriteString(" " + m.record.envelope.Type + " " + m.record.envelope.Subject)
		}
		if m.detail != "" {
			b.WriteString(": " + m.detail)
		}
		b.WriteByte('\n')
	}
	return b.String()
}
