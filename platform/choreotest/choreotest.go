// Package choreotest plays services' declarations without a broker: events and
// requests go in; events, rows, mails and dead letters come out; no time passes.
//
// What judges a record, runs a handler, derives ids, keeps inbox and outbox and
// serves routes is the platform's own code; what is left out is Kafka,
// concurrency and time. A play goes once through its script in calm, events being
// heard one after another in the order in which they were emitted. Then it goes
// through it once for each of many seeds, which decide what is heard next, what
// comes twice, and at which step a service fails or dies.
//
// Start with [Play]; then [Stage] for what a script can do, stage.go. The model
// of the broker is in broker.go, who does what next in play.go, and the faults in
// fault.go.
package choreotest

import (
	"cmp"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/troupedev/troupe/platform/choreo"
)

// Variables that decide how much is played.
const (
	// SeedVariable plays the run with this seed alone, and says what happened in it.
	SeedVariable = "TROUPE_SEED"
	// SeedsVariable is how many seeds are played; default [DefaultSeeds].
	SeedsVariable = "TROUPE_SEEDS"
)

// How many seeds are played, where nothing else is said.
const (
	DefaultSeeds = 1000
	ShortSeeds   = 50 // under -short
	// PostgresShare of the seeds is played once more on Postgres, where there is
	// one: 1 in 50, since a run there takes thirty times as long.
	PostgresShare = 50
)

// Setup is a play with more said than its services. The zero value says nothing more.
type Setup struct {
	// Settings of the services, by variable: "BOOKINGS_LIMIT": "1h". Default of
	// each: its own; of TROUPE_SMTP, a mail server whose mails [Stage.Mails] shows.
	Settings map[string]string
	// Seeds is how many are played where TROUPE_SEEDS does not say. Default
	// [DefaultSeeds]; [ShortSeeds] under -short, if that is less.
	Seeds int
}

// Play runs script on a stage with the given services, which must be valid each
// by itself: first in calm, then once for each seed, all alike but for their
// faults. Settings have their defaults, and Start was called once. Whatever the
// script keeps, and whatever fakes it handed to the services, has to be as new at
// its start, and tell repeated calls by their ids; the services' tables are.
//
// In calm every attempt runs its handler twice, as a redelivery would, and the
// test fails if what it emits differs: ids, times and texts have to follow from
// the event ([event.From]), not from chance or the clock. Of a service with a
// Store the first run is rolled back.
//
// With a seed, events of different keys and topics are heard in any order, those
// of one key in theirs; any may come twice; an attempt may fail, and a service
// die, at every step that package failpoint names, so that it hears again what
// it had not committed, and publishes again what it had not deleted. That is no
// attempt of a reaction, and happens to each service a few times at most.
//
// A test fails at once at the first seed that fails, and says how to play that
// one alone: TROUPE_SEED=n. It also fails if an event became a dead letter that
// the script does not ask for by [Stage.Dead], and if an event was emitted again
// with another content.
//
// Stores are SQLite in memory. Where TROUPE_TEST_DATABASE asks for Postgres, as
// package storetest has it, all is played once more on that, with 1 in [PostgresShare] of the seeds.
func Play(t testing.TB, script func(*Stage), services ...choreo.Service) {
	t.Helper()
	Setup{}.Play(t, script, services...)
}

// Play is [Play] with a setup.
func (u Setup) Play(t testing.TB, script func(*Stage), services ...choreo.Service) {
	t.Helper()
	first, last, calm, err := u.seeds()
	if err != nil {
		t.Fatal(err)
	}
	for _, server := range servers(services) {
		c := newCompany(t, u, server, services)
		if calm {
			c.perform(t, nil, script)
		}
		n := last
		if server.postgres && first != last {
			n = max(last/PostgresShare, first)
		}
		for seed := first; seed <= n && !c.failed(t); seed++ {
			c.perform(t, newDice(seed), script)
		}
		if c.failed(t) {
			return
		}
	}
}

// seeds are those to play, and whether the calm run comes before them.
func (u Setup) seeds() (first, last uint64, calm bool, err error) {
	if text := os.Getenv(SeedVariable); text != "" {
		seed, err := strconv.ParseUint(text, 10, 64)
		if err != nil {
			return 0, 0, false, fmt.Errorf("%s: %q is no seed; give a number", SeedVariable, text)
		}
		return seed, seed, false, nil
	}
	count := cmp.Or(u.Seeds, DefaultSeeds)
	if testing.Short() {
		count = min(count, ShortSeeds)
	}
	if text := os.Getenv(SeedsVariable); text != "" {
		if count, err = strconv.Atoi(text); err != nil || count < 0 {
			return 0, 0, false, fmt.Errorf("%s: %q is no count of seeds", SeedsVariable, text)
		}
	}
	return 1, uint64(count), true, nil
}

// perform plays the script once: in calm, where dice is nil.
func (c *company) perform(t testing.TB, dice *dice, script func(*Stage)) {
	t.Helper()
	s := c.newStage(t, dice)
	ended := false
	defer func() { // also where the script ends the test, or panics
		for _, p := range s.players {
			p.exit()
		}
		switch {
		case dice == nil:
		case !ended || c.failed(t):
			t.Logf("seed %d failed; play it alone by\n\t%s=%d go test -run '%s' %s\n%s",
				dice.seed, SeedVariable, dice.seed, testPattern(t.Name()), testedPackage(), s.trace)
		case os.Getenv(SeedVariable) != "":
			t.Logf("seed %d: %s", dice.seed, s.trace)
		}
	}()
	script(s)
	s.end()
	ended = true
}

// failed reports whether anything has failed since the company came together.
func (c *company) failed(t testing.TB) bool { return c.faults > 0 || t.Failed() && !c.before }

// testPattern is the test with the name, as -run takes it.
func testPattern(name string) string {
	return "^" + strings.ReplaceAll(regexp.QuoteMeta(name), "/", "$/^") + "$"
}

// testedPackage is the folder of the test that runs, as go test takes it.
func testedPackage() string {
	folder, err := os.Getwd()
	if err != nil {
		return "."
	}
	for root := folder; root != filepath.Dir(root); root = filepath.Dir(root) {
		if _, err := os.Stat(filepath.Join(root, "go.mod")); err != nil {
			continue
		}
		if path, err := filepath.Rel(root, folder); err == nil {
			return "./" + filepath.ToSlash(path)
		}
	}
	return "."
}
