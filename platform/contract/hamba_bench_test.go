//go:build unix

package contract_test

import (
	"runtime"
	"slices"
	"syscall"
	"testing"

	"github.com/hamba/avro/v2"

	"github.com/troupedev/troupe/platform/contract"
	"github.com/troupedev/troupe/platform/contract/internal/sample"
	"github.com/troupedev/troupe/platform/event"
)

// batch is how many calls in a row [compare] measures: so many that the garbage
// of hamba/avro is collected within its own batch, more than once.
const batch = 1 << 16

// compare measures ours and theirs, each for itself and then both in turns. The
// bars, for troupe/hamba of the turns, are 0.25 to encode and 0.6 to decode; that
// encoding allocates nothing and decoding at most twice, TestAllocations asserts.
//
// The turns count the time that the CPU spent here, with that of the collector,
// and the median of the batches: what other programs take of the machine hits
// neither. All of it is on one processor, for on more the collector takes what
// is idle. A core whose other half is busy slows ours more than theirs, since it
// waits less for memory: then the ratio to encode comes close to its bar. ns/op,
// B/op and allocs/op are there those of one call of each together.
func compare(b *testing.B, ours, theirs func()) {
	for _, c := range []struct {
		name string
		call func()
	}{{"troupe", ours}, {"hamba", theirs}} {
		b.Run(c.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				c.call()
			}
		})
	}
	b.Run("turns", func(b *testing.B) {
		defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
		var troupe, hamba []float64
		for i := 0; b.Loop(); i++ {
			if i%batch == 0 {
				troupe = append(troupe, costs(b, ours))
				hamba = append(hamba, costs(b, theirs))
			}
		}
		b.ReportMetric(median(troupe), "troupe-ns/op")
		b.ReportMetric(median(hamba), "hamba-ns/op")
		b.ReportMetric(median(troupe)/median(hamba), "troupe/hamba")
	})
}

// costs is how many nanoseconds of CPU a call takes, on average over a batch.
func costs(b *testing.B, call func()) float64 {
	runtime.GC() // what was left by the call before is not this one's
	start := cpuTime(b)
	for range batch {
		call()
	}
	return float64(cpuTime(b)-start) / batch
}

// cpuTime is how many nanoseconds of CPU this process has had.
func cpuTime(b *testing.B) int64 {
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		b.Fatal(err)
	}
	return usage.Utime.Nano() + usage.Stime.Nano()
}

func median(of []float64) float64 {
	slices.Sort(of)
	return of[len(of)/2]
}

// BenchmarkEncode compares [contract.Append] with hamba/avro's Marshal.
func BenchmarkEncode(b *testing.B) {
	var e event.Event = measured()
	var buf []byte
	schema := parsed(b, e.EventType().Schema)
	compare(b,
		func() { buf, _ = contract.Append(buf[:0], e) },
		func() { _, _ = avro.Marshal(schema, e) })
}

// BenchmarkDecode compares [contract.Decode] with hamba/avro's Unmarshal. Both
// fill an empty event, as hamba/avro's documents show it, in a variable that
// stands already, since its allocation is the caller's.
func BenchmarkDecode(b *testing.B) {
	e := measured()
	value := encode(b, e)
	schema := parsed(b, e.EventType().Schema)
	var ours, theirs sample.Measured
	compare(b,
		func() {
			ours = sample.Measured{}
			if err := contract.Decode(value, e.EventType(), &ours); err != nil {
				b.Fatal(err)
			}
		},
		func() {
			theirs = sample.Measured{}
			if err := avro.Unmarshal(schema, value[5:], &theirs); err != nil {
				b.Fatal(err)
			}
		})
}
