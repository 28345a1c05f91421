package runtime

import (
	"errors"
	"reflect"
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
	for _, name := range []string{HeaderAttempts, HeaderFirst, HeaderLast, HeaderPartition, HeaderOffset} {
		_, err := ParseDeadLetter([]event.Header{{Key: HeaderCause, Value: []byte("panic")}, {Key: name, Value: []byte("soon")}})
		if err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
