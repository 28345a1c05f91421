package contract

import (
	"errors"
	"fmt"
	"math"
	"math/big"
	"time"
)

// Enum is an enum as generated code describes it.
type Enum struct {
	Name    string // full name
	Symbols []string
}

const day = 24 * time.Hour

// daysOf is the day that t shows in UTC, counted from 1970.
func daysOf(t time.Time) (int32, bool) {
	days := t.Unix() / 86400
	if t.Unix()%86400 < 0 {
		days--
	}
	return int32(days), int64(int32(days)) == days
}

func dateOf(days int32) time.Time { return time.Unix(int64(days)*86400, 0).UTC() }

// ticks counts units since 1970, rounded down.
func ticks(t time.Time, unit time.Duration) (int64, bool) {
	seconds, nanos := t.Unix(), int64(t.Nanosecond())
	switch unit {
	case time.Millisecond:
		return seconds*1e3 + nanos/1e6, fitsSeconds(seconds, 1e3)
	case time.Microsecond:
		return seconds*1e6 + nanos/1e3, fitsSeconds(seconds, 1e6)
	}
	return seconds*1e9 + nanos, fitsSeconds(seconds, 1e9)
}

// fitsSeconds reports whether that many seconds, and one more, fit 64 bits when
// each is cut into parts.
func fitsSeconds(seconds, parts int64) bool {
	limit := math.MaxInt64/parts - 1
	return -limit < seconds && seconds < limit
}

func momentOf(ticks int64, unit time.Duration) time.Time {
	switch unit {
	case time.Millisecond:
		return time.UnixMilli(ticks).UTC()
	case time.Microsecond:
		return time.UnixMicro(ticks).UTC()
	}
	return time.Unix(0, ticks).UTC()
}

// wallClock is the moment at which a clock in UTC shows what t's clock shows.
func wallClock(t time.Time) time.Time {
	_, offset := t.Zone()
	return t.Add(time.Duration(offset) * time.Second)
}

// Unit is what a timestamp or time of day counts.
func (s *Schema) Unit() time.Duration {
	switch s.Logical {
	case LogicalTimeMillis, LogicalTimestampMillis, LogicalLocalTimestampMillis:
		return time.Millisecond
	case LogicalTimeMicros, LogicalTimestampMicros, LogicalLocalTimestampMicros:
		return time.Microsecond
	}
	return time.Nanosecond
}

// isUUID reports whether s is of the form 6ba7b810-9dad-11d1-80b4-00c04fd430c8.
func isUUID(s string) bool {
	if len(s) != 36 {
		return false
	}
	for i := range len(s) {
		c := s[i]
		switch i {
		case 8, 13, 18, 23:
			if c != '-' {
				return false
			}
		default:
			if (c < '0' || c > '9') && (c < 'a' || c > 'f') && (c < 'A' || c > 'F') {
				return false
			}
		}
	}
	return true
}

func pow10(n int) *big.Int { return new(big.Int).Exp(big.NewInt(10), big.NewInt(int64(n)), nil) }

// unscaled is v's bytes as a decimal of that precision and scale: the two's
// complement, big-endian, of v without its point. It never rounds.
func unscaled(v *big.Rat, precision, scale int) ([]byte, error) {
	if v == nil || v.Sign() == 0 {
		return []byte{0}, nil
	}
	n, rest := new(big.Int).QuoRem(new(big.Int).Mul(v.Num(), pow10(scale)), v.Denom(), new(big.Int))
	if rest.Sign() != 0 {
		return nil, fmt.Errorf("%s has more than %d digits after its point", v.RatString(), scale)
	}
	if n.CmpAbs(pow10(precision)) >= 0 {
		return nil, fmt.Errorf("%s has more than %d digits", v.FloatString(scale), precision)
	}
	return twosComplement(n), nil
}

func twosComplement(n *big.Int) []byte {
	if n.Sign() >= 0 {
		b := n.Bytes()
		if len(b) == 0 || b[0]&0x80 != 0 {
			b = append([]byte{0}, b...)
		}
		return b
	}
	// The least size that holds n: -128 fits 1 byte, -129 takes 2.
	size := new(big.Int).Not(n).BitLen()/8 + 1
	modulus := new(big.Int).Lsh(big.NewInt(1), uint(size)*8)
	return new(big.Int).Add(modulus, n).FillBytes(make([]byte, size))
}

func signExtend(b []byte, size int) []byte {
	out := make([]byte, size)
	if len(b) > 0 && b[0]&0x80 != 0 {
		for i := range out {
			out[i] = 0xff
		}
	}
	copy(out[size-len(b):], b)
	return out
}

// scaled is the inverse of [unscaled]; no bytes are 0.
func scaled(b []byte, precision, scale int) (*big.Rat, error) {
	for len(b) > 1 && (b[0] == 0 && b[1]&0x80 == 0 || b[0] == 0xff && b[1]&0x80 != 0) {
		b = b[1:] // sign only
	}
	if len(b) > precision { // a byte is more than two digits
		return nil, errors.New("a decimal has more digits than its precision")
	}
	n := new(big.Int).SetBytes(b)
	if len(b) > 0 && b[0]&0x80 != 0 {
		n.Sub(n, new(big.Int).Lsh(big.NewInt(1), uint(len(b))*8))
	}
	if n.CmpAbs(pow10(precision)) >= 0 {
		return nil, errors.New("a decimal has more digits than its precision")
	}
	return new(big.Rat).SetFrac(n, pow10(scale)), nil
}

// fixedDigits is the largest precision that fits a fixed of size bytes.
func fixedDigits(size int) int {
	if size > maxPrecision/2 { // more than two digits a byte
		return maxPrecision
	}
	limit := new(big.Int).Lsh(big.NewInt(1), uint(size)*8-1)
	return len(limit.String()) - 1
}
