package runtime

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/troupedev/troupe/platform/choreo"
	"github.com/troupedev/troupe/platform/event"
	"github.com/troupedev/troupe/platform/kafka"
)

// Names of the headers that a dead letter has besides those of the record that
// it was.
const (
	headerPrefix = "troupe_dlq_"

	HeaderCause     = headerPrefix + "cause"     // one of the [Cause]s
	HeaderError     = headerPrefix + "error"     // the last error, its first 8 KiB
	HeaderStack     = headerPrefix + "stack"     // of a panic, its first 8 KiB
	HeaderAttempts  = headerPrefix + "attempts"  // how often the handler was run; 0: never
	HeaderFirst     = headerPrefix + "first"     // when it failed first, RFC 3339
	HeaderLast      = headerPrefix + "last"      // when it failed last, RFC 3339
	HeaderTopic     = headerPrefix + "topic"     // where the record was
	HeaderPartition = headerPrefix + "partition" // and in which of its partitions
	HeaderOffset    = headerPrefix + "offset"    // and at which offset there
	HeaderService   = headerPrefix + "service"   // whose dead letter it is
	HeaderReaction  = headerPrefix + "reaction"  // left out where no reaction has seen it
	HeaderHost      = headerPrefix + "host"      // where the service ran

	// Of a record that was too large to be a dead letter as a whole:
	HeaderValueSize   = headerPrefix + "value_size"   // of its value, in bytes
	HeaderValueSHA256 = headerPrefix + "value_sha256" // of its value, in hexadecimal
)

// textLimit bounds error and stack, in bytes each, so that a dead letter is
// never much larger than the record that it was.
const textLimit = 8 << 10

// shortLimit bounds each of key, value and headers of the record that is in a
// dead letter that was shortened, in bytes. With the rest of the dead letter
// that is less than a topic takes by default, 1 MiB.
const shortLimit = 64 << 10

// DeadLetter is what the headers of a dead letter say.
type DeadLetter struct {
	Cause    Cause
	Error    string
	Stack    string // empty: no panic
	Attempts int    // 0: no handler has seen the record
	First    time.Time
	Last     time.Time

	Topic     string // origin of the record
	Partition int32
	Offset    int64

	Service  string
	Reaction string // empty: no reaction has seen the record
	Host     string

	// What the record's value was, where the dead letter holds only its first
	// 64 KiB. (Its key is cut too then, and headers are left out from the one
	// on that exceeds that size in all.) Empty: the record is whole.
	ValueSize   int
	ValueSHA256 string
}

// DeadLetter is the dead letter of a record for a cause. What else is known of
// it (attempts, times, reaction, stack, host) is for the caller to add.
func (s *Service) DeadLetter(r *kafka.Record, c Cause, err error) *DeadLetter {
	d := &DeadLetter{Cause: c, Topic: r.Topic, Partition: r.Partition, Offset: r.Offset, Service: s.name}
	if err != nil {
		d.Error = err.Error()
	}
	return d
}

// Record is origin as a dead letter: its key, value and headers as they were
// (also where they are null), its earlier dlq headers replaced by d's.
func (d *DeadLetter) Record(origin *kafka.Record) kafka.Record {
	return kafka.Record{
		Topic:   choreo.DeadLetterTopic(d.Service, d.Topic),
		Time:    d.Last,
		Key:     origin.Key,
		Value:   origin.Value,
		Headers: d.appendHeaders(withoutDeadLetter(origin.Headers)),
	}
}

// shorten returns what is left of origin in a dead letter that was too large,
// and notes in d what its value was.
func (d *DeadLetter) shorten(origin *kafka.Record) *kafka.Record {
	sum := sha256.Sum256(origin.Value)
	d.ValueSize, d.ValueSHA256 = len(origin.Value), hex.EncodeToString(sum[:])
	short := *origin
	short.Key = origin.Key[:min(len(origin.Key), shortLimit)]
	short.Value = origin.Value[:min(len(origin.Value), shortLimit)]
	size := 0
	for i, h := range origin.Headers {
		if size += len(h.Key) + len(h.Value); size > shortLimit {
			short.Headers = origin.Headers[:i]
			break
		}
	}
	return &short
}

// withoutDeadLetter is a copy of headers without those of a dead letter, with
// room for new ones.
func withoutDeadLetter(headers []event.Header) []event.Header {
	out := make([]event.Header, 0, len(headers)+14)
	for _, h := range headers {
		if !strings.HasPrefix(h.Key, headerPrefix) {
			out = append(out, h)
		}
	}
	return out
}

func (d *DeadLetter) appendHeaders(dst []event.Header) []event.Header {
	add := func(key, value string) {
		if value != "" {
			dst = append(dst, event.Header{Key: key, Value: []byte(value)})
		}
	}
	add(HeaderCause, string(d.Cause))
	add(HeaderError, bounded(d.Error))
	add(HeaderStack, bounded(d.Stack))
	add(HeaderAttempts, strconv.Itoa(d.Attempts))
	add(HeaderFirst, formatTime(d.First))
	add(HeaderLast, formatTime(d.Last))
	add(HeaderTopic, d.Topic)
	add(HeaderPartition, strconv.Itoa(int(d.Partition)))
	add(HeaderOffset, strconv.FormatInt(d.Offset, 10))
	add(HeaderService, d.Service)
	add(HeaderReaction, d.Reaction)
	add(HeaderHost, d.Host)
	if d.ValueSHA256 != "" {
		add(HeaderValueSize, strconv.Itoa(d.ValueSize))
		add(HeaderValueSHA256, d.ValueSHA256)
	}
	return dst
}

// bounded is the first of s, as valid UTF-8 and within the limit.
func bounded(s string) string {
	if len(s) > textLimit {
		s = s[:textLimit]
	}
	return strings.ToValidUTF8(s, "")
}

func formatTime(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format(time.RFC3339Nano)
}

// ErrNotDeadLetter is wrapped by the error of [ParseDeadLetter] where the
// record has no cause.
var ErrNotDeadLetter = errors.New("not a dead letter")

// ParseDeadLetter reads what [DeadLetter.Record] wrote. The error names the
// header that is missing or cannot be read.
func ParseDeadLetter(headers []event.Header) (DeadLetter, error) {
	var d DeadLetter
	for _, h := range headers {
		if err := d.set(h.Key, string(h.Value)); err != nil {
			return DeadLetter{}, fmt.Errorf("header %s: %w", h.Key, err)
		}
	}
	if d.Cause == "" {
		return DeadLetter{}, fmt.Errorf("header %s is missing: %w", HeaderCause, ErrNotDeadLetter)
	}
	return d, nil
}

func (d *DeadLetter) set(key, value string) (err error) {
	switch key {
	case HeaderCause:
		d.Cause = Cause(value)
	case HeaderError:
		d.Error = value
	case HeaderStack:
		d.Stack = value
	case HeaderAttempts:
		d.Attempts, err = strconv.Atoi(value)
	case HeaderFirst:
		d.First, err = time.Parse(time.RFC3339Nano, value)
	case HeaderLast:
		d.Last, err = time.Parse(time.RFC3339Nano, value)
	case HeaderTopic:
		d.Topic = value
	case HeaderPartition:
		var n int64
		n, err = strconv.ParseInt(value, 10, 32)
		d.Partition = int32(n)
	case HeaderOffset:
		d.Offset, err = strconv.ParseInt(value, 10, 64)
	case HeaderService:
		d.Service = value
	case HeaderReaction:
		d.Reaction = value
	case HeaderHost:
		d.Host = value
	case HeaderValueSize:
		d.ValueSize, err = strconv.Atoi(value)
	case HeaderValueSHA256:
		d.ValueSHA256 = value
	}
	return err
}
