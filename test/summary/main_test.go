package main

import (
	"strings"
	"testing"

	"github.com/troupedev/troupe/platform/kafka/kafkatest"
	"github.com/troupedev/troupe/platform/store/storetest"
)

func TestTheLineSaysWhatRanOnASubstitute(t *testing.T) {
	for name, c := range map[string]struct {
		ran  ran
		says []string
		not  string
	}{
		"with Docker": {ran{broker: kafkatest.Container, database: storetest.Container, seeds: "1000", fastavro: true, python: true},
			[]string{"end to end on apache/kafka", "in containers", "under 1000 seeds, 1 in 50 of them on Postgres too"}, "in place of"},
		"without": {ran{broker: kafkatest.Embedded, database: storetest.SQLite, seeds: "1000"},
			[]string{"no Docker daemon answers", "SQLite alone", "none of them on Postgres", "TROUPE_FASTAVRO", "TROUPE_PYTHON"}, "says so"},
		"the embedded broker, by choice": {ran{broker: kafkatest.Embedded, forced: true, database: "postgres://db/x", seeds: "50"},
			[]string{"TROUPE_TEST_BROKER says so", "the Postgres that TROUPE_TEST_DATABASE names", "50 seeds"}, "postgres://db"},
	} {
		t.Run(name, func(t *testing.T) {
			line := c.ran.line()
			for _, want := range c.says {
				if !strings.Contains(line, want) {
					t.Errorf("it lacks %q: %s", want, line)
				}
			}
			if strings.Contains(line, c.not) {
				t.Errorf("it has %q: %s", c.not, line)
			}
		})
	}
}
