package contract

import (
	"encoding/binary"
	"fmt"
	"maps"
	"math"
	"math/big"
	"slices"
	"sync"
	"time"
	"unicode/utf8"
)

// Writer writes Avro binary, one value after the other in the order of the
// schema. Generated code alone calls it.
//
// A value that its type cannot hold is remembered, and nothing fails until
// the event is whole: [Append] returns the first such error. Where a method
// takes a field, it is the field's name, for that error.
type Writer struct {
	out []byte
	err error
}

// keep is the most bytes that a pooled buffer may hold on to.
const keep = 64 << 10

var writers = sync.Pool{New: func() any { return new(Writer) }}

// newWriter is a Writer with a buffer of its own, to be released.
func newWriter() *Writer {
	w := writers.Get().(*Writer)
	w.out, w.err = w.out[:0], nil
	return w
}

func (w *Writer) release() {
	if cap(w.out) > keep {
		w.out = nil
	}
	writers.Put(w)
}

func (w *Writer) fail(field, format string, args ...any) {
	if w.err == nil {
		w.err = &FieldError{field, fmt.Sprintf(format, args...)}
	}
}

// raw writes bytes that are Avro already.
func (w *Writer) raw(b []byte) { w.out = append(w.out, b...) }

// Bool writes a boolean.
func (w *Writer) Bool(v bool) {
	b := byte(0)
	if v {
		b = 1
	}
	w.out = append(w.out, b)
}

// Int writes an int.
func (w *Writer) Int(v int32) { w.Long(int64(v)) }

// Long writes a long.
func (w *Writer) Long(v int64) { w.out = binary.AppendVarint(w.out, v) }

// Float writes a float.
func (w *Writer) Float(v float32) {
	w.out = binary.LittleEndian.AppendUint32(w.out, math.Float32bits(v))
}

// Double writes a double.
func (w *Writer) Double(v float64) {
	w.out = binary.LittleEndian.AppendUint64(w.out, math.Float64bits(v))
}

// Bytes writes bytes; nil is written as none.
func (w *Writer) Bytes(v []byte) {
	w.Long(int64(len(v)))
	w.raw(v)
}

// Fixed writes the bytes of a fixed, whose number the schema tells.
func (w *Writer) Fixed(v []byte) { w.raw(v) }

// String writes a string, which must be UTF-8: other readers refuse anything else.
func (w *Writer) String(field, v string) {
	if len(v) >= shortest && len(v) < longest && len(v) < cap(w.out)-len(w.out) {
		at := len(w.out)
		w.out = w.out[:at+1+len(v)]
		w.out[at] = byte(len(v) << 1)
		if copyASCII(w.out[at+1:], v) || utf8.ValidString(v) {
			return
		}
	} else if validUTF8(v) {
		w.text(v)
		return
	}
	w.fail(field, "%q is not UTF-8", v)
}

// text writes a string that was judged.
func (w *Writer) text(v string) {
	w.Long(int64(len(v)))
	w.out = append(w.out, v...)
}

// UUID writes a uuid, in the form 6ba7b810-9dad-11d1-80b4-00c04fd430c8.
func (w *Writer) UUID(field, v string) {
	if !isUUID(v) {
		w.fail(field, "%q is not a UUID", v)
	}
	w.text(v)
}

// Enum writes a symbol of an enum.
func (w *Writer) Enum(field string, e *Enum, symbol string) {
	for i, s := range e.Symbols {
		if s == symbol {
			w.Long(int64(i))
			return
		}
	}
	w.fail(field, "%q is not a symbol of %s, which has %q", symbol, e.Name, e.Symbols)
}

// Date writes the day that t shows in UTC.
func (w *Writer) Date(field string, t time.Time) {
	days, ok := daysOf(t)
	if !ok {
		w.fail(field, "%s is out of a date's range", t)
	}
	w.Int(days)
}

// TimeMillis writes a time of day, cut to milliseconds.
func (w *Writer) TimeMillis(field string, v time.Duration) {
	w.Int(int32(w.timeOfDay(field, v) / time.Millisecond))
}

// TimeMicros writes a time of day, cut to microseconds.
func (w *Writer) TimeMicros(field string, v time.Duration) {
	w.Long(int64(w.timeOfDay(field, v) / time.Microsecond))
}

func (w *Writer) timeOfDay(field string, v time.Duration) time.Duration {
	if v < 0 || v >= day {
		w.fail(field, "%s is not a time of day", v)
		return 0
	}
	return v
}

// Timestamp writes a moment, cut down to the unit: a millisecond, microsecond
// or nanosecond.
func (w *Writer) Timestamp(field string, unit time.Duration, t time.Time) {
	v, ok := ticks(t, unit)
	if !ok {
		w.fail(field, "%s is out of a timestamp's range", t)
	}
	w.Long(v)
}

// LocalTimestamp writes what the clock shows at t in t's own location, cut
// down to the unit.
func (w *Writer) LocalTimestamp(field string, unit time.Duration, t time.Time) {
	w.Timestamp(field, unit, wallClock(t))
}

// Decimal writes v exactly; nil is 0.
func (w *Writer) Decimal(field string, precision, scale int, v *big.Rat) {
	b, err := unscaled(v, precision, scale)
	if err != nil {
		w.fail(field, "%s", err)
	}
	w.Bytes(b)
}

// FixedDecimal writes v exactly into size bytes; nil is 0.
func (w *Writer) FixedDecimal(field string, size, precision, scale int, v *big.Rat) {
	b, err := unscaled(v, precision, scale)
	if err != nil {
		w.fail(field, "%s", err)
		return
	}
	w.raw(signExtend(b, size))
}

// Optional begins a union of null and a type, in this order. The value follows
// if it is present.
func (w *Writer) Optional(present bool) bool {
	w.branch(present)
	return present
}

// OptionalLast is as [Writer.Optional], for a union that names null last.
func (w *Writer) OptionalLast(present bool) bool {
	w.branch(!present)
	return present
}

func (w *Writer) branch(second bool) {
	if second {
		w.out = append(w.out, 1<<1)
	} else {
		w.out = append(w.out, 0)
	}
}

// WriteSlice writes an array; nil is empty.
func WriteSlice[T any](w *Writer, items []T, write func(*Writer, T)) {
	if len(items) > 0 {
		w.Long(int64(len(items)))
		for _, item := range items {
			write(w, item)
		}
	}
	w.Long(0)
}

// WriteMap writes a map in the order of its keys, so that the same map is the
// same bytes; nil is empty.
func WriteMap[T any](w *Writer, field string, items map[string]T, write func(*Writer, T)) {
	if len(items) > 0 {
		w.Long(int64(len(items)))
		for _, key := range slices.Sorted(maps.Keys(items)) {
			w.String(field, key)
			write(w, items[key])
		}
	}
	w.Long(0)
}
