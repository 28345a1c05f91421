package kafka

import (
	"encoding/binary"
	"hash/crc32"
)

// The layout of a record batch, format 2 (KIP-98): where its fields start.
const (
	batchLength      = 8  // of everything after this field
	batchLeaderEpoch = 12 // int32
	batchMagic       = 16
	batchCRC         = 17 // over everything from batchAttributes on
	batchAttributes  = 21
	batchLastDelta   = 23
	batchFirstTime   = 27
	batchMaxTime     = 35
	batchProducerID  = 43
	batchEpoch       = 51
	batchSequence    = 53
	batchCount       = 57
	batchHeader      = 61
	batchPrefix      = 12 // offset and length, not counted in length
)

const (
	attrCompression   = 0x07
	attrLogAppendTime = 0x08
	attrTransactional = 0x10
	attrControl       = 0x20
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// recordOverhead bounds what the encoding adds to a record's own bytes:
// its length, attributes, deltas of time and offset, and three more lengths.
const recordOverhead = 5 + 1 + 10 + 5 + 5 + 5 + 5

// encodedSize bounds the bytes of a record in a batch.
func encodedSize(r *Record) int {
	n := recordOverhead + len(r.Key) + len(r.Value)
	for i := range r.Headers {
		n += len(r.Headers[i].Key) + len(r.Headers[i].Value) + 10
	}
	return n
}

// encodeBatch appends records as one batch without compression. The times of
// the records must be set.
func encodeBatch(dst []byte, records []*Record) []byte {
	start := len(dst)
	dst = append(dst, make([]byte, batchHeader)...)
	first := records[0].Time.UnixMilli()
	latest := first
	var body []byte
	for i, r := range records {
		at := r.Time.UnixMilli()
		latest = max(latest, at)
		body = encodeRecord(body[:0], r, at-first, i)
		dst = binary.AppendVarint(dst, int64(len(body)))
		dst = append(dst, body...)
	}

	b := dst[start:]
	be := binary.BigEndian
	be.PutUint32(b[batchLength:], uint32(len(b)-batchPrefix))
	be.PutUint32(b[batchLeaderEpoch:], ^uint32(0))
	b[batchMagic] = 2
	be.PutUint32(b[batchLastDelta:], uint32(len(records)-1))
	be.PutUint64(b[batchFirstTime:], uint64(first))
	be.PutUint64(b[batchMaxTime:], uint64(latest))
	be.PutUint64(b[batchProducerID:], ^uint64(0))
	be.PutUint16(b[batchEpoch:], ^uint16(0))
	be.PutUint32(b[batchSequence:], ^uint32(0))
	be.PutUint32(b[batchCount:], uint32(len(records)))
	be.PutUint32(b[batchCRC:], crc32.Checksum(b[batchAttributes:], castagnoli))
	return dst
}

func encodeRecord(dst []byte, r *Record, timeDelta int64, offsetDelta int) []byte {
	dst = append(dst, 0) // attributes, of which none exists
	dst = binary.AppendVarint(dst, timeDelta)
	dst = binary.AppendVarint(dst, int64(offsetDelta))
	dst = appendBytes(dst, r.Key)
	dst = appendBytes(dst, r.Value)
	dst = binary.AppendVarint(dst, int64(len(r.Headers)))
	for i := range r.Headers {
		h := &r.Headers[i]
		dst = binary.AppendVarint(dst, int64(len(h.Key)))
		dst = append(dst, h.Key...)
		dst = appendBytes(dst, h.Value)
	}
	return dst
}

// appendBytes keeps nil (length -1) apart from empty.
func appendBytes(dst, b []byte) []byte {
	if b == nil {
		return binary.AppendVarint(dst, -1)
	}
	dst = binary.AppendVarint(dst, int64(len(b)))
	return append(dst, b...)
}
