package kafka

import (
	"fmt"
	"slices"
	"testing"
)

// The vectors of org.apache.kafka.common.utils.UtilsTest.
func TestMurmur2AsInJava(t *testing.T) {
	for key, want := range map[string]int32{
		"21":                         -973932308,
		"foobar":                     -790332482,
		"a-little-bit-long-string":   -985981536,
		"a-little-bit-longer-string": -1486304829,
		"lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8": -58897971,
		"abc": 479470107,
	} {
		if got := int32(murmur2([]byte(key))); got != want {
			t.Errorf("%s: %d, want %d", key, got, want)
		}
	}
}

func TestPartitionIsNeverNegative(t *testing.T) {
	for i := range 1000 {
		if p := partitionOf(fmt.Append(nil, i), 7); p < 0 || p >= 7 {
			t.Fatalf("key %d: partition %d of 7", i, p)
		}
	}
}

func TestRoundRobinDealsEvenly(t *testing.T) {
	tests := map[string]struct {
		members    map[string][]string
		partitions map[string]int32
		want       map[string]int // how many each gets
	}{
		"one member":                  {map[string][]string{"a": {"x", "y"}}, map[string]int32{"x": 2, "y": 3}, map[string]int{"a": 5}},
		"many topics of one":          {map[string][]string{"a": {"x", "y"}, "b": {"x", "y"}}, map[string]int32{"x": 1, "y": 1}, map[string]int{"a": 1, "b": 1}},
		"more members than there are": {map[string][]string{"a": {"x"}, "b": {"x"}}, map[string]int32{"x": 1}, map[string]int{"a": 1, "b": 0}},
		"different subscriptions":     {map[string][]string{"a": {"x"}, "b": {"y"}}, map[string]int32{"x": 2, "y": 3}, map[string]int{"a": 2, "b": 3}},
		"nothing there":               {map[string][]string{"a": {"x"}}, nil, map[string]int{"a": 0}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			dealt := roundRobin(test.members, test.partitions)
			seen := make(map[TopicPartition]bool)
			for id, want := range test.want {
				got, ok := dealt[id]
				if !ok || len(got) != want {
					t.Errorf("%s has %v, want %d", id, got, want)
				}
				for _, tp := range got {
					if seen[tp] || !slices.Contains(test.members[id], tp.Topic) {
						t.Errorf("%s has %v", id, tp)
					}
					seen[tp] = true
				}
				back, err := readAssignment(writeAssignment(got))
				if err != nil || len(back) != len(got) {
					t.Errorf("%v reads back as %v, %v", got, back, err)
				}
			}
		})
	}
}
