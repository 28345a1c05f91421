package choreotest

import (
	"bytes"
	"fmt"

	"github.com/troupedev/troupe/platform/choreo"
	"github.com/troupedev/troupe/platform/event"
	"github.com/troupedev/troupe/platform/kafka"
	"github.com/troupedev/troupe/platform/runtime"
)

// record is a record of the log. The events of a topic with one key are heard
// in the order in which they were appended.
type record struct {
	kafka.Record
	envelope event.Envelope
}

// origin is where a record comes from, which decides what it counts as.
type origin uint8

const (
	given    origin = iota // by the script
	emitted                // by a service: the script is to name it
	question               // a request or reply: neither
)

// publish appends messages to the log, and perhaps does so once more, as a
// producer does whose answer was lost.
func (s *Stage) publish(messages []choreo.Message, from origin) {
	s.t.Helper()
	s.append(messages, from)
	if s.dice != nil && len(messages) > 0 && s.dice.repeats() {
		s.trace.add("again", "", "the producer repeats what it published", nil)
		s.append(messages, from)
	}
}

func (s *Stage) append(messages []choreo.Message, from origin) {
	s.t.Helper()
	for _, r := range runtime.Records("", messages) {
		r.Offset, r.Time = int64(len(s.log)), s.now
		envelope, err := event.ParseHeaders(r.Headers)
		if err != nil {
			s.t.Fatalf("a record that the platform made cannot be read: %v", err)
		}
		one := &record{r, envelope}
		s.log = append(s.log, one)
		s.trace.add("log", "", "", one)
		s.happened(one, from)
		for _, p := range s.players {
			p.hears(one)
		}
	}
}

// happened counts a record as an event, unless it is the repetition of one.
func (s *Stage) happened(r *record, from origin) {
	s.t.Helper()
	if value, known := s.values[r.envelope.ID]; known {
		if !bytes.Equal(value, r.Value) {
			s.errorf("%s was emitted again with the same id, and is another: %s\nbefore it was %s",
				r.envelope.Type, s.text(r), s.textOf(r.envelope.Type, value))
		}
		return
	}
	s.values[r.envelope.ID] = r.Value
	s.events = append(s.events, r)
	if from == emitted {
		s.emitted = append(s.emitted, r)
	}
}

// queue is what a player has to hear of one topic and key, and how far it has.
type queue struct {
	topic, key string
	items      []*item
	done       int // of items
	committed  int // of these: not heard again after a crash
	weight     int // how likely it is to be next, where a seed decides
}

// item is a record for a player.
type item struct {
	*record
	verdict runtime.Verdict
	ended   []bool // by work
	attempt []int  // by work: the number of the next attempt
}

func (i *item) reset() {
	for w := range i.ended {
		i.ended[w], i.attempt[w] = false, 1
	}
}

// hears queues the record, if it means anything to the player.
func (p *player) hears(r *record) {
	if !p.topics[r.Topic] {
		return
	}
	v := p.service.Judge(&r.Record)
	if v.Cause == "" && len(v.Work) == 0 {
		return
	}
	one := &item{record: r, verdict: v, ended: make([]bool, len(v.Work)), attempt: make([]int, len(v.Work))}
	one.reset()
	key := queueKey{r.Topic, string(r.Key)}
	if r.Key == nil { // is its own key
		key.key = fmt.Sprintf("\x00%d", r.Offset)
	}
	q := p.byKey[key]
	if q == nil {
		q = &queue{topic: key.topic, key: key.key, weight: p.stage.dice.weight()}
		p.byKey[key], p.queues = q, append(p.queues, q)
	}
	q.items = append(q.items, one)
}

type queueKey struct{ topic, key string }
