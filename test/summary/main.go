// Command summary prints the last line of `make test`: what ran on a
// substitute, and what only CI runs.
package main

import (
	"fmt"
	"os"
	"strings"

	"github.com/troupedev/troupe/platform/kafka/kafkatest"
)

func main() {
	fmt.Println(line(kafkatest.Preferred(), os.Getenv(kafkatest.Variable) != "", os.Getenv("TROUPE_FASTAVRO") != "", os.Getenv("TROUPE_PYTHON") != ""))
}

// line says it for a broker, which was asked for or found, and for whether
// there is a fastavro to compare with, and a Python to take part.
func line(broker kafkatest.Kind, forced, fastavro, python bool) string {
	ran := "end to end on " + kafkatest.Image + " in a container; nothing ran on a substitute"
	if broker == kafkatest.Embedded {
		why := "no Docker daemon answers"
		if forced {
			why = kafkatest.Variable + " says so"
		}
		ran = "end to end on the embedded broker in place of " + kafkatest.Image + " (" + why + ")"
	}
	left := []string{"the race detector", "make smoke (containers)", "make soak (5,000 orders under kills)"}
	if !python {
		left = append([]string{"services in Python (TROUPE_PYTHON)"}, left...)
	}
	if !fastavro {
		left = append([]string{"the comparison with Python's fastavro (TROUPE_FASTAVRO)"}, left...)
	}
	return "make test: " + ran + ". Only CI runs: " + strings.Join(left, ", ") + "."
}
