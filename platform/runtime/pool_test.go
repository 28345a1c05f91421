package runtime

import (
	"context"
	"log/slog"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/troupedev/troupe/platform/choreo"
)

// poolOf is a pool with owners that do nothing but attempt, in a bubble.
func poolOf(limit, owners int, handler func(context.Context, sold) (choreo.Events, error)) (*pool, []*owner) {
	p := &pool{limit: limit}
	s := &shared{service: serviceOf(ServiceOptions{}, handler), pool: p, log: slog.New(slog.DiscardHandler)}
	all := make([]*owner, owners)
	for i := range all {
		all[i] = &owner{shared: s, log: s.log, queue: &queue{pool: p}, mail: newMailbox(), work: context.Background()}
	}
	return p, all
}

func (o *owner) tasksOf(t *testing.T, keys ...string) []task {
	var tasks []task
	for i, key := range keys {
		r := record(t, sold{key, ""})
		tasks = append(tasks, task{o, int32(i), 1, &delivery{r, o.service.Judge(&r)}, 0})
	}
	return tasks
}

func TestPoolRunsAsManyAsItsLimit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var now, most atomic.Int64
		p, owners := poolOf(3, 2, func(context.Context, sold) (choreo.Events, error) {
			n := now.Add(1)
			for m := most.Load(); n > m && !most.CompareAndSwap(m, n); m = most.Load() {
			}
			<-time.After(time.Second)
			now.Add(-1)
			return nil, nil
		})
		began := time.Now()
		for _, o := range owners {
			o.queue.add(o.tasksOf(t, "a", "b", "c", "d", "e", "f"))
		}
		p.running.Wait()
		if d := time.Since(began); d != 4*time.Second || most.Load() != 3 {
			t.Errorf("12 tasks of a second took %v, at most %d at a time", d, most.Load())
		}
	})
}

func TestPoolServesPartitionsInTurn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var ran calls
		p, owners := poolOf(1, 2, func(_ context.Context, e sold) (choreo.Events, error) {
			<-time.After(time.Second)
			ran.add("%s", e.ID)
			return nil, nil
		})
		owners[0].queue.add(owners[0].tasksOf(t, "a1", "a2", "a3", "a4"))
		owners[1].queue.add(owners[1].tasksOf(t, "b1", "b2"))
		p.running.Wait()
		if got := ran.String(); got != "a1 a2 b1 a3 b2 a4" && got != "a1 b1 a2 b2 a3 a4" {
			t.Errorf("ran %s", got)
		}
	})
}

func TestPoolRunsNothingThatWasWithdrawn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var ran calls
		p, owners := poolOf(1, 2, func(_ context.Context, e sold) (choreo.Events, error) {
			<-time.After(time.Second)
			ran.add("%s", e.ID)
			return nil, nil
		})
		owners[0].queue.add(owners[0].tasksOf(t, "a1", "a2", "a3"))
		owners[1].queue.add(owners[1].tasksOf(t, "b1"))
		synctest.Wait()
		if got := owners[0].queue.withdraw(nil); !slices.Equal(got, []int32{1, 2}) {
			t.Errorf("withdrew %v", got)
		}
		p.running.Wait()
		owners[0].queue.add(owners[0].tasksOf(t, "a4"))
		p.running.Wait()
		if got := ran.String(); got != "a1 b1 a4" {
			t.Errorf("ran %s", got)
		}
	})
}

func TestPoolLeavesBehindWhoDoesNotEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		gate := make(chan struct{})
		p, owners := poolOf(1, 1, func(context.Context, sold) (choreo.Events, error) { <-gate; return nil, nil })
		owners[0].queue.add(owners[0].tasksOf(t, "a"))
		var out lockedBuffer
		p.wait(slog.New(slog.NewTextHandler(&out, nil)))
		if !strings.Contains(out.String(), "left behind") {
			t.Errorf("log: %s", &out)
		}
		close(gate)
	})
}

// BenchmarkPool is one task's way through the pool, with a handler that does nothing.
func BenchmarkPool(b *testing.B) {
	p, owners := poolOf(8, 1, func(context.Context, sold) (choreo.Events, error) { return nil, nil })
	o := owners[0]
	r := record(b, sold{"a", ""})
	d := &delivery{r, o.service.Judge(&r)}
	tasks := make([]task, 100)
	for i := range tasks {
		tasks[i] = task{o, int32(i), 1, d, 0}
	}
	b.ReportAllocs()
	var spare news
	for n := 0; b.Loop(); n++ {
		if n%len(tasks) == 0 {
			o.queue.add(tasks)
			p.running.Wait()
			spare = o.mail.take(spare)
		}
	}
	p.running.Wait()
}
