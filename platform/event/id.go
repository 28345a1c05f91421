package event

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"time"
)

// NewID returns a UUID version 7 (RFC 9562, section 5.7) of the time given:
// the id of an event that nothing caused.
func NewID(now time.Time) string {
	var u [16]byte
	rand.Read(u[6:]) // never fails since Go 1.24
	binary.BigEndian.PutUint64(u[:8], uint64(now.UnixMilli())<<16|uint64(u[6])<<8|uint64(u[7]))
	return format(u, 7)
}

// DeriveID returns an id that depends on parts alone, as a UUID version 8
// (RFC 9562, section 5.8) of their SHA-256. No two lists of parts are alike,
// also where their concatenations are.
//
// The id of an emitted event derives from (id of its cause, service, reaction,
// type, key, n-th of that type and key, salt), so that handling an event again
// emits the same ids.
func DeriveID(parts ...string) string {
	buf := make([]byte, 0, 256)
	for _, p := range parts {
		buf = binary.AppendUvarint(buf, uint64(len(p)))
		buf = append(buf, p...)
	}
	sum := sha256.Sum256(buf)
	return format([16]byte(sum[:16]), 8)
}

func format(u [16]byte, version byte) string {
	u[6] = u[6]&0x0f | version<<4
	u[8] = u[8]&0x3f | 0x80
	var s [36]byte
	hex.Encode(s[:8], u[:4])
	hex.Encode(s[9:13], u[4:6])
	hex.Encode(s[14:18], u[6:8])
	hex.Encode(s[19:23], u[8:10])
	hex.Encode(s[24:], u[10:])
	s[8], s[13], s[18], s[23] = '-', '-', '-', '-'
	return string(s[:])
}
