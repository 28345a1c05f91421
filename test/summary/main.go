// Command summary prints the last line of `make test`: what ran on a
// substitute, and what only CI runs.
package main

import (
	"cmp"
	"fmt"
	"os"
	"strconv"
	"strings"

	"github.com/troupedev/troupe/platform/choreotest"
	"github.com/troupedev/troupe/platform/kafka/kafkatest"
	"github.com/troupedev/troupe/platform/store/storetest"
)

func main() {
	r := ran{
		broker: kafkatest.Preferred(), forced: os.Getenv(kafkatest.Variable) != "",
		database: storetest.Chosen(), seeds: cmp.Or(os.Getenv(choreotest.SeedsVariable), strconv.Itoa(choreotest.DefaultSeeds)),
		fastavro: os.Getenv("TROUPE_FASTAVRO") != "", python: os.Getenv("TROUPE_PYTHON") != "",
	}
	fmt.Println(r.line())
}

// ran is what the tests had to run on.
type ran struct {
	broker   kafkatest.Kind
	forced   bool   // to be that one
	database string // as storetest.Chosen says it
	seeds    string // of each play, if its test does not say otherwise
	fastavro bool   // there is one to compare with
	python   bool   // there is one to take part
}

func (r ran) line() string {
	return fmt.Sprintf("make test: end to end on %s; stores on %s; services played under %s seeds, %s. Only CI runs: %s.",
		r.endToEnd(), r.stores(), r.seeds, r.plays(), strings.Join(r.left(), ", "))
}

func (r ran) endToEnd() string {
	real := kafkatest.Image + " and " + storetest.Image
	switch {
	case r.broker != kafkatest.Embedded:
		return real + " in containers"
	case r.forced:
		return "the embedded broker and SQLite in place of " + real + " (" + kafkatest.Variable + " says so)"
	}
	return "the embedded broker and SQLite in place of " + real + " (no Docker daemon answers)"
}

func (r ran) stores() string {
	switch r.database {
	case storetest.SQLite:
		return "SQLite alone, not on Postgres (" + storetest.Variable + "=postgres://… names a server; Docker starts one)"
	case storetest.Container:
		return "SQLite and on " + storetest.Image + " in a container"
	}
	return "SQLite and on the Postgres that " + storetest.Variable + " names"
}

func (r ran) plays() string {
	if r.database == storetest.SQLite {
		return "none of them on Postgres"
	}
	return fmt.Sprintf("1 in %d of them on Postgres too", choreotest.PostgresShare)
}

// left is what only CI runs.
func (r ran) left() (out []string) {
	if !r.fastavro {
		out = append(out, "the comparison with Python's fastavro (TROUPE_FASTAVRO)")
	}
	if !r.python {
		out = append(out, "services in Python (TROUPE_PYTHON)")
	}
	return append(out, "the race detector", "make smoke (containers)", "make soak (20,000 flows under faults)")
}
