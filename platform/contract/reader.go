package contract

import (
	"errors"
	"fmt"
	"io"
	"math/big"
	"slices"
	"sync"
	"time"
	"unicode/utf8"
	"unsafe"

	"github.com/hamba/avro/v2"
)

// MaxSize is the most bytes that a record value may have: 16 MiB. No length or
// count above it is believed.
const MaxSize = 16 << 20

// Reader reads Avro binary, one value after the other in the order of the
// schema. Generated code alone calls it.
//
// A fault is remembered, and whatever is read after it is zero; [Reader.Err]
// is the first. Memory is never reserved for more than the message can hold:
// lengths are compared with its size, and the counts of all blocks together
// may not exceed its bytes, since no item of a schema that was checked takes
// none. Strings and bytes of one message share one allocation, so that keeping
// one of them keeps them all.
type Reader struct {
	in    *avro.Reader
	err   error
	size  int    // of the message
	items int    // how many more items blocks may count
	arena []byte // of size bytes, made when first needed and never used again
	used  int    // bytes of arena that are taken
}

var readerConfig = avro.Config{MaxByteSliceSize: MaxSize, MaxSliceAllocSize: MaxSize}.Freeze()

var readers = sync.Pool{New: func() any {
	return &Reader{in: avro.NewReader(nil, 0, avro.WithReaderConfig(readerConfig))}
}}

// newReader reads body, which must not change before [Reader.release].
func newReader(body []byte) *Reader {
	r := readers.Get().(*Reader)
	r.in.Reset(body)
	r.in.Error = nil
	r.err = nil
	r.size, r.items = len(body), len(body)
	r.arena, r.used = nil, 0
	return r
}

func (r *Reader) release() {
	r.in.Reset(nil)
	r.arena = nil
	readers.Put(r)
}

// fail remembers err, and lets every later read end at once.
func (r *Reader) fail(err error) {
	if r.in.Error == nil {
		r.err = err
		r.in.Reset(nil)
		r.in.Error = err
	}
}

func (r *Reader) failed() bool { return r.in.Error != nil }

// Err is the first fault, nil if there was none.
func (r *Reader) Err() error {
	switch err := r.in.Error; {
	case r.err != nil:
		return r.err
	case err == nil:
		return nil
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return ErrTruncated
	default:
		return fmt.Errorf("%w: %w", ErrMalformed, err)
	}
}

// end is [Reader.Err], and [ErrTrailing] where bytes are left over.
func (r *Reader) end() error {
	if err := r.Err(); err != nil {
		return err
	}
	if r.in.Peek(); r.in.Error == nil {
		return ErrTrailing
	}
	return nil
}

// Bool reads a boolean.
func (r *Reader) Bool() bool { return r.in.ReadBool() }

// Long reads a long.
func (r *Reader) Long() int64 { return r.in.ReadLong() }

// Int reads an int, which hamba/avro would cut where it does not fit.
func (r *Reader) Int() int32 {
	v := r.in.ReadLong()
	if int64(int32(v)) != v {
		r.fail(fmt.Errorf("%w: %d does not fit an int", ErrMalformed, v))
		return 0
	}
	return int32(v)
}

// Float reads a float.
func (r *Reader) Float() float32 { return r.in.ReadFloat() }

// Double reads a double.
func (r *Reader) Double() float64 { return r.in.ReadDouble() }

// String reads a string.
func (r *Reader) String() string {
	b := r.text()
	return unsafe.String(unsafe.SliceData(b), len(b)) // nobody else has b, and the arena is not used again
}

func (r *Reader) text() []byte {
	b := r.take(r.in.ReadLong())
	if !utf8.Valid(b) {
		r.fail(ErrUTF8)
		return nil
	}
	return b
}

// Bytes reads bytes; none is nil.
func (r *Reader) Bytes() []byte { return r.take(r.in.ReadLong()) }

// take reads n bytes into the arena.
func (r *Reader) take(n int64) []byte {
	if n == 0 || !r.fits(n, r.size-r.used) {
		return nil
	}
	if r.arena == nil {
		r.arena = make([]byte, r.size)
	}
	from := r.used
	r.used += int(n)
	b := r.arena[from:r.used:r.used]
	r.in.Read(b)
	if r.failed() {
		return nil
	}
	return b
}

// fits judges a length or count by how much there can still be. What no message
// could hold is hostile; what this one cannot, may have been cut off.
func (r *Reader) fits(n int64, left int) bool {
	switch {
	case n < 0 || n > MaxSize:
		r.fail(fmt.Errorf("%w: a length or count of %d", ErrHostile, n))
	case n > int64(left):
		r.fail(ErrTruncated)
	default:
		return true
	}
	return false
}

// Fixed fills dst.
func (r *Reader) Fixed(dst []byte) { r.in.Read(dst) }

// skip passes n bytes over.
func (r *Reader) skip(n int64) {
	if r.fits(n, r.size) {
		r.in.SkipNBytes(int(n))
	}
}

// Enum reads a symbol of an enum.
func (r *Reader) Enum(e *Enum) string {
	i := r.in.ReadLong()
	if r.failed() {
		return ""
	}
	if i < 0 || i >= int64(len(e.Symbols)) {
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
	return r.decimal(r.Bytes(), precision, scale)
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
	i := r.in.ReadLong()
	if i != 0 && i != 1 {
		r.fail(fmt.Errorf("%w: no branch %d in a union of two", ErrMalformed, i))
		return 0
	}
	return i
}

// block reads the head of an array's or map's next block: how many items
// follow, 0 at the end.
func (r *Reader) block() int {
	n, _ := r.in.ReadBlockHeader()
	if n == 0 || r.failed() || !r.fits(n, r.items) {
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
