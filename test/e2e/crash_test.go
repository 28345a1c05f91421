package e2e

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/troupedev/troupe/platform/failpoint"
	"github.com/troupedev/troupe/test/rig"
)

// steps are all between which a process may die; a service without tables comes
// by the last two and the first two.
func steps(service string) []string {
	all := []string{failpoint.HandlerStarts, failpoint.HandlerEnded, failpoint.OffsetCommits, failpoint.OffsetCommitted}
	if service != "shipping" {
		all = append(all, failpoint.StoreCommits, failpoint.StoreCommitted,
			failpoint.RelayPublishes, failpoint.RelayPublished, failpoint.RelayDeleted)
	}
	return all
}

// seed is where the choices of a test come from: what TROUPE_SEED says, or a new one.
func seed(t *testing.T) *rand.Rand {
	t.Helper()
	n, err := strconv.ParseUint(os.Getenv("TROUPE_SEED"), 10, 64)
	if err != nil {
		n = uint64(time.Now().UnixNano())
	}
	fmt.Printf("%s: seed %d\n", t.Name(), n)
	return rand.New(rand.NewPCG(n, n))
}

// TestServicesDieAtEveryStep has each service die by SIGKILL at each of its
// steps, one after another in an order of its own, while requests of all kinds
// come in and bookings expire.
func TestServicesDieAtEveryStep(t *testing.T) {
	s := setup{mortal: true, limit: "15s"}.newStage(t)
	ctx := within(t, 12*time.Minute)
	random := seed(t)
	var dying errgroup.Group
	var deaths deaths
	for _, name := range killable() {
		order := steps(name)
		random.Shuffle(len(order), func(i, j int) { order[i], order[j] = order[j], order[i] })
		for i := range order {
			order[i] += ":" + strconv.Itoa(1+random.IntN(3)) // at which time of reaching it
		}
		dying.Go(func() error { return s.dieAt(ctx, name, order, &deaths) })
	}
	var alive atomic.Bool
	var placing errgroup.Group
	var all []placed
	placing.Go(func() error {
		all = s.placeWhile(ctx, rig.Everything(), 12, func(int) bool { return !alive.Load() })
		return nil
	})
	err := dying.Wait()
	alive.Store(true)
	if err := placing.Wait(); err != nil {
		t.Error(err)
	}
	if err != nil {
		t.Fatalf("%v; %s", err, &deaths)
	}
	s.ended(2*time.Minute, all, false)
	s.balanced(time.Minute, deaths.of("notifications"))
	s.wellFormed()
	if n := s.log.Flows(); n != len(all) {
		t.Errorf("%d requests led to %d flows", len(all), n)
	}
	fmt.Printf("%d flows, and %s\n", len(all), &deaths)
}

// dieAt starts a service again and again, to die at each of the steps, and
// then to live.
func (s *stage) dieAt(ctx context.Context, service string, steps []string, d *deaths) error {
	p := s.processes[service]
	if err := p.Stop(); err != nil {
		return err
	}
	for _, step := range steps {
		if err := p.Launch(failpoint.Variable + "=" + step); err != nil {
			return err
		}
		select {
		case <-p.Ended():
		case <-ctx.Done():
			return fmt.Errorf("%s has not died at %s", service, step)
		}
		if !p.Killed() {
			return fmt.Errorf("%s, which was to die at %s, ended by itself", service, step)
		}
		d.add(service, step)
	}
	return p.Start(ctx)
}

// deaths are who died where.
type deaths struct {
	mu  sync.Mutex
	all []string // "service step:n"
	by  map[string]int
}

func (d *deaths) add(service, step string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.by == nil {
		d.by = map[string]int{}
	}
	d.by[service]++
	d.all = append(d.all, service+" "+step)
}

func (d *deaths) of(service string) int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.by[service]
}

func (d *deaths) String() string {
	d.mu.Lock()
	defer d.mu.Unlock()
	return fmt.Sprintf("%d deaths: %v", len(d.all), slices.Sorted(slices.Values(d.all)))
}
