package rig

import (
	"cmp"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

// Check demands of an event's record what the wire format says: its CloudEvents
// headers, its key, the partition of that key among n. Cause is the event that
// led to it, nil for the first of a flow.
func (s *Schemas) Check(e *Event, cause *Event, n int) error {
	schema, err := s.Of(e.Type)
	if err != nil {
		return err
	}
	var errs []error
	want := func(name, want string) {
		if got := e.Headers[name]; got != want {
			errs = append(errs, fmt.Errorf("%s is %q, want %q", name, got, want))
		}
	}
	domain, _, _ := strings.Cut(e.Type, ".")
	if e.Topic != domain {
		errs = append(errs, fmt.Errorf("%s lies in topic %s", e.Type, e.Topic))
	}
	if key, _ := e.Fields[schema.Key].(string); key == "" || key != string(e.Key) {
		errs = append(errs, fmt.Errorf("the record's key is %q, its field %s %q", e.Key, schema.Key, key))
	}
	if p := kgo.StickyKeyPartitioner(nil).ForTopic(e.Topic).Partition(&kgo.Record{Key: e.Key}, n); int32(p) != e.Partition {
		errs = append(errs, fmt.Errorf("it lies in partition %d, murmur2 of its key says %d", e.Partition, p))
	}
	want("ce_specversion", "1.0")
	want("ce_type", e.Type)
	want("ce_subject", string(e.Key))
	want("ce_dataschema", fmt.Sprintf("%s/v%d", e.Type, e.Version))
	want("content-type", "application/avro")
	if !uuid.MatchString(e.ID()) {
		errs = append(errs, fmt.Errorf("ce_id %q is no UUID", e.ID()))
	}
	if !strings.HasPrefix(e.Headers["ce_source"], "/services/") {
		errs = append(errs, fmt.Errorf("ce_source is %q", e.Headers["ce_source"]))
	}
	if at, err := time.Parse(time.RFC3339Nano, e.Headers["ce_time"]); err != nil || e.Time.Sub(at).Abs() > time.Minute {
		errs = append(errs, fmt.Errorf("ce_time is %q, the record's time %v", e.Headers["ce_time"], e.Time))
	}
	if cause == nil {
		want("ce_causationid", "")
		want("ce_hop", "0")
	} else {
		hop, _ := strconv.Atoi(cause.Headers["ce_hop"])
		want("ce_correlationid", cause.Flow())
		want("ce_causationid", cause.ID())
		want("ce_hop", strconv.Itoa(hop+1))
	}
	errs = append(errs, checkID(e))
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("%s %s: %w", e, e.Type, err)
	}
	return nil
}

var uuid = regexp.MustCompile(`^[0-9a-f]{8}-[0-9a-f]{4}-[78][0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$`)

// asks reports whether e is a question of one service to others.
func (e *Event) asks() bool { return e.Headers["ce_replyto"] != "" }

// checkID demands the id that follows from what led to e, if e is the first of
// its type and key that its reaction emitted, as all events of these services
// are: another event, or a request, whose id the first event of its flow has. A
// question has an id of its own.
func checkID(e *Event) error {
	if e.asks() || e.ID() == e.Flow() {
		return nil
	}
	service := strings.TrimPrefix(e.Headers["ce_source"], "/services/")
	if want := DerivedID(cmp.Or(e.Cause(), e.Flow()), service, e.Headers["ce_reaction"], e.Type, string(e.Key), "0", ""); e.ID() != want {
		return fmt.Errorf("ce_id is %s, what led to it gives %s", e.ID(), want)
	}
	return nil
}

// DerivedID is an id made of parts, as the wire format says: a UUID of version
// 8 out of the SHA-256 of the parts, each behind its length.
func DerivedID(parts ...string) string {
	var text []byte
	for _, p := range parts {
		text = append(binary.AppendUvarint(text, uint64(len(p))), p...)
	}
	h := sha256.Sum256(text)
	h[6], h[8] = h[6]&0x0f|0x80, h[8]&0x3f|0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", h[:4], h[4:6], h[6:8], h[8:10], h[10:16])
}

// CheckEmits demands that the events which one reaction emitted for one event
// count themselves rightly: i/n for each i from 1 to n, but for those that are
// not due yet.
func CheckEmits(events []*Event) error {
	counts := map[string][]string{}
	waits := map[string]bool{}
	for _, e := range events {
		if reaction := e.Headers["ce_reaction"]; reaction != "" && !e.asks() {
			by := fmt.Sprintf("%s of %s for %s", reaction, e.Headers["ce_source"], cmp.Or(e.Cause(), e.Flow()))
			counts[by] = append(counts[by], e.Headers["ce_emit"])
			waits[by] = waits[by] || e.Type == "bookings.BookingCreated"
		}
	}
	for by, got := range counts {
		n := len(got)
		if waits[by] && n == 1 {
			n = 2 // its BookingExpired is due later
		}
		slices.Sort(got)
		for i := range got {
			if want := fmt.Sprintf("%d/%d", i+1, n); got[i] != want {
				return fmt.Errorf("reaction %s emitted %d events that count %q", by, n, got)
			}
		}
	}
	return nil
}

// CheckOrder demands order per key, of what was written first of each event: no
// event lies before its cause in the same partition, and of two events of one
// key in one partition that one service emitted, the one lies first whose cause
// lay first, where the causes too were of one key in one partition.
func (l *Log) CheckOrder() error {
	type lane struct {
		source     string
		at, from   string // topic and partition of the events, and of their causes
		key, heard string
	}
	type pair struct{ event, cause *Event }
	lanes := map[lane][]pair{}
	for _, e := range l.Events() {
		cause := l.Event(e.Cause())
		if cause == nil {
			continue
		}
		at, from := place(e), place(cause)
		if at == from && cause.Offset >= e.Offset {
			return fmt.Errorf("%s %s lies before its cause %s", e, e.Type, cause)
		}
		k := lane{e.Headers["ce_source"], at, from, string(e.Key), string(cause.Key)}
		lanes[k] = append(lanes[k], pair{e, cause})
	}
	for k, pairs := range lanes {
		slices.SortStableFunc(pairs, func(a, b pair) int { return cmp.Compare(a.event.Offset, b.event.Offset) })
		for i := 1; i < len(pairs); i++ {
			if pairs[i-1].cause.Offset > pairs[i].cause.Offset {
				return fmt.Errorf("key %s: %s handled %s before %s", k.key, k.source, pairs[i-1].cause, pairs[i].cause)
			}
		}
	}
	return nil
}

func place(e *Event) string { return fmt.Sprintf("%s/%d", e.Topic, e.Partition) }
