package runtime

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/troupedev/troupe/platform/choreo"
	"github.com/troupedev/troupe/platform/event"
	"github.com/troupedev/troupe/platform/kafka"
	"github.com/troupedev/troupe/platform/kafka/kafkatest"
	"github.com/troupedev/troupe/platform/store"
	"github.com/troupedev/troupe/platform/store/storetest"
)

var discard = slog.New(slog.DiscardHandler)

// packer hears Sold and answers with Packed.
func packer(name string) choreo.Service {
	return choreo.Service{Name: name, Reactions: []choreo.Reaction{choreo.On(func(_ context.Context, e sold) (choreo.Events, error) {
		return choreo.Emit(packed{e.ID, name}), nil
	}, choreo.Emits(packed{}))}}
}

// head gathers what packers answer, and says so.
func head(done func(sold, []packed)) choreo.Service {
	return choreo.Service{Name: "head", Store: effects, Reactions: []choreo.Reaction{choreo.Gather(func(_ context.Context, e sold, all []packed) (choreo.Events, error) {
		done(e, all)
		return choreo.Emit(shipped{e.ID}), nil
	}, choreo.Emits(shipped{}))}}
}

// seller hears Asked and emits Sold.
func seller() choreo.Service {
	return choreo.Service{Name: "seller", Reactions: []choreo.Reaction{choreo.On(func(_ context.Context, e asked) (choreo.Events, error) {
		return choreo.Emit(sold{e.ID, "web"}), nil
	}, choreo.Emits(sold{}))}}
}

func announcement(t testing.TB, s choreo.Service) *kafka.Record {
	t.Helper()
	value, err := json.Marshal(Announcement{s.View(), noon})
	if err != nil {
		t.Fatal(err)
	}
	return &kafka.Record{Key: []byte(s.Name), Value: value}
}

func TestADirectoryKnowsWhoIsToAnswer(t *testing.T) {
	d := NewDirectory(choreo.Topology{packer("one"), seller()})
	expects := func(want string) {
		t.Helper()
		if got := fmt.Sprintf("%#v %v", d.Expects(typesSold[0]), d.Expects(typesPacked[0])); got != want+" []" {
			t.Errorf("expects %s, want %s", got, want)
		}
	}
	hear := func(r *kafka.Record) {
		t.Helper()
		if err := d.hear(r); err != nil {
			t.Fatal(err)
		}
	}
	expects(`[]string(nil)`)
	hear(announcement(t, head(nil)))
	expects(`[]string{"one"}`)
	hear(announcement(t, packer("two")))
	all := packer("all")
	all.Reactions = []choreo.Reaction{choreo.OnTopic("shop", onAny, choreo.Emits(packed{}))}
	hear(announcement(t, all))
	quiet := packer("quiet")
	quiet.Reactions = []choreo.Reaction{choreo.On(onSold), choreo.OnTopic("depot", onAny, choreo.Emits(packed{}))}
	hear(announcement(t, quiet))
	expects(`[]string{"all", "one", "two"}`)
	hear(&kafka.Record{Key: []byte("all")})
	hear(&kafka.Record{Key: []byte("one")}) // it runs here nevertheless
	expects(`[]string{"one", "two"}`)
	hear(&kafka.Record{Key: []byte("head")})
	expects(`[]string(nil)`)
	if got := NewDirectory(choreo.Topology{head(nil)}).Expects(typesSold[1]); got == nil || len(got) > 0 {
		t.Errorf("where nobody answers: %#v", got)
	}
}

func TestADirectoryKnowsWhoAnswersRequests(t *testing.T) {
	d := NewDirectory(choreo.Topology{office(), clerk(ask)})
	if got := d.Answering(typesAsked[0]); !slices.Equal(got, []string{"office"}) {
		t.Errorf("got %v", got)
	}
	if got := d.Answering(typesProbed[0]); len(got) > 0 {
		t.Errorf("got %v", got)
	}
}

func TestADirectoryPassesGarbageOver(t *testing.T) {
	d := NewDirectory(nil)
	for name, r := range map[string]*kafka.Record{
		"no JSON":          {Key: []byte("x"), Value: []byte("{")},
		"empty":            {Key: []byte("x"), Value: []byte{}},
		"another key":      {Key: []byte("x"), Value: []byte(`{"name":"y"}`)},
		"no name":          {Value: []byte(`{}`)},
		"a name too short": {Key: []byte{}, Value: []byte(`{"name":""}`)},
	} {
		if err := d.hear(r); err == nil || !strings.Contains(err.Error(), "not an announcement") {
			t.Errorf("%s: %v", name, err)
		}
	}
	if len(d.announced) > 0 {
		t.Errorf("took %v", d.announced)
	}
}

func FuzzAnnouncement(f *testing.F) {
	f.Add([]byte("head"), announcement(f, head(nil)).Value)
	f.Add([]byte("x"), []byte(`{"name":"x","reactions":[{"hears":"/","gathers":"."}]}`))
	f.Fuzz(func(t *testing.T, key, value []byte) {
		d := NewDirectory(choreo.Topology{packer("one"), head(nil)})
		if err := d.hear(&kafka.Record{Key: key, Value: value}); err == nil && value != nil && d.announced[string(key)].Name != string(key) {
			t.Errorf("%q is announced as %v", key, d.announced)
		}
		if got := d.Expects(typesSold[0]); !slices.Contains(got, "one") && string(key) != "one" {
			t.Errorf("expects %v", got)
		}
	})
}

func TestServicesAreAnnouncedAndForgotten(t *testing.T) {
	s := newSite(t, kafkatest.Broker(t))
	if got, err := Announced(t.Context(), s.client, s.prefix); err != nil || len(got) > 0 {
		t.Errorf("before anybody ran: %v, %v", got, err)
	}
	s.run(choreo.Topology{packer("two"), packer("one")})()
	began := time.Now()
	got, err := Announced(t.Context(), s.client, s.prefix)
	if err != nil || len(got) != 2 || got[0].Name != "one" || got[1].Name != "two" || began.Sub(got[0].Announced).Abs() > time.Minute {
		t.Errorf("got %+v, %v", got, err)
	}
	s.publish(kafka.Record{Topic: "troupe.services", Key: []byte("x"), Value: []byte("garbage")})
	if err := Forget(t.Context(), s.client, s.prefix, "one"); err != nil {
		t.Error(err)
	}
	if err := Forget(t.Context(), s.client, s.prefix, "one"); err == nil || !strings.Contains(err.Error(), `"one" is not announced`) {
		t.Errorf("forgotten twice: %v", err)
	}
	if got, err := Announced(t.Context(), s.client, s.prefix); err != nil || len(got) != 1 || got[0].Name != "two" {
		t.Errorf("got %+v, %v", got, err)
	}
}

// eventually waits until something holds.
func eventually(t testing.TB, what string, holds func() bool) {
	t.Helper()
	deadline := time.After(patience)
	for tick := time.Tick(5 * time.Millisecond); !holds(); {
		select {
		case <-tick:
		case <-deadline:
			t.Fatal("not so: ", what)
		}
	}
}

func TestGatheringWaitsForServicesOfOtherProcesses(t *testing.T) {
	s := newSite(t, kafkatest.Broker(t))
	var done calls
	topology := choreo.Topology{seller(), head(func(e sold, all []packed) { done.add("%s:%v", e.ID, all) }), packer("one"), packer("two"), packer("three")}
	directory := NewDirectory(nil)
	stores := map[string]*store.DB{"head": storetest.Open(t, store.Memory, "head", effects, nil).DB}
	s.run(topology, only("two"))
	s.run(topology, only("seller", "head", "one"), func(o *Options) { o.Databases, o.Directory = stores, directory })
	s.publish(record(t, asked{"a"}))
	s.read(s.prefix+"depot", 2, shippedIDs("a"))
	s.run(topology, only("three"))
	eventually(t, "three is known", func() bool { return len(directory.Expects(typesSold[1])) == 3 })
	s.publish(record(t, asked{"b"}))
	s.read(s.prefix+"depot", 2, shippedIDs("b"))
	if got := done.String(); got != "a:[{a one} {a two}] b:[{b one} {b three} {b two}]" {
		t.Errorf("gathered %s", got)
	}
}

func TestARunNeedsItsDatabases(t *testing.T) {
	err := Run(t.Context(), choreo.Topology{head(nil)}, Options{Client: &kafka.Client{}})
	if err == nil || !strings.Contains(err.Error(), "service head declares a Store and Databases has none for it: open one by store.Open") {
		t.Errorf("got %v", err)
	}
}

func TestARequestThatSaysNothingOfAnswersWaitsForThoseWhoRun(t *testing.T) {
	for _, c := range []struct {
		name    string
		running choreo.Topology
		expects []string // in the header; nil: none
		alone   bool     // the request completes it
	}{
		{"nothing is said, and one answers", choreo.Topology{packer("one")}, nil, false},
		{"nothing is said, and nobody answers", nil, nil, true},
		{"nobody is said to answer", choreo.Topology{packer("one")}, []string{}, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			var done calls
			topology := append(choreo.Topology{head(func(e sold, all []packed) { done.add("%s:%v", e.ID, all) })}, c.running...)
			s := NewService(topology, &topology[0], ServiceOptions{
				Database: storetest.Open(t, store.Memory, "head", effects, nil), Expects: NewDirectory(topology).Expects,
			})
			hear := func(r kafka.Record) {
				t.Helper()
				for _, w := range s.Judge(&r).Work {
					if got := s.Handle(t.Context(), &w, 1, noon); got.Outcome != Handled {
						t.Fatalf("got %+v", got)
					}
				}
			}
			hear(record(t, sold{"a", "web"}, func(e *event.Envelope) { e.Expects = c.expects }))
			if got := done.String() != ""; got != c.alone {
				t.Errorf("complete at once: %t, want %t", got, c.alone)
			}
			hear(record(t, packed{"a", "one"}, func(e *event.Envelope) { e.ID, e.Cause, e.Source = "answer", "id-a", choreo.Source("one") }))
			if got := done.String(); c.alone != (got == "a:[]") || !c.alone && got != "a:[{a one}]" {
				t.Errorf("gathered %q", got)
			}
		})
	}
}

// The shop keeps its events for 7 days, and the depot for ever.
func TestARunNeedsInboxesThatOutlastTopics(t *testing.T) {
	const day = 24 * time.Hour
	for keep, refused := range map[time.Duration]bool{14 * day: false, 7 * day: true, time.Hour: true} {
		var log strings.Builder
		db, err := store.Open(t.Context(), store.Config{URL: store.Memory, Service: "head", Tables: effects, KeepInbox: keep})
		if err != nil {
			t.Fatal(err)
		}
		o := Options{Client: &kafka.Client{}, Databases: map[string]*store.DB{"head": db}, Logger: slog.New(slog.NewTextHandler(&log, nil))}
		err = o.inboxFaults(choreo.Topology{head(nil), packer("one")}, choreo.Topology{head(nil)})
		if refused != (err != nil) || refused && !strings.Contains(err.Error(), "topic shop keeps them for 168h0m0s: what is redelivered after that would be handled again; raise --keep-inbox") {
			t.Errorf("an inbox kept for %v: %v", keep, err)
		}
		if said := log.String(); strings.Count(said, "for ever") != 1 || !strings.Contains(said, "topic=depot") {
			t.Errorf("an inbox kept for %v: said %q", keep, said)
		}
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	}
}
