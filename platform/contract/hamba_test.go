package contract_test

import (
	"errors"
	"math"
	"strings"
	"sync"
	"testing"

	"github.com/hamba/avro/v2"

	"github.com/troupedev/troupe/platform/contract"
	"github.com/troupedev/troupe/platform/contract/internal/sample"
)

// The tests of this file hold package contract to what is known to be wrong in
// hamba/avro: each shows, where it can be shown, what the library does, and
// that it does not get past this package.

func TestHambaTruncatedAndTrailing(t *testing.T) {
	e := measured()
	v := encode(t, e)
	schema := parsed(t, e.EventType().Schema)
	var theirs sample.Measured
	if err := avro.Unmarshal(schema, v[5:len(v)-1], &theirs); err != nil {
		t.Logf("hamba/avro has learnt to refuse a truncated message: %v", err)
	}
	if err := avro.Unmarshal(schema, append(v[5:len(v):len(v)], 1, 2, 3), &theirs); err != nil {
		t.Logf("hamba/avro has learnt to refuse trailing bytes: %v", err)
	}
	var ours sample.Measured
	if err := contract.Decode(v[:len(v)-1], e.EventType(), &ours); !errors.Is(err, contract.ErrTruncated) {
		t.Errorf("truncated: %v", err)
	}
	if err := contract.Decode(append(v, 1, 2, 3), e.EventType(), &ours); !errors.Is(err, contract.ErrTrailing) {
		t.Errorf("trailing: %v", err)
	}
}

// Two schemas that differ in defaults alone have one fingerprint in hamba/avro,
// whose checker then answers for the one with what it found for the other.
func TestHambaCompatibilityKnowsDefaults(t *testing.T) {
	writer := record(`{"name":"a","type":"int","doc":"."}`)
	without := record(`{"name":"a","type":"int","doc":"."},{"name":"b","type":"int","doc":"."}`)
	with := record(`{"name":"a","type":"int","doc":"."},{"name":"b","type":"int","doc":".","default":1}`)
	var wait sync.WaitGroup
	for range 8 { // and asked by several at once
		wait.Go(func() {
			if v := reads(t, with, writer); len(v) != 0 {
				t.Errorf("with a default: %v", v)
			}
			if v := reads(t, without, writer); len(v) != 1 || v[0].Rule != contract.RuleMissingDefault || v[0].Field != "b" {
				t.Errorf("without a default: %v", v)
			}
		})
	}
	wait.Wait()
}

// Nine bytes that announce 2^62 items keep hamba/avro busy for years.
func TestHambaHugeCountOfSkippedField(t *testing.T) {
	old := sample.Evolved{}.EventType().Family()[1] // version 2, whose tags version 1 skips
	body := []byte{
		1,      // urgent
		0,      // limit: null
		2, 'x', // id
		0,                                              // lines
		0,                                              // state
		254, 255, 255, 255, 255, 255, 255, 255, 127, 0, // tags: 2^62 of them
	}
	var into sample.EvolvedV1
	if err := contract.Decode(value(old.ID, body...), into.EventType(), &into); !errors.Is(err, contract.ErrHostile) {
		t.Errorf("error %v, want %v", err, contract.ErrHostile)
	}
}

// Six bytes that announce 10.7 GB make hamba/avro reserve them.
func TestHambaHostileLengthReservesNothing(t *testing.T) {
	measuredType := sample.Measured{}.EventType()
	v := value(measuredType.ID, 0xfe, 0xff, 0xff, 0xff, 0x4f, 'x')
	bytes := testing.Benchmark(func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			var into sample.Measured
			if err := contract.Decode(v, measuredType, &into); !errors.Is(err, contract.ErrHostile) {
				b.Fatal(err)
			}
		}
	}).AllocedBytesPerOp()
	if bytes > 4096 {
		t.Errorf("%d bytes were reserved for 6", bytes)
	}
}

// Blocks that announce more items than there are bytes, nested so that each
// announcement alone would pass, must not be believed together.
func TestHostileCountsInNestedBlocks(t *testing.T) {
	every := sample.Everything{}.EventType()
	whole := encode(t, everything()["least"])
	at := strings.LastIndex(string(whole), string(whole[len(whole)-24:])) // the blocks and unions, all empty or null
	v := append([]byte{}, whole[:at]...)
	for range 200 {
		v = append(v, 100) // 50 points, 50 names, 50 moods
	}
	var into sample.Everything
	if err := contract.Decode(v, every, &into); err == nil {
		t.Error("no error")
	}
}

func TestHambaRecursionIsRefused(t *testing.T) {
	for name, schema := range map[string]string{
		"a record in itself": record(`{"name":"self","type":["null","d.E"],"doc":"."}`),
		"by its short name":  record(`{"name":"self","type":{"type":"array","items":"E"},"doc":"."}`),
		"through another": record(`{"name":"a","doc":".","type":{"type":"record","name":"A","doc":".","fields":[
			{"name":"b","doc":".","type":{"type":"map","values":"A"}}]}}`),
		"by defining it again": record(`{"name":"self","doc":".","type":{"type":"record","name":"E","doc":".","fields":[]}}`),
		"with a default":       record(`{"name":"self","type":"E","doc":".","default":{}}`),
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := contract.Parse([]byte(schema)); err == nil || !strings.Contains(err.Error(), "recursive") {
				t.Errorf("error %v", err)
			}
		})
	}
}

// hamba/avro keeps all names that it ever parsed in one place, so that one
// version of a record is taken for another.
func TestHambaVersionsDoNotMix(t *testing.T) {
	first := record(`{"name":"l","doc":".","type":{"type":"record","name":"L","doc":".","fields":[{"name":"a","type":"int","doc":"."}]}}`)
	second := record(`{"name":"l","doc":".","type":{"type":"record","name":"L","doc":".","fields":[{"name":"b","type":"string","doc":"."}]}}`)
	for range 2 {
		for text, want := range map[string]string{first: "a", second: "b"} {
			if got := parse(t, text).Fields[0].Type.Fields[0].Name; got != want {
				t.Errorf("field %s, want %s", got, want)
			}
		}
	}
	if _, err := contract.Parse([]byte(record(`{"name":"l","type":"L","doc":"."}`))); err == nil {
		t.Error("a name of another schema was found")
	}
}

func TestHambaIntThatDoesNotFit(t *testing.T) {
	counted := sample.Counted{}.EventType()
	for _, n := range []int64{math.MaxInt32 + 1, math.MinInt32 - 1, math.MaxInt64} {
		v := value(counted.ID, appendLong(nil, n)...)
		var into sample.Counted
		if err := contract.Decode(v, counted, &into); !errors.Is(err, contract.ErrMalformed) {
			t.Errorf("%d: error %v, and it is read as %d", n, err, into.Number)
		}
	}
}

func TestHambaUnionsOfSeveralTypes(t *testing.T) {
	errs := faults(t, map[string]string{
		"d/domain.yaml": domainYAML,
		"d/E/v1.avsc":   record(keyField + `,{"name":"u","type":["null","string","int"],"doc":"."}`),
	})
	if !strings.Contains(errs, "field u") || !strings.Contains(errs, "union") {
		t.Errorf("faults: %s", errs)
	}
}

// What hamba/avro's own generator makes of local timestamps does not compile;
// ours is compiled in package sample.
func TestHambaLocalTimestamps(t *testing.T) {
	e := everything()["high"]
	var into sample.Everything
	if err := contract.Decode(encode(t, e), e.EventType(), &into); err != nil || into.LocalMicros != e.LocalMicros {
		t.Errorf("%s, %v, want %s", into.LocalMicros, err, e.LocalMicros)
	}
}

// What this package writes, hamba/avro reads as it is meant, and the other way
// round.
func TestHambaAgrees(t *testing.T) {
	e := measured()
	v := encode(t, e)
	schema := parsed(t, e.EventType().Schema)
	var theirs sample.Measured
	if err := avro.Unmarshal(schema, v[5:], &theirs); err != nil {
		t.Fatal(err)
	}
	if diff := differ(theirs, e); diff != "" {
		t.Error("what hamba/avro read " + diff)
	}
	body, err := avro.Marshal(schema, e)
	if err != nil {
		t.Fatal(err)
	}
	var ours sample.Measured
	if err := contract.Decode(value(e.EventType().ID, body...), e.EventType(), &ours); err != nil {
		t.Fatal(err)
	}
	if diff := differ(ours, e); diff != "" {
		t.Error("what hamba/avro wrote " + diff)
	}
}
