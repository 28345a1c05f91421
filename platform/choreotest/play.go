package choreotest

import "time"

// longestPlay bounds how many events one Send or Request may lead to, against
// services that multiply each other's events.
const longestPlay = 10_000

// act is what can happen next: a player hears the next event of a queue,
// publishes what is in its outbox (no queue), or, without a player, time passes.
type act struct {
	player *player
	queue  *queue
	weight int
}

// play lets the services act until none has anything left to do.
func (s *Stage) play() {
	s.t.Helper()
	if s.together {
		return
	}
	for from := len(s.log); ; {
		a, ok := s.next()
		switch {
		case !ok:
			return
		case a.player == nil:
			s.wake()
		case a.queue == nil:
			a.player.publishStored()
		default:
			a.player.hear(a.queue)
		}
		if len(s.log)-from > longestPlay {
			s.t.Fatalf("what was sent led to more than %d events: the services multiply each other's", longestPlay)
		}
	}
}

// next is what happens next: in calm what became possible first, else what the
// seed says.
func (s *Stage) next() (act, bool) {
	acts := s.company.acts[:0]
	for _, p := range s.players {
		if p.db != nil && p.db.pending {
			acts = append(acts, act{player: p, weight: s.dice.weight()})
		}
		for _, q := range p.queues {
			if q.done < len(q.items) {
				acts = append(acts, act{p, q, q.weight})
			}
		}
	}
	if due := s.due(); !due.IsZero() && (!due.After(s.now) || !due.After(s.until) && (len(acts) == 0 || s.racing)) {
		acts = append(acts, act{weight: s.dice.weight()})
	}
	s.company.acts = acts
	switch {
	case len(acts) > 0:
		return s.choose(acts), true
	case s.dice != nil && s.lastCrash():
		return s.next()
	}
	return act{}, false
}

func (s *Stage) choose(acts []act) act {
	if s.dice != nil {
		return s.dice.choose(acts)
	}
	first := acts[0]
	for _, a := range acts {
		if a.order() < first.order() {
			first = a
		}
	}
	return first
}

// order is that of a calm run: what lies in an outbox goes first, then what was
// appended first.
func (a act) order() int64 {
	if a.queue == nil {
		return -1
	}
	return a.queue.items[a.queue.done].Offset
}

func (d *dice) choose(acts []act) act {
	sum := 0
	for _, a := range acts {
		sum += a.weight
	}
	n := d.IntN(sum)
	for _, a := range acts {
		if n -= a.weight; n < 0 {
			return a
		}
	}
	return acts[0] // not reached
}

// lastCrash lets a service die when all is done, so that it hears again what it
// has not committed.
func (s *Stage) lastCrash() bool {
	for _, p := range s.players {
		uncommitted := false
		for _, q := range p.queues {
			uncommitted = uncommitted || q.committed < q.done
		}
		if uncommitted && p.spared > 0 && s.dice.happens(s.dice.late) {
			_ = p.strike("when all was done", true)
			p.recover()
			return true
		}
	}
	return false
}

// due is when the next row that waits for its time is due; zero: none is.
func (s *Stage) due() (next time.Time) {
	for _, p := range s.players {
		if !p.due.IsZero() && (next.IsZero() || p.due.Before(next)) {
			next = p.due
		}
	}
	return next
}

// wake lets time pass until something is due, and those publish whose it is.
func (s *Stage) wake() {
	if due := s.due(); due.After(s.now) {
		s.now = due
		s.trace.add("time", "", due.Format(time.DateTime), nil)
	}
	for _, p := range s.players {
		if !p.due.IsZero() && !p.due.After(s.now) {
			p.due, p.db.pending = time.Time{}, true
		}
	}
}

// end is the end of a run.
func (s *Stage) end() {
	s.t.Helper()
	for _, d := range s.dead {
		s.errorf("%s: a dead letter that nothing asked for: %s", d.Service, s.textOfDead(d))
	}
}
