package contract_test

import (
	"testing"
	"time"

	"github.com/hamba/avro/v2"

	"github.com/troupedev/troupe/platform/contract"
	"github.com/troupedev/troupe/platform/contract/internal/sample"
	"github.com/troupedev/troupe/platform/event"
)

// measured is the event of the benchmarks: ten fields in about 100 bytes.
func measured() sample.Measured {
	return sample.Measured{
		OrderID: "0190c2a4-7d5e-7c3b-9a61-1f0f6a1f2b3c", Customer: "Ada Lovelace", Email: "ada@example.com",
		Purpose: sample.Wholesale, Amount: 129_900, Quantity: 12, Express: true, Weight: 3.25,
		PlacedAt: time.UnixMilli(1_795_000_000_123).UTC(), Coupon: new("WELCOME-10"),
	}
}

// parsed is a schema for hamba/avro, in a cache of its own.
func parsed(t testing.TB, text string) avro.Schema {
	t.Helper()
	schema, err := avro.ParseWithCache(text, "", &avro.SchemaCache{})
	if err != nil {
		t.Fatal(err)
	}
	return schema
}

// BenchmarkResolve reads version 1 as version 2, its fields in another order.
func BenchmarkResolve(b *testing.B) {
	old := evolvedV1()
	value := encode(b, old)
	b.ReportAllocs()
	for b.Loop() {
		var into sample.Evolved
		if err := contract.Decode(value, into.EventType(), &into); err != nil {
			b.Fatal(err)
		}
	}
}

// TestAllocations holds the codec to what a hot path may allocate.
func TestAllocations(t *testing.T) {
	full, bare := measured(), measured()
	bare.Coupon = nil
	for _, c := range []struct {
		name           string
		e              sample.Measured
		encode, decode float64
	}{
		{"all strings of a message share one allocation", bare, 0, 1},
		{"a value that may be null is one more", full, 0, 2},
	} {
		t.Run(c.name, func(t *testing.T) {
			var e event.Event = c.e
			buf := encode(t, e)
			if n := testing.AllocsPerRun(100, func() { buf, _ = contract.Append(buf[:0], e) }); n > c.encode {
				t.Errorf("Append: %v allocations, want at most %v", n, c.encode)
			}
			var into sample.Measured
			if n := testing.AllocsPerRun(100, func() { _ = contract.Decode(buf, e.EventType(), &into) }); n > c.decode {
				t.Errorf("Decode: %v allocations, want at most %v", n, c.decode)
			}
		})
	}
}

func encode(t testing.TB, e event.Event) []byte {
	t.Helper()
	value, err := contract.Append(nil, e)
	if err != nil {
		t.Fatal(err)
	}
	return value
}

func evolvedV1() sample.EvolvedV1 {
	return sample.EvolvedV1{
		ID: "e-1", Note: "gone in version 2", State: sample.StateV1Closed,
		Lines: []sample.LineV1{{SKU: "mug", Count: 2}, {SKU: "lamp", Count: 1}}, Limit: new(int64(9)),
	}
}
