package store

import (
	"bytes"
	"testing"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/troupedev/troupe/platform/event"
)

func FuzzHeadersComeBackAsTheyWere(f *testing.F) {
	f.Add("ce_id", "0198", "traceparent", "00-1-2-01")
	f.Add("", "", "a\"b\\", "\x7f\n\t ключ 🍐 <&>")
	f.Fuzz(func(t *testing.T, key1, value1, key2, value2 string) {
		for _, text := range []string{key1, value1, key2, value2} {
			if !isText(text) {
				return
			}
		}
		headers := []event.Header{{Key: key1, Value: []byte(value1)}, {Key: key2, Value: []byte(value2)}}
		text := appendHeaders(nil, headers)
		got, err := parseHeaders(text)
		if err != nil || len(got) != 2 {
			t.Fatalf("%s: %q, %v", text, got, err)
		}
		for i, h := range headers {
			if got[i].Key != h.Key || !bytes.Equal(got[i].Value, h.Value) {
				t.Errorf("%s: got %q, want %q", text, got[i], h)
			}
		}
	})
}

func FuzzHeadersThatWereNotOurs(f *testing.F) {
	for _, text := range []string{`{}`, `{"a":"b"}`, `{"a":1}`, `[]`, `{"a":"b"`, ``} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		headers, err := parseHeaders(text)
		if err != nil {
			return
		}
		again, err := parseHeaders(appendHeaders(nil, headers))
		if err != nil || len(again) != len(headers) {
			t.Errorf("%q: %q, then %q, %v", text, headers, again, err)
		}
	})
}

func TestNotificationsOfOthersSayNothing(t *testing.T) {
	for _, test := range []struct {
		payload string
		want    bucketSet
		ok      bool
	}{
		{"0", 0, true},
		{"8000000000000001", setOf(0, 63), true},
		{"", 0, false},
		{"reload", 0, false},
		{"10000000000000000", 0, false},
	} {
		got, ok := parseNotification(&pgconn.Notification{Payload: test.payload})
		if ok != test.ok || ok && got != test.want {
			t.Errorf("%q: %x, %v", test.payload, got, ok)
		}
	}
}

func TestABucketSetIsListedRoundItsEnd(t *testing.T) {
	got := setOf(1, 5, 62).from(6)
	if len(got) != 3 || got[0] != 62 || got[1] != 1 || got[2] != 5 {
		t.Errorf("%v", got)
	}
	if allBuckets.len() != bucketCount || len(allBuckets.from(17)) != bucketCount {
		t.Error("all are not all")
	}
}

func TestLocksAreTakenInOneOrder(t *testing.T) {
	got := sorted([]uint64{1 << 63, 3, 1<<64 - 1, 3})
	if len(got) != 3 || got[0] >= got[1] || got[1] >= got[2] {
		t.Errorf("%v", got)
	}
}
