package runtime

import "time"

// slab holds values that are named by their index, and uses the room of
// removed ones again. A pointer from at is valid until the next add.
type slab[T any] struct {
	values []T
	free   []int32
}

func (s *slab[T]) at(i int32) *T { return &s.values[i] }

func (s *slab[T]) add(v T) int32 {
	if n := len(s.free); n > 0 {
		i := s.free[n-1]
		s.free = s.free[:n-1]
		s.values[i] = v
		return i
	}
	s.values = append(s.values, v)
	return int32(len(s.values) - 1)
}

func (s *slab[T]) remove(i int32) {
	var zero T
	s.values[i] = zero // lets go of what it points to
	s.free = append(s.free, i)
}

// timer is a time at which a work goes on.
type timer struct {
	at   time.Time
	work int32
}

// timers is a heap, the earliest first. (container/heap would allocate for
// each push.)
type timers []timer

func (h timers) due(now time.Time) bool { return len(h) > 0 && !h[0].at.After(now) }

func (h *timers) push(t timer) {
	*h = append(*h, t)
	s := *h
	for i := len(s) - 1; i > 0; {
		parent := (i - 1) / 2
		if !s[i].at.Before(s[parent].at) {
			return
		}
		s[i], s[parent] = s[parent], s[i]
		i = parent
	}
}

// pop removes the earliest timer and returns its work.
func (h *timers) pop() int32 {
	s := *h
	top, last := s[0], len(s)-1
	s[0] = s[last]
	s = s[:last]
	*h = s
	for i := 0; ; {
		least := i
		for child := 2*i + 1; child <= 2*i+2 && child < last; child++ {
			if s[child].at.Before(s[least].at) {
				least = child
			}
		}
		if least == i {
			return top.work
		}
		s[i], s[least] = s[least], s[i]
		i = least
	}
}
