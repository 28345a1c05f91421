package cli

import "sync"

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
