package runtime

import (
	"testing"
	"time"
)

// BenchmarkMachine is one event's way through the machine: taken in, started,
// handled, finished, its position given out. Batches of 500 events of 100 keys.
func BenchmarkMachine(b *testing.B) {
	const batch = 500
	m := newMachine(Options{}.withDefaults().Window, 0)
	in := input{now: time.Unix(0, 0), batch: &arrivals{records: make([]arrival, batch)}}
	var out output
	payload := &delivery{}
	b.ReportAllocs()
	for n := 0; b.Loop(); n++ {
		if n%batch != 0 {
			continue
		}
		in.batch.next = int64(n + batch)
		for i := range in.batch.records {
			in.batch.records[i] = arrival{offset: int64(n + i), key: uint64(i % 100), keyed: true, works: 1, size: 500, payload: payload}
		}
		m.Step(&in, &out)
		for step := (input{now: in.now}); m.records > 0; {
			step.attempts, step.finished = step.attempts[:0], step.finished[:0]
			for _, w := range out.start {
				step.attempts = append(step.attempts, attempted{work: w})
			}
			for _, w := range out.finish {
				step.finished = append(step.finished, finished{work: w, ok: true})
			}
			m.Step(&step, &out)
		}
	}
}
