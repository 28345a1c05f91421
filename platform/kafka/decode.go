package kafka

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"io"
	"slices"
	"time"

	"github.com/segmentio/kafka-go/compress"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// maxInflated bounds what one compressed batch may grow to.
const maxInflated = 64 << 20

type abortedTransaction = kmsg.FetchResponseTopicPartitionAbortedTransaction

// decoder reads the record batches of one partition.
type decoder struct {
	tp      TopicPartition
	strings map[string]string // names of headers seen, so that each is one string
	aborted []abortedTransaction
	pids    map[int64]bool // producers whose transaction, open at this point of the log, was aborted
}

// maxStrings bounds how many names of headers are remembered.
const maxStrings = 256

// decode reads whole batches off data and appends their records from offset
// `from` on. It returns the offset after the last batch it passed: after an
// error, that of the batch which cannot be read, so that what came before it
// is not lost. A batch cut short at the end of data is left alone.
func (d *decoder) decode(data []byte, from int64, aborted []abortedTransaction) (records []Record, next int64, err error) {
	d.begin(aborted)
	next = from
	for len(data) >= batchPrefix {
		length := int64(binary.BigEndian.Uint32(data[batchLength:]))
		if length < batchHeader-batchPrefix {
			return records, next, d.corrupt(next, "a batch of %d bytes", length)
		}
		if length > int64(len(data)-batchPrefix) {
			break
		}
		batch := data[:batchPrefix+length]
		data = data[batchPrefix+length:]
		last, err := d.batch(batch, from, &records)
		if err != nil {
			return records, next, err
		}
		next = max(next, last+1)
	}
	return records, next, nil
}

// begin takes up the transactions that the broker says were aborted.
func (d *decoder) begin(aborted []abortedTransaction) {
	d.aborted, d.pids = nil, nil
	if len(aborted) == 0 {
		return
	}
	d.pids = make(map[int64]bool)
	d.aborted = slices.SortedFunc(slices.Values(aborted), func(a, b abortedTransaction) int {
		return cmp.Compare(a.FirstOffset, b.FirstOffset)
	})
}

// batch reads one batch and returns the last offset that it covers.
func (d *decoder) batch(b []byte, from int64, records *[]Record) (last int64, err error) {
	be := binary.BigEndian
	base := int64(be.Uint64(b))
	defer func() { // of a decompressor, fed with garbage
		if p := recover(); p != nil {
			err = d.corrupt(base, "%v", p)
		}
	}()
	if magic := b[batchMagic]; magic != 2 {
		return 0, d.corrupt(base, "record format %d; only 2 is read", magic)
	}
	if sum := crc32.Checksum(b[batchAttributes:], castagnoli); sum != be.Uint32(b[batchCRC:]) {
		return 0, d.corrupt(base, "checksum %08x, should be %08x", sum, be.Uint32(b[batchCRC:]))
	}
	lastDelta := int32(be.Uint32(b[batchLastDelta:]))
	last = base + int64(lastDelta)
	if base < 0 || lastDelta < 0 || last < base {
		return 0, d.corrupt(base, "a last offset %d after the first", lastDelta)
	}
	attributes := be.Uint16(b[batchAttributes:])
	if skip := d.transaction(b, attributes, last); skip || last < from {
		return last, nil
	}
	body, err := inflate(b[batchHeader:], attributes)
	if err != nil {
		return 0, d.corrupt(base, "%w", err)
	}
	n := len(*records)
	if err := d.records(body, b, base, last, records); err != nil {
		*records = (*records)[:n]
		return 0, d.corrupt(base, "%w", err)
	}
	*records = append((*records)[:n], slices.DeleteFunc((*records)[n:], func(r Record) bool { return r.Offset < from })...)
	return last, nil
}

// transaction tells whether a batch holds nothing for a reader: it marks the
// end of a transaction, or belongs to one that was aborted.
func (d *decoder) transaction(b []byte, attributes uint16, last int64) (skip bool) {
	producer := int64(binary.BigEndian.Uint64(b[batchProducerID:]))
	for len(d.aborted) > 0 && d.aborted[0].FirstOffset <= last {
		d.pids[d.aborted[0].ProducerID] = true
		d.aborted = d.aborted[1:]
	}
	if attributes&attrControl != 0 {
		delete(d.pids, producer)
		return true
	}
	return attributes&attrTransactional != 0 && d.pids[producer]
}

func inflate(body []byte, attributes uint16) ([]byte, error) {
	kind := compress.Compression(attributes & attrCompression)
	if kind == compress.None {
		return body, nil
	}
	codec := kind.Codec()
	if codec == nil {
		return nil, fmt.Errorf("unknown compression %d", kind)
	}
	r := codec.NewReader(bytes.NewReader(body))
	defer r.Close()
	out, err := io.ReadAll(io.LimitReader(r, maxInflated+1))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", codec.Name(), err)
	}
	if len(out) > maxInflated {
		return nil, fmt.Errorf("%s: more than %d bytes", codec.Name(), maxInflated)
	}
	return out, nil
}

// records appends the records of a batch whose header is b.
func (d *decoder) records(body, b []byte, base, last int64, records *[]Record) error {
	be := binary.BigEndian
	count := int(int32(be.Uint32(b[batchCount:])))
	const smallest = 7 // bytes of a record that is empty
	if count < 0 || count > len(body)/smallest {
		return fmt.Errorf("%d records in %d bytes", count, len(body))
	}
	first := int64(be.Uint64(b[batchFirstTime:]))
	appendTime := be.Uint16(b[batchAttributes:])&attrLogAppendTime != 0
	*records = slices.Grow(*records, count)
	for i := range count {
		c := cursor{b: body}
		record := cursor{b: c.take(c.varint())}
		if c.bad {
			return fmt.Errorf("record %d of %d is cut short", i, count)
		}
		body = c.b
		r := Record{Topic: d.tp.Topic, Partition: d.tp.Partition}
		record.take(1) // attributes
		at := first + record.varint()
		if appendTime {
			at = int64(be.Uint64(b[batchMaxTime:]))
		}
		r.Time = time.UnixMilli(at)
		r.Offset = base + record.varint()
		r.Key = record.bytes()
		r.Value = record.bytes()
		r.Headers = d.headers(&record)
		if record.bad || r.Offset < base || r.Offset > last {
			return fmt.Errorf("record %d of %d cannot be read", i, count)
		}
		*records = append(*records, r)
	}
	return nil
}

func (d *decoder) headers(c *cursor) []Header {
	n := c.varint()
	const smallest = 2 // bytes of a header that is empty
	if n < 0 || n > int64(len(c.b)/smallest) {
		c.bad = true
	}
	if c.bad || n == 0 {
		return nil
	}
	headers := make([]Header, n)
	for i := range headers {
		headers[i].Key = d.string(c.take(c.varint()))
		headers[i].Value = c.bytes()
	}
	return headers
}

func (d *decoder) string(b []byte) string {
	if s, ok := d.strings[string(b)]; ok {
		return s
	}
	s := string(b)
	if len(d.strings) < maxStrings {
		if d.strings == nil {
			d.strings = make(map[string]string)
		}
		d.strings[s] = s
	}
	return s
}

func (d *decoder) corrupt(offset int64, format string, args ...any) error {
	return fmt.Errorf("%s[%d]: %w at offset %d: %w", d.tp.Topic, d.tp.Partition, ErrCorrupt, offset, fmt.Errorf(format, args...))
}

// cursor reads off the front of b. Once it read past the end it is bad, and
// reads nothing more.
type cursor struct {
	b   []byte
	bad bool
}

func (c *cursor) varint() int64 {
	v, n := binary.Varint(c.b)
	if n <= 0 {
		c.bad = true
		c.b = nil
		return 0
	}
	c.b = c.b[n:]
	return v
}

func (c *cursor) take(n int64) []byte {
	if n < 0 || n > int64(len(c.b)) {
		c.bad = true
		c.b = nil
		return nil
	}
	out := c.b[:n:n]
	c.b = c.b[n:]
	return out
}

// bytes reads what appendBytes wrote: -1 is nil.
func (c *cursor) bytes() []byte {
	n := c.varint()
	if n == -1 || c.bad {
		return nil
	}
	return c.take(n)
}
