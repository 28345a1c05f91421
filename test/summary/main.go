// Command summary prints the last line of `make test`: what ran on a
// substitute, and what only CI runs.
package main

import (
	"fmt"
	"os"
	"strings"

	"github.com/troupedev/troupe/platform/kafka/kafkatest"
	"github.com/troupedev/troupe/platform/store/storetest"
)

func main() {
	fmt.Println(line(kafkatest.Preferred(), storetest.Chosen(), os.Getenv(kafkatest.Variable) != "", os.Getenv("TROUPE_FASTAVRO") != "", os.Getenv("TROUPE_PYTHON") != ""))
}

// line says it for a broker, which was asked for or found, for where Postgres
// is, and for whether there is a fastavro to compare with, and a Python to take part.
func line(broker kafkatest.Kind, database string, forced, fastavro, python bool) string {
	ran := "end to end on " + kafkatest.Image + " in a container"
	if broker == kafkatest.Embedded {
		why := "no Docker daemon answers"
		if forced {
			why = kafkatest.Variable + " says so"
		}
		ran = "end to end on the embedded broker in place of " + kafkatest.Image + " (" + why + ")"
	}
	stores := "stores on SQLite and on Postgres"
	if database == storetest.SQLite {
		stores = "stores on SQLite alone, not on Postgres (" + storetest.Variable + "=postgres://… names a server; Docker starts one)"
	}
	ran += "; " + stores
	left := []string{"the race detector", "make smoke (containers)", "make soak (5,000 orders under kills)"}
	if !python {
		left = append([]string{"services in Python (TROUPE_PYTHON)"}, left...)
	}
	if !fastavro {
		left = append([]string{"the comparison with Python's fastavro (TROUPE_FASTAVRO)"}, left...)
	}
	return "make test: " + ran + ". Only CI runs: " + strings.Join(left, ", ") + "."
}
