package cli

import (
	"fmt"
	"strings"
	"sync"
)

// state is how far a process has come.
type state struct {
	started chan struct{} // closed once everything runs

	mu     sync.Mutex
	ready  bool
	ending bool
}

func newState() *state { return &state{started: make(chan struct{})} }

// start says that everything runs. Only the first call counts.
func (s *state) start() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.ready {
		s.ready = true
		close(s.started)
	}
}

// end says that the process ends.
func (s *state) end() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ending = true
}

// waiting says what stands between the process and being ready.
func (s *state) waiting() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.ending:
		return []string{"the process is ending"}
	case !s.ready:
		return []string{"services are starting and joining their consumer groups"}
	}
	return nil
}

// unready says what keeps the process from its work: that it starts or ends, a
// broker or database that is away, an outbox that is not emptied, and partitions
// that cannot be read.
func (r *run) unready() []string {
	out := r.state.waiting()
	if !r.client.Reachable() {
		out = append(out, "Kafka cannot be reached at "+strings.Join(r.about.Brokers, ", "))
	}
	out = append(out, r.databaseTroubles()...)
	for _, s := range r.health.Stuck() {
		out = append(out, fmt.Sprintf("%s cannot read partition %d of %s: %v", s.Service, s.Partition.Partition, s.Partition.Topic, s.Err))
	}
	return out
}
