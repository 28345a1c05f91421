package runtime

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/troupedev/troupe/platform/event"
	"github.com/troupedev/troupe/platform/kafka"
)

func letter() DeadLetter {
	return DeadLetter{
		Cause: CausePanic, Error: "panic: broken", Stack: "goroutine 1", Attempts: 3,
		First: noon, Last: noon.Add(time.Second),
		Topic: "shop", Partition: 2, Offset: 1 << 40,
		Service: "packer", Reaction: "Sold", Host: "here",
	}
}

func TestDeadLetterKeepsWhatTheRecordWas(t *testing.T) {
	origin := record(t, sold{"1", "web"})
	for name, r := range map[string]kafka.Record{
		"an event":       origin,
		"no key":         {Topic: "shop", Value: origin.Value, Headers: origin.Headers},
		"tombstone":      {Topic: "shop", Key: origin.Key, Headers: origin.Headers},
		"empty":          {Topic: "shop", Key: []byte{}, Value: []byte{}},
		"nothing at all": {Topic: "shop"},
	} {
		t.Run(name, func(t *testing.T) {
			want := letter()
			got := want.Record(&r)
			if !got.Time.Equal(want.Last) {
				t.Errorf("time %v, want that of the last failure", got.Time)
			}
			if got.Topic != "dlq.packer.shop" || !reflect.DeepEqual(got.Key, r.Key) || !reflect.DeepEqual(got.Value, r.Value) {
				t.Errorf("got %s key %v value %v", got.Topic, got.Key, got.Value)
			}
			for i, h := range r.Headers {
				if !reflect.DeepEqual(got.Headers[i], h) {
					t.Errorf("header %s became %s", h.Key, got.Headers[i].Key)
				}
			}
			parsed, err := ParseDeadLetter(got.Headers)
			if err != nil || parsed != want {
				t.Errorf("parsed %+v, %v", parsed, err)
			}
		})
	}
}

func TestDeadLetterOfADeadLetterHasOneSetOfHeaders(t *testing.T) {
	first, second := letter(), letter()
	second.Cause, second.Stack, second.Attempts = CausePermanent, "", 1
	origin := record(t, sold{"1", "web"})
	r := first.Record(&origin)
	r = second.Record(&r)
	if got, err := ParseDeadLetter(r.Headers); err != nil || got != second {
		t.Errorf("parsed %+v, %v", got, err)
	}
}

func TestDeadLetterBoundsItsTexts(t *testing.T) {
	d := letter()
	d.Error, d.Stack = strings.Repeat("ä", textLimit), "\xff"+strings.Repeat("x", 3*textLimit)
	got, err := ParseDeadLetter(d.Record(&kafka.Record{}).Headers)
	if err != nil {
		t.Fatal(err)
	}
	for _, text := range []string{got.Error, got.Stack} {
		if len(text) > textLimit || len(text) < textLimit-2 || !utf8.ValidString(text) {
			t.Errorf("%d bytes, valid %t", len(text), utf8.ValidString(text))
		}
	}
}

func TestParseDeadLetterNamesTheHeader(t *testing.T) {
	if _, err := ParseDeadLetter(nil); !errors.Is(err, ErrNotDeadLetter) {
		t.Errorf("no headers: %v", err)
	}
	for _, name := range []string{HeaderAttempts, HeaderFirst, HeaderLast, HeaderPartition, HeaderOffset, HeaderValueSize} {
		_, err := ParseDeadLetter([]event.Header{{Key: HeaderCause, Value: []byte("panic")}, {Key: name, Value: []byte("soon")}})
		if err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestShortenedDeadLetterFitsAndSaysWhatTheValueWas(t *testing.T) {
	const limit = 1_000_000 // less than a topic takes by default
	huge := bytes.Repeat([]byte("x"), 3<<20)
	sum := sha256.Sum256(huge)
	for name, c := range map[string]struct {
		origin  kafka.Record
		value   int
		headers int // of the record's own
	}{
		"the value":            {kafka.Record{Key: []byte("k"), Value: huge, Headers: []event.Header{{Key: "a", Value: []byte("1")}}}, shortLimit, 1},
		"a header":             {kafka.Record{Value: []byte("v"), Headers: []event.Header{{Key: "a"}, {Key: "b", Value: huge}, {Key: "c"}}}, 1, 1},
		"many headers":         {kafka.Record{Value: []byte("v"), Headers: slices.Repeat([]event.Header{{Key: "name", Value: []byte("content")}}, 1<<18)}, 1, shortLimit / len("namecontent")},
		"the key of tombstone": {kafka.Record{Key: huge}, 0, 0},
	} {
		t.Run(name, func(t *testing.T) {
			d := letter()
			d.Error, d.Stack = strings.Repeat("e", textLimit), strings.Repeat("s", textLimit)
			before := c.origin
			r := d.Record(d.shorten(&c.origin))
			if n := size(&r); n > limit {
				t.Errorf("still %d bytes", n)
			}
			if !reflect.DeepEqual(c.origin, before) {
				t.Error("the origin was changed")
			}
			if len(r.Value) != c.value || (r.Value == nil) != (c.origin.Value == nil) || !bytes.HasPrefix(c.origin.Value, r.Value) || !bytes.HasPrefix(c.origin.Key, r.Key) {
				t.Errorf("value %d bytes, key %d", len(r.Value), len(r.Key))
			}
			if got := slices.IndexFunc(r.Headers, func(h event.Header) bool { return strings.HasPrefix(h.Key, headerPrefix) }); got != c.headers {
				t.Errorf("%d headers of the record", got)
			}
			parsed, err := ParseDeadLetter(r.Headers)
			if err != nil || parsed != d {
				t.Errorf("parsed %+v, %v", parsed, err)
			}
			if parsed.ValueSize != len(c.origin.Value) || name == "the value" && parsed.ValueSHA256 != hex.EncodeToString(sum[:]) {
				t.Errorf("says %d bytes, %s", parsed.ValueSize, parsed.ValueSHA256)
			}
		})
	}
}
