package contract

import (
	"encoding/binary"
	"fmt"
	"math"
	"math/big"
	"slices"
	"time"
)

// MaxSize is the most bytes that a record value may have: 16 MiB. No length or
// count above it is believed.
const MaxSize = 16 << 20

// Reader reads Avro binary, one value after the other in the order of the
// schema. Generated code alone calls it.
//
// A fault is remembered, and whatever is read after it is zero; [Reader.Err]
// is the first. Memory is never reserved for more than the message can hold:
// lengths are compared with what is left of it, and the counts of all blocks
// together may not exceed its bytes, since no item of a schema that was
// checked takes none. The strings of one message are parts of one copy of it,
// so that keeping one of them keeps them all.
type Reader struct {
	body  []byte // the whole message
	at    int    // how much of it is read
	items int    // how many more items blocks may count
	text  string // a copy of body, made when first needed
	err   error
}

// readerOf reads body, which must not change while it does.
func readerOf(body []byte) Reader { return Reader{body: body, items: len(body)} }

// fail remembers the first fault, and leaves nothing more to read.
func (r *Reader) fail(err error) {
	if r.err == nil {
		r.err = err
	}
	r.at = len(r.body)
}

func (r *Reader) failed() bool { return r.err != nil }

// Err is the first fault, nil if there was none.
func (r *Reader) Err() error { return r.err }

// end is [Reader.Err], and [ErrTrailing] where bytes are left over.
func (r *Reader) end() error {
	if r.err == nil && r.at < len(r.body) {
		return ErrTrailing
	}
	return r.err
}

// Bool reads a boolean.
func (r *Reader) Bool() bool {
	if r.at >= len(r.body) {
		r.fail(ErrTruncated)
		return false
	}
	b := r.body[r.at]
	r.at++
	if b > 1 {
		r.fail(fmt.Errorf("%w: %d is not a boolean", ErrMalformed, b))
	}
	return b == 1
}

// Long reads a long.
func (r *Reader) Long() int64 {
	if r.at < len(r.body) {
		if b := r.body[r.at]; b < 0x80 { // most lengths and small numbers
			r.at++
			return int64(b>>1) ^ -int64(b&1)
		}
	}
	return r.longer()
}

func (r *Reader) longer() int64 {
	v, n := binary.Varint(r.body[r.at:])
	switch {
	case n > 0:
		r.at += n
		return v
	case n == 0:
		r.fail(ErrTruncated)
	default:
		r.fail(fmt.Errorf("%w: a number of more than 64 bits", ErrMalformed))
	}
	return 0
}

// Int reads an int.
func (r *Reader) Int() int32 {
	v := r.Long()
	if int64(int32(v)) != v {
		r.fail(fmt.Errorf("%w: %d does not fit an int", ErrMalformed, v))
		return 0
	}
	return int32(v)
}

// Float reads a float.
func (r *Reader) Float() float32 {
	if b := r.take(4); b != nil {
		return math.Float32frombits(binary.LittleEndian.Uint32(b))
	}
	return 0
}

// Double reads a double.
func (r *Reader) Double() float64 {
	if b := r.take(8); b != nil {
		return math.Float64frombits(binary.LittleEndian.Uint64(b))
	}
	return 0
}

// String reads a string.
func (r *Reader) String() string {
	n := r.Long()
	if uint64(n) > uint64(len(r.body)-r.at) {
		r.refuse(n)
		return ""
	}
	if n == 0 {
		return ""
	}
	if r.text == "" {
		r.text = string(r.body)
	}
	s := r.text[r.at : r.at+int(n)]
	r.at += int(n)
	if !validUTF8(s) {
		r.fail(ErrUTF8)
		return ""
	}
	return s
}

// utf8 reads the bytes of a string, which are part of the message.
func (r *Reader) utf8() []byte {
	b := r.take(r.Long())
	if !validUTF8(textOf(b)) {
		r.fail(ErrUTF8)
		return nil
	}
	return b
}

// Bytes reads bytes; none is nil.
func (r *Reader) Bytes() []byte {
	if b := r.take(r.Long()); len(b) > 0 {
		return slices.Clone(b)
	}
	return nil
}

// Fixed fills dst.
func (r *Reader) Fixed(dst []byte) { copy(dst, r.take(int64(len(dst)))) }

// take reads n bytes, which are part of the message; nil after a fault.
func (r *Reader) take(n int64) []byte {
	if uint64(n) > uint64(len(r.body)-r.at) {
		r.refuse(n)
		return nil
	}
	b := r.body[r.at : r.at+int(n)]
	r.at += int(n)
	return b
}

// refuse says what is wrong with a length or count that is more than is left.
// What no message could hold is hostile; what this one does not hold may have
// been cut off.
func (r *Reader) refuse(n int64) {
	if n < 0 || n > MaxSize {
		r.fail(fmt.Errorf("%w: a length or count of %d", ErrHostile, n))
	} else {
		r.fail(ErrTruncated)
	}
}

// Enum reads a symbol of an enum.
func (r *Reader) Enum(e *Enum) string {
	i := r.Long()
	if r.failed() {
		return ""
	}
	if uint64(i) >= uint64(len(e.Symbols)) {
		r.fail(fmt.Errorf("%w: %d of %s", ErrEnumIndex, i, e.Name))
		return ""
	}
	return e.Symbols[i]
}

// Date reads a day, as its midnight in UTC.
func (r *Reader) Date() time.Time { return dateOf(r.Int()) }

// TimeMillis reads a time of day.
func (r *Reader) TimeMillis() time.Duration {
	return r.timeOfDay(int64(r.Int()), time.Millisecond)
}

// TimeMicros reads a time of day.
func (r *Reader) TimeMicros() time.Duration { return r.timeOfDay(r.Long(), time.Microsecond) }

func (r *Reader) timeOfDay(v int64, unit time.Duration) time.Duration {
	if v < 0 || v >= int64(day/unit) {
		r.fail(fmt.Errorf("%w: %d is not a time of day", ErrMalformed, v))
		return 0
	}
	return time.Duration(v) * unit
}

// Timestamp reads a moment, in UTC.
func (r *Reader) Timestamp(unit time.Duration) time.Time { return momentOf(r.Long(), unit) }

// LocalTimestamp reads what some clock showed, as if it stood in UTC.
func (r *Reader) LocalTimestamp(unit time.Duration) time.Time { return momentOf(r.Long(), unit) }

// Decimal reads a decimal, never nil.
func (r *Reader) Decimal(precision, scale int) *big.Rat {
	return r.decimal(r.take(r.Long()), precision, scale)
}

// FixedDecimal reads a decimal of size bytes, never nil.
func (r *Reader) FixedDecimal(size, precision, scale int) *big.Rat {
	return r.decimal(r.take(int64(size)), precision, scale)
}

func (r *Reader) decimal(b []byte, precision, scale int) *big.Rat {
	v, err := scaled(b, precision, scale)
	if err != nil {
		r.fail(fmt.Errorf("%w: %w", ErrMalformed, err))
		return new(big.Rat)
	}
	return v
}

// Optional begins a union of null and a type, in this order: it reports
// whether a value follows.
func (r *Reader) Optional() bool { return r.branch() == 1 }

// OptionalLast is as [Reader.Optional], for a union that names null last.
func (r *Reader) OptionalLast() bool { return r.branch() == 0 && !r.failed() }

func (r *Reader) branch() int64 {
	i := r.Long()
	if i != 0 && i != 1 {
		r.fail(fmt.Errorf("%w: no branch %d in a union of two", ErrMalformed, i))
		return 0
	}
	return i
}

// block reads the head of an array's or map's next block: how many items
// follow, 0 at the end.
func (r *Reader) block() int {
	n := r.Long()
	if n < 0 {
		n = -n // the block's size in bytes comes after it, and is of no use here
		r.Long()
	}
	switch {
	case r.failed():
		return 0
	case uint64(n) > uint64(r.items):
		r.refuse(n)
		return 0
	}
	r.items -= int(n)
	return int(n)
}

// atOnce is for how many items room is made before they are read; more of them
// must show themselves.
const atOnce = 256

// ReadSlice reads an array; an empty one is nil.
func ReadSlice[T any](r *Reader, read func(*Reader) T) []T {
	var items []T
	for n := r.block(); n > 0; n = r.block() {
		items = slices.Grow(items, min(n, atOnce))
		for range n {
			items = append(items, read(r))
			if r.failed() {
				return nil
			}
		}
	}
	return items
}

// ReadMap reads a map; an empty one is nil.
func ReadMap[T any](r *Reader, read func(*Reader) T) map[string]T {
	var items map[string]T
	for n := r.block(); n > 0; n = r.block() {
		if items == nil {
			items = make(map[string]T, min(n, atOnce))
		}
		for range n {
			key := r.String()
			items[key] = read(r)
			if r.failed() {
				return nil
			}
		}
	}
	return items
}
