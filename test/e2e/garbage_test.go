package e2e

import (
	"bytes"
	"context"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/troupedev/troupe/test/rig"
)

// megabyte is a record's value of about the size that a topic takes at most: 1 MiB
// with what surrounds it.
const megabyte = 1<<20 - 512

// garbage is a record that nobody can handle.
type garbage struct {
	name  string
	value []byte
	ours  bool // with the headers of an event that is heard
	cause string
}

// garbageLike makes bad records out of a good event.
func garbageLike(e *rig.Event, schemas *rig.Schemas) []garbage {
	unknown := bytes.Clone(e.Value)
	for schemas.Knows(idOf(unknown)) {
		unknown[4]++
	}
	half := e.Value[:len(e.Value)/2]
	out := []garbage{
		{name: "no headers", value: e.Value, cause: "not-an-event"},
		{name: "a byte too many", value: append(bytes.Clone(e.Value), 0), ours: true, cause: "trailing-bytes"},
	}
	for _, ours := range []bool{false, true} {
		out = append(out,
			garbage{"empty", []byte{}, ours, "empty"},
			garbage{"tombstone", nil, ours, "tombstone"},
			garbage{"wrong magic", []byte(`{"orderId": "o-1"}`), ours, "bad-magic"},
			garbage{"unknown id", unknown, ours, "unknown-schema"},
			garbage{"1 MB", bytes.Repeat([]byte{0xff}, megabyte), ours, "bad-magic"},
		)
	}
	return append(out,
		garbage{"truncated", half, true, "truncated"},
		garbage{"truncated, no headers", half, false, "not-an-event"},
	)
}

func idOf(value []byte) uint32 {
	return uint32(value[1])<<24 | uint32(value[2])<<16 | uint32(value[3])<<8 | uint32(value[4])
}

// sent is one bad record, where it went.
type sent struct {
	garbage
	*rig.Record
	dead []string // topics that it must come to lie in
}

func TestGarbageAmongOrders(t *testing.T) {
	s := newStage(t)
	ctx := within(t, 6*time.Minute)
	samples := s.samples(ctx)

	var orders []placed
	var bad []sent
	var g errgroup.Group
	g.Go(func() error {
		orders = s.place(ctx, rig.Ending(), 20, 40)
		return nil
	})
	g.Go(func() (err error) {
		bad, err = s.throw(ctx, samples)
		return err
	})
	if err := g.Wait(); err != nil {
		t.Fatal(err)
	}
	s.ended(2*time.Minute, orders, true)
	await(t, time.Minute, func(context.Context) error { return s.buried(bad) })
	if got, want := len(s.log.DeadLetters()), buriedTimes(bad); got != want {
		t.Errorf("%d dead letters, want %d", got, want)
	}
}

// samples are events to make garbage of, one of each domain, of types that are
// heard: those that one request of each kind leads to.
func (s *stage) samples(ctx context.Context) map[string]*rig.Event {
	s.ended(30*time.Second, s.place(ctx, rig.Everything(), 1, 50), true)
	out := map[string]*rig.Event{}
	for _, e := range s.log.Events() {
		if _, ofType := hearing(s.T, e.Topic, e.Type); out[e.Topic] == nil || len(ofType) > 0 {
			out[e.Topic] = e
		}
	}
	if len(out) != len(s.schemas.Domains()) {
		s.Fatalf("requests led to events of %d domains, there are %d", len(out), len(s.schemas.Domains()))
	}
	return out
}

// throw writes garbage of every kind to every domain's topic: under a key of its
// own, without a key, and under the key of an order that has flowed.
func (s *stage) throw(ctx context.Context, samples map[string]*rig.Event) ([]sent, error) {
	w, err := rig.NewWriter(s.brokers)
	if err != nil {
		return nil, err
	}
	defer w.Close()
	var out []sent
	for domain, e := range samples {
		ofTopic, ofType := hearing(s.T, domain, e.Type)
		for i, g := range garbageLike(e, s.schemas) {
			heard := ofTopic
			headers := map[string]string{"note": g.name}
			if g.ours {
				heard = ofType
				maps.Copy(headers, e.Headers)
				headers["ce_id"] = "garbage " + domain + strconv.Itoa(i)
				headers["ce_correlationid"] = headers["ce_id"]
			}
			r := sent{g, &rig.Record{
				Topic: domain, Key: [][]byte{[]byte("k-" + strconv.Itoa(i)), nil, e.Key}[i%3],
				Value: g.value, Headers: headers,
			}, nil}
			for _, service := range heard {
				r.dead = append(r.dead, "dlq."+service+"."+domain)
			}
			if err := w.Write(ctx, r.Record); err != nil {
				return nil, fmt.Errorf("%s: %w", g.name, err)
			}
			out = append(out, r)
		}
	}
	return out, nil
}

// buried demands that each bad record is a dead letter of each service that
// hears it, with its cause and as it was.
func (s *stage) buried(bad []sent) error {
	type grave struct{ dead, partition, offset string }
	letters := map[grave]rig.Record{}
	for _, d := range s.log.DeadLetters() {
		letters[grave{d.Topic, d.Headers["troupe_dlq_partition"], d.Headers["troupe_dlq_offset"]}] = d
	}
	for _, b := range bad {
		for _, topic := range b.dead {
			d, ok := letters[grave{topic, strconv.Itoa(int(b.Partition)), strconv.FormatInt(b.Offset, 10)}]
			what := fmt.Sprintf("%s (%s, our headers: %v) in %s", b.Record, b.name, b.ours, topic)
			switch {
			case !ok:
				return fmt.Errorf("no dead letter of %s", what)
			case d.Headers["troupe_dlq_cause"] != b.cause:
				return fmt.Errorf("%s: cause is %q, want %q", what, d.Headers["troupe_dlq_cause"], b.cause)
			case d.Headers["troupe_dlq_error"] == "":
				return fmt.Errorf("%s: no error", what)
			case !same(d.Value, b.Value) || !same(d.Key, b.Key):
				return fmt.Errorf("%s: key or value is not what was written", what)
			}
			for name, value := range b.Headers {
				if d.Headers[name] != value {
					return fmt.Errorf("%s: header %s is %q, was %q", what, name, d.Headers[name], value)
				}
			}
		}
	}
	return nil
}

// same tells nothing apart from an empty value.
func same(a, b []byte) bool { return bytes.Equal(a, b) && (a == nil) == (b == nil) }

func buriedTimes(bad []sent) (n int) {
	for _, b := range bad {
		n += len(slices.Compact(b.dead))
	}
	return n
}
