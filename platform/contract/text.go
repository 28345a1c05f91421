package contract

import (
	"encoding/binary"
	"unicode/utf8"
	"unsafe"
)

// This file has what the codec does with package unsafe: a message would
// otherwise pay more for it than for its bytes.

const highBits = 0x8080808080808080

// Lengths between which a string is copied by [copyASCII]: it is a word at
// least, and its length takes one byte in Avro.
const (
	shortest = 8
	longest  = 64
)

// copyASCII copies s, of at least eight bytes, into dst, which has room for it,
// and reports whether it was ASCII alone: both at once, eight bytes at a time,
// the last eight of which may overlap.
func copyASCII(dst []byte, s string) bool {
	from, to, n := unsafe.StringData(s), unsafe.SliceData(dst), len(s)
	last := word(from, n-8)
	bits := last
	for i := 0; i < n-8; i += 8 {
		w := word(from, i)
		bits |= w
		putWord(to, i, w)
	}
	putWord(to, n-8, last)
	return bits&highBits == 0
}

// validUTF8 is utf8.ValidString, quick for the short ASCII that fields mostly
// hold: it looks at eight bytes at once, the last eight of which may overlap.
func validUTF8(s string) bool {
	n := len(s)
	if n < 8 {
		return utf8.ValidString(s)
	}
	p := unsafe.StringData(s)
	bits := word(p, n-8)
	for i := 0; i < n-8; i += 8 {
		bits |= word(p, i)
	}
	return bits&highBits == 0 || utf8.ValidString(s)
}

// word is the eight bytes at p+i.
func word(p *byte, i int) uint64 {
	return binary.LittleEndian.Uint64((*[8]byte)(unsafe.Add(unsafe.Pointer(p), i))[:])
}

func putWord(p *byte, i int, w uint64) {
	binary.LittleEndian.PutUint64((*[8]byte)(unsafe.Add(unsafe.Pointer(p), i))[:], w)
}

// textOf is b as a string, for as long as b does not change.
func textOf(b []byte) string { return unsafe.String(unsafe.SliceData(b), len(b)) }

// onStack hides a pointer from escape analysis, which cannot see that events
// do not keep the Writer or Reader that they are handed: it then needs neither
// an allocation nor a pool. Generated code is the only one to get it.
//
// While the pointer is a number, the stack must not move, since the number does
// not move with it. So nothing may be called there: not what grows the stack at
// a function's start, nor the check of pointers that -race brings along, at
// which the garbage collector may shrink it.
//
//go:nosplit
//go:nocheckptr
func onStack[T Writer | Reader](p *T) *T {
	hidden := uintptr(unsafe.Pointer(p))
	return *(**T)(unsafe.Pointer(&hidden))
}
