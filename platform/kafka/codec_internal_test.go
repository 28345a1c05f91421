package kafka

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/segmentio/kafka-go/compress"
)

var at = time.UnixMilli(1_700_000_000_000)

// batchOf is a batch of records with these values, from offset base on.
func batchOf(base int64, values ...string) []byte {
	records := make([]*Record, len(values))
	for i, v := range values {
		records[i] = &Record{Value: []byte(v), Time: at}
	}
	b := encodeBatch(nil, records)
	binary.BigEndian.PutUint64(b, uint64(base))
	return b
}

// sealed changes a batch and makes its length and checksum right again.
func sealed(b []byte, change func([]byte) []byte) []byte {
	b = change(slices.Clone(b))
	binary.BigEndian.PutUint32(b[batchLength:], uint32(len(b)-batchPrefix))
	binary.BigEndian.PutUint32(b[batchCRC:], crc32.Checksum(b[batchAttributes:], castagnoli))
	return b
}

// marked is a batch of a producer's transaction, or its end.
func marked(b []byte, producer int64, attributes uint16) []byte {
	return sealed(b, func(b []byte) []byte {
		binary.BigEndian.PutUint64(b[batchProducerID:], uint64(producer))
		binary.BigEndian.PutUint16(b[batchAttributes:], attributes)
		return b
	})
}

// compacted is a batch whose records were all removed; its offsets remain.
func compacted(b []byte) []byte {
	return sealed(b, func(b []byte) []byte {
		binary.BigEndian.PutUint32(b[batchCount:], 0)
		return b[:batchHeader]
	})
}

func compressed(b []byte, codec compress.Codec) []byte {
	return sealed(b, func(b []byte) []byte {
		var out bytes.Buffer
		w := codec.NewWriter(&out)
		if _, err := w.Write(b[batchHeader:]); err != nil {
			panic(err)
		}
		if err := w.Close(); err != nil {
			panic(err)
		}
		binary.BigEndian.PutUint16(b[batchAttributes:], uint16(codec.Code()))
		return append(b[:batchHeader], out.Bytes()...)
	})
}

func decodeAll(data []byte, from int64, aborted ...abortedTransaction) (string, int64, error) {
	d := decoder{tp: TopicPartition{Topic: "t", Partition: 3}}
	records, next, err := d.decode(data, from, aborted)
	var list []string
	for _, r := range records {
		list = append(list, fmt.Sprintf("%d:%s", r.Offset, r.Value))
	}
	return strings.Join(list, " "), next, err
}

func TestDecodePassesWhatHoldsNoRecords(t *testing.T) {
	const tx = attrTransactional
	abort := func(producer, first int64) abortedTransaction {
		return abortedTransaction{ProducerID: producer, FirstOffset: first}
	}
	tests := map[string]struct {
		data    [][]byte
		from    int64
		aborted []abortedTransaction
		want    string
		next    int64
	}{
		"two batches":                       {data: [][]byte{batchOf(4, "a", "b"), batchOf(6, "c")}, from: 4, want: "4:a 5:b 6:c", next: 7},
		"a batch that starts earlier":       {data: [][]byte{batchOf(4, "a", "b", "c")}, from: 6, want: "6:c", next: 7},
		"a batch that ends earlier":         {data: [][]byte{batchOf(1, "a"), batchOf(6, "c")}, from: 6, want: "6:c", next: 7},
		"a gap between batches":             {data: [][]byte{batchOf(0, "a"), batchOf(10, "b")}, want: "0:a 10:b", next: 11},
		"a batch with nothing left":         {data: [][]byte{compacted(batchOf(0, "a", "b"))}, next: 2},
		"a batch cut short at the end":      {data: [][]byte{batchOf(0, "a"), batchOf(1, "b")[:65]}, want: "0:a", next: 1},
		"only part of a batch":              {data: [][]byte{batchOf(0, "a")[:40]}, next: 0},
		"a committed transaction":           {data: [][]byte{marked(batchOf(0, "a"), 7, tx), marked(batchOf(1, "end"), 7, tx|attrControl)}, want: "0:a", next: 2},
		"an aborted transaction":            {data: [][]byte{marked(batchOf(0, "a"), 7, tx), marked(batchOf(1, "end"), 7, tx|attrControl)}, aborted: []abortedTransaction{abort(7, 0)}, next: 2},
		"another's aborted transaction":     {data: [][]byte{marked(batchOf(0, "a"), 7, tx), batchOf(1, "b"), marked(batchOf(2, "c"), 8, tx)}, aborted: []abortedTransaction{abort(8, 2)}, want: "0:a 1:b", next: 3},
		"a transaction after an abort":      {data: [][]byte{marked(batchOf(0, "a"), 7, tx), marked(batchOf(1, "end"), 7, tx|attrControl), marked(batchOf(2, "b"), 7, tx)}, aborted: []abortedTransaction{abort(7, 0)}, want: "2:b", next: 3},
		"an abort that comes later":         {data: [][]byte{marked(batchOf(0, "a"), 7, tx), marked(batchOf(1, "end"), 7, tx|attrControl), marked(batchOf(2, "b"), 7, tx)}, aborted: []abortedTransaction{abort(7, 2)}, want: "0:a", next: 3},
		"plain records amid an aborted one": {data: [][]byte{marked(batchOf(0, "a"), 7, tx), marked(batchOf(1, "b"), 7, 0)}, aborted: []abortedTransaction{abort(7, 0)}, want: "1:b", next: 2},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			got, next, err := decodeAll(bytes.Join(test.data, nil), test.from, test.aborted...)
			if got != test.want || next != test.next || err != nil {
				t.Errorf("got %q, next %d, %v\nwant %q, next %d", got, next, err, test.want, test.next)
			}
		})
	}
}

func TestDecodeReadsEveryCompression(t *testing.T) {
	for _, codec := range compress.Codecs[1:] {
		t.Run(codec.Name(), func(t *testing.T) {
			got, next, err := decodeAll(compressed(batchOf(0, "a", strings.Repeat("b", 1000)), codec), 0)
			if !strings.HasPrefix(got, "0:a 1:bbb") || next != 2 || err != nil {
				t.Errorf("got %.20q, next %d, %v", got, next, err)
			}
		})
	}
}

func TestDecodeTakesTheBrokersTimeWhereItCounts(t *testing.T) {
	d := decoder{}
	records, _, err := d.decode(sealed(batchOf(0, "a"), func(b []byte) []byte {
		binary.BigEndian.PutUint16(b[batchAttributes:], attrLogAppendTime)
		binary.BigEndian.PutUint64(b[batchMaxTime:], uint64(at.Add(time.Hour).UnixMilli()))
		return b
	}), 0, nil)
	if err != nil || !records[0].Time.Equal(at.Add(time.Hour)) {
		t.Errorf("got %v, %v", records, err)
	}
}

func TestDecodeNamesTheOffsetOfWhatItCannotRead(t *testing.T) {
	good := batchOf(5, "a", "b")
	set := func(pos int, v uint32) func([]byte) []byte {
		return func(b []byte) []byte {
			binary.BigEndian.PutUint32(b[pos:], v)
			return b
		}
	}
	byteAt := func(pos int, v byte) func([]byte) []byte {
		return func(b []byte) []byte { b[pos] = v; return b }
	}
	tests := map[string]struct {
		data []byte
		want string
	}{
		"a flipped bit":           {func() []byte { b := slices.Clone(good); b[len(b)-1] ^= 1; return b }(), "checksum"},
		"an old format":           {sealed(good, byteAt(batchMagic, 1)), "record format 1"},
		"a length too short":      {set(batchLength, 10)(slices.Clone(good)), "a batch of 10 bytes"},
		"a negative count":        {sealed(good, set(batchCount, ^uint32(0))), "-1 records"},
		"a count beyond reason":   {sealed(good, set(batchCount, 1<<30)), "1073741824 records"},
		"a count of one too many": {sealed(good, set(batchCount, 3)), "3 records in 16 bytes"},
		"a negative last offset":  {sealed(good, set(batchLastDelta, ^uint32(0))), "a last offset -1"},
		"an offset outside":       {sealed(good, set(batchLastDelta, 0)), "record 1 of 2 cannot be read"},
		"a record cut short":      {sealed(good, byteAt(batchHeader, 0x7e)), "record 0 of 2 is cut short"},
		"a key too long":          {sealed(good, byteAt(batchHeader+4, 0x7e)), "record 0 of 2 cannot be read"},
		"unknown compression":     {sealed(good, byteAt(batchAttributes+1, 7)), "unknown compression 7"},
		"garbage in gzip":         {sealed(good, byteAt(batchAttributes+1, 1)), "gzip"},
		"garbage in snappy":       {sealed(good, byteAt(batchAttributes+1, 2)), "snappy"},
		"garbage in lz4":          {sealed(good, byteAt(batchAttributes+1, 3)), "lz4"},
		"garbage in zstd":         {sealed(good, byteAt(batchAttributes+1, 4)), "zstd"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			got, next, err := decodeAll(append(batchOf(4, "before"), test.data...), 4)
			if got != "4:before" || next != 5 {
				t.Errorf("got %q, next %d; want what came before", got, next)
			}
			if !errors.Is(err, ErrCorrupt) || !strings.Contains(err.Error(), "t[3]") ||
				!strings.Contains(err.Error(), "at offset 5") || !strings.Contains(err.Error(), test.want) {
				t.Errorf("error %v; want ErrCorrupt at offset 5 and %q", err, test.want)
			}
		})
	}
}

func TestDecodeBoundsWhatGrows(t *testing.T) {
	_, _, err := decodeAll(compressed(batchOf(0, strings.Repeat("0", maxInflated)), &compress.GzipCodec), 0)
	if !errors.Is(err, ErrCorrupt) || !strings.Contains(err.Error(), "more than") {
		t.Errorf("got %v", err)
	}
}

func FuzzDecode(f *testing.F) {
	f.Add(batchOf(0, "a", "b"))
	f.Add(compacted(batchOf(0, "a")))
	f.Add(marked(batchOf(0, "a"), 7, attrTransactional|attrControl))
	for _, codec := range compress.Codecs[1:] {
		f.Add(compressed(batchOf(0, "a", "b"), codec))
	}
	full := &Record{Key: []byte("k"), Value: []byte("v"), Time: at, Headers: []Header{{Key: "h", Value: []byte("v")}, {Key: "n"}}}
	f.Add(encodeBatch(nil, []*Record{full}))
	f.Fuzz(func(t *testing.T, data []byte) {
		if len(data) > batchHeader { // past the checksum, else nothing is reached
			binary.BigEndian.PutUint32(data[batchLength:], uint32(len(data)-batchPrefix))
			binary.BigEndian.PutUint32(data[batchCRC:], crc32.Checksum(data[batchAttributes:], castagnoli))
		}
		d := decoder{}
		records, next, err := d.decode(data, 0, nil)
		if err != nil && !errors.Is(err, ErrCorrupt) {
			t.Errorf("error of another kind: %v", err)
		}
		for _, r := range records {
			if r.Offset < 0 || r.Offset >= next {
				t.Errorf("offset %d outside 0 to %d", r.Offset, next)
			}
		}
	})
}

func FuzzReadAssignment(f *testing.F) {
	f.Add(writeAssignment([]TopicPartition{{"a", 1}, {"b", 0}, {"a", 2}}))
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, data []byte) {
		if _, err := readAssignment(data); err != nil && !errors.Is(err, ErrCorrupt) {
			t.Errorf("error of another kind: %v", err)
		}
	})
}

func TestStripHeaderRefusesWhatItDidNotAsk(t *testing.T) {
	tests := map[string]struct {
		body     []byte
		flexible bool
		ok       bool
	}{
		"plain":            {[]byte{0, 0, 0, 1, 9}, false, true},
		"with tags":        {[]byte{0, 0, 0, 1, 0, 9}, true, true},
		"another's answer": {[]byte{0, 0, 0, 2, 9}, false, false},
		"tags missing":     {[]byte{0, 0, 0, 1}, true, false},
		"unknown tags":     {[]byte{0, 0, 0, 1, 1}, true, false},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			body, err := stripHeader(test.body, 1, test.flexible)
			if (err == nil) != test.ok || test.ok && !bytes.Equal(body, []byte{9}) {
				t.Errorf("got %v, %v", body, err)
			}
		})
	}
}

func TestReadFrameRefusesLengthsBeyondReason(t *testing.T) {
	for _, size := range []string{"\xff\xff\xff\xff", "\x00\x00\x00\x03", "HTTP"} {
		if _, err := readFrame(strings.NewReader(size + "xxxx")); !errors.Is(err, ErrCorrupt) {
			t.Errorf("length %q: %v", size, err)
		}
	}
}

func BenchmarkEncode(b *testing.B) {
	records := benchRecords()
	var buf []byte
	b.ReportAllocs()
	for b.Loop() {
		buf = encodeBatch(buf[:0], records)
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(len(records)), "ns/record")
}

func BenchmarkDecode(b *testing.B) {
	data := encodeBatch(nil, benchRecords())
	d := decoder{}
	b.ReportAllocs()
	for b.Loop() {
		if _, _, err := d.decode(data, 0, nil); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/100, "ns/record")
}

// benchRecords are 100 records of about 600 bytes with twelve headers, as
// Troupe's events are.
func benchRecords() []*Record {
	records := make([]*Record, 100)
	for i := range records {
		r := &Record{Key: []byte("order-000000"), Value: make([]byte, 100), Time: at}
		for h := range 12 {
			r.Headers = append(r.Headers, Header{Key: fmt.Sprintf("ce_attribute%d", h), Value: []byte("0192f0c1-7b8e-7c31-9d1e")})
		}
		records[i] = r
	}
	return records
}
