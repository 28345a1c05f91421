package runtime

import (
	"log/slog"
	"sync"
	"time"
)

// pool runs the handlers of one service, as many at a time as its limit says.
// Each partition has a queue in it; a worker that is free takes from the
// queues in turn, so that a partition with much to do does not starve another.
// Workers are goroutines that live while there is something to run.
type pool struct {
	mu      sync.Mutex
	limit   int
	workers int
	ready   []*queue // those with tasks, the next to be served first
	running sync.WaitGroup
}

// task is one attempt to be made.
type task struct {
	owner    *owner
	work     int32
	attempt  int
	delivery *delivery
	index    int // which of the delivery's works
}

// queue is one partition's share of a pool.
type queue struct {
	pool  *pool
	tasks []task
	head  int // of tasks; those before have been taken
	ready bool
}

// add queues tasks and starts workers for them.
func (q *queue) add(tasks []task) {
	if len(tasks) == 0 {
		return
	}
	p := q.pool
	p.mu.Lock()
	defer p.mu.Unlock()
	if q.head == len(q.tasks) {
		q.tasks, q.head = q.tasks[:0], 0
	}
	q.tasks = append(q.tasks, tasks...)
	if !q.ready {
		q.ready = true
		p.ready = append(p.ready, q)
	}
	for range min(len(tasks), p.limit-p.workers) {
		p.workers++
		p.running.Go(p.work)
	}
}

// withdraw takes the tasks back that no worker has taken, appending their work
// to dst.
func (q *queue) withdraw(dst []int32) []int32 {
	q.pool.mu.Lock()
	defer q.pool.mu.Unlock()
	for _, t := range q.tasks[q.head:] {
		dst = append(dst, t.work)
	}
	clear(q.tasks)
	q.tasks, q.head = q.tasks[:0], 0
	return dst
}

func (p *pool) work() {
	for {
		t, ok := p.take()
		if !ok {
			return
		}
		t.owner.attempt(t)
	}
}

// take takes the next task, or gives the worker's place up where there is none.
func (p *pool) take() (task, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for len(p.ready) > 0 {
		q := p.ready[0]
		p.ready = p.ready[:copy(p.ready, p.ready[1:])]
		if q.head == len(q.tasks) { // withdrawn
			q.ready = false
			continue
		}
		t := q.tasks[q.head]
		q.tasks[q.head] = task{}
		q.head++
		if q.ready = q.head < len(q.tasks); q.ready {
			p.ready = append(p.ready, q)
		}
		return t, true
	}
	p.workers--
	return task{}, false
}

// stuckAfter is how long a pool waits for handlers that were cancelled.
const stuckAfter = time.Second

// wait waits for the workers. A handler that ignores that it was cancelled
// is left behind, and said so: it must not keep the process alive.
func (p *pool) wait(log *slog.Logger) {
	done := make(chan struct{})
	go func() {
		p.running.Wait()
		close(done)
	}()
	patience := time.NewTimer(stuckAfter)
	defer patience.Stop()
	select {
	case <-done:
	case <-patience.C:
		log.Error("handlers ignore that they were cancelled and are left behind")
	}
}
