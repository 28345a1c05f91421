package contract

import (
	"encoding/binary"
	"unicode/utf8"
	"unsafe"
)

// This file has what the codec does with package unsafe: two things that a
// message would otherwise pay for more dearly than for its bytes.

const highBits = 0x8080808080808080

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

// textOf is b as a string, for as long as b does not change.
func textOf(b []byte) string { return unsafe.String(unsafe.SliceData(b), len(b)) }

// onStack hides a pointer from escape analysis, which cannot see that events
// do not keep the Writer or Reader that they are handed: it then needs neither
// an allocation nor a pool. Generated code is the only one to get it.
func onStack[T Writer | Reader](p *T) *T {
	hidden := uintptr(unsafe.Pointer(p))
	return *(**T)(unsafe.Pointer(&hidden))
}
