package choreotest_test

import (
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/troupedev/troupe/platform/choreotest"
	"github.com/troupedev/troupe/platform/failpoint"
	"github.com/troupedev/troupe/platform/store/storetest"
	"github.com/troupedev/troupe/platform/testmain"
)

func TestMain(m *testing.M) { testmain.Run(m) }

// replay plays one seed of an order in the shop, and returns what happened.
func replay(t *testing.T, seed int) string {
	t.Helper()
	t.Setenv(choreotest.SeedVariable, strconv.Itoa(seed))
	t.Setenv(storetest.Variable, storetest.SQLite)
	b, r := newBank(), &record{TB: t}
	r.play(func(s *choreotest.Stage) {
		s.Together(func() {
			order(t, s, 2)
			order(t, s, 2)
			s.Advance(25 * time.Hour)
		})
	}, shop(), b.service(), warehouse())
	if r.failed || len(r.said) != 1 {
		t.Fatalf("seed %d said %q", seed, r.said)
	}
	return r.said[0]
}

func TestASeedPlaysTheSameAgain(t *testing.T) {
	for seed := range 20 {
		if first, again := replay(t, seed), replay(t, seed); first != again {
			t.Fatalf("seed %d: first\n%s\nand then\n%s", seed, first, again)
		}
	}
}

func TestSeedsStrikeEveryStep(t *testing.T) {
	var all strings.Builder
	for seed := range 150 {
		all.WriteString(replay(t, seed))
	}
	for _, step := range []string{
		failpoint.HandlerStarts, failpoint.HandlerEnded, failpoint.StoreCommits, failpoint.StoreCommitted,
		failpoint.RelayPublishes, failpoint.RelayPublished, failpoint.RelayDeleted, failpoint.OffsetCommits, failpoint.OffsetCommitted,
	} {
		for _, what := range []string{"fault", "crash"} {
			if want := fmt.Sprintf("%s bank: %s\n", what, step); !strings.Contains(all.String(), want) {
				t.Errorf("no seed has %q", want)
			}
		}
	}
	for _, want := range []string{"crash shop: producing", "fault shop: producing", "again: the producer repeats", "time: 2026-01-02", "crash shop: when all was done", "POST /orders: 500"} {
		if !strings.Contains(all.String(), want) {
			t.Errorf("no seed has %q", want)
		}
	}
}

// allSeeds plays as many seeds as usual, whatever the test run says.
func allSeeds(t *testing.T) {
	t.Setenv(choreotest.SeedVariable, "")
	t.Setenv(choreotest.SeedsVariable, "")
}

func TestAFailingSeedIsPrintedWithItsCommand(t *testing.T) {
	allSeeds(t)
	r := &record{TB: t}
	runs := 0
	r.play(func(s *choreotest.Stage) {
		if runs++; runs == 8 { // the calm run, and seven seeds
			r.Errorf("wrong")
		}
	}, counter(countdown))
	all := strings.Join(r.said, "\n")
	want := "TROUPE_SEED=7 go test -run '^TestAFailingSeedIsPrintedWithItsCommand$' ./platform/choreotest\n"
	if !strings.Contains(all, "seed 7 failed") || !strings.Contains(all, want) || runs != 8 {
		t.Errorf("after %d runs it said %q, want %s", runs, all, want)
	}
}

func TestHowMuchIsPlayed(t *testing.T) {
	for _, c := range []struct {
		name, seed, seeds string
		setup             choreotest.Setup
		runs              int
		says              string
	}{
		{name: "as many as the setup says", setup: choreotest.Setup{Seeds: 4}, runs: 5},
		{name: "as many as the variable says", seeds: "7", setup: choreotest.Setup{Seeds: 4}, runs: 8},
		{name: "none but in calm", seeds: "0", runs: 1},
		{name: "one seed alone", seed: "12", seeds: "7", runs: 1},
		{name: "no seed", seed: "first", says: `TROUPE_SEED: "first" is no seed`},
		{name: "no count", seeds: "-1", says: `TROUPE_SEEDS: "-1" is no count`},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Setenv(choreotest.SeedVariable, c.seed)
			t.Setenv(choreotest.SeedsVariable, c.seeds)
			r, runs := &record{TB: t}, 0
			func() {
				defer func() { _ = recover() }() // of Fatal
				c.setup.Play(r, func(*choreotest.Stage) { runs++ }, counter(countdown))
			}()
			if all := strings.Join(r.said, "\n"); runs != c.runs || !strings.Contains(all, c.says) || (c.says == "") == r.failed {
				t.Errorf("%d runs, said %q; want %d, %q", runs, all, c.runs, c.says)
			}
		})
	}
}
