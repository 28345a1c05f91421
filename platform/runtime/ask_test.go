package runtime

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/troupedev/troupe/platform/choreo"
	"github.com/troupedev/troupe/platform/contract"
	"github.com/troupedev/troupe/platform/event"
	"github.com/troupedev/troupe/platform/kafka"
	"github.com/troupedev/troupe/platform/kafka/kafkatest"
)

// packedIDs is enough when the things of all ids are packed.
func packedIDs(ids ...string) func(kafka.Record) bool {
	missing := map[string]bool{}
	for _, id := range ids {
		missing[id] = true
	}
	return func(r kafka.Record) bool {
		if e, err := event.ParseHeaders(r.Headers); err == nil && e.Type == typesPacked[0].FullName() {
			delete(missing, string(r.Key))
		}
		return len(missing) == 0
	}
}

// whats are what was packed, by id.
func whats(t *testing.T, records []kafka.Record) map[string]string {
	t.Helper()
	out := map[string]string{}
	for _, r := range records {
		if e, err := event.ParseHeaders(r.Headers); err != nil || e.Type != typesPacked[0].FullName() {
			continue
		}
		p := packed{}
		if err := contract.Decode(r.Value, typesPacked[0], &p); err != nil {
			t.Fatal(err)
		}
		out[p.ID] = p.What
	}
	return out
}

func sales(t testing.TB, ids ...string) []kafka.Record {
	records := make([]kafka.Record, len(ids))
	for i, id := range ids {
		records[i] = record(t, sold{id, "web"})
	}
	return records
}

func TestRepliesReachTheInstanceThatAsked(t *testing.T) {
	s := newSite(t, kafkatest.Broker(t))
	topology := choreo.Topology{clerk(nil), office()}
	here := map[string]*atomic.Int64{"first": {}, "second": {}}
	clerkOf := func(name string) choreo.Topology {
		return choreo.Topology{clerk(func(ctx context.Context, q asked) (told, error) {
			reply, err := ask(ctx, q)
			if err == nil {
				here[name].Add(1)
			}
			return reply, err
		}), topology[1]}
	}
	s.run(topology, only("office"))
	s.run(topology, only("office"))
	s.run(clerkOf("first"), only("clerk"))
	s.run(clerkOf("second"), only("clerk"))
	all := ids("order-", 60)
	s.publish(sales(t, all...)...)
	for id, what := range whats(t, s.read(s.prefix+"depot", 2, packedIDs(all...))) {
		if what != "here" {
			t.Errorf("%s: %s", id, what)
		}
	}
	for name, n := range here {
		if n.Load() == 0 {
			t.Errorf("the %s clerk got no reply", name)
		}
	}
}

func TestNoReplyInTimeSaysWhomItWaitedFor(t *testing.T) {
	s := newSite(t, kafkatest.Broker(t))
	impatient := choreo.Topology{clerk(func(ctx context.Context, q asked) (told, error) {
		ctx, cancel := context.WithTimeout(ctx, 500*time.Millisecond)
		defer cancel()
		return ask(ctx, q)
	})}
	stop := s.run(impatient)
	s.publish(sales(t, "1")...)
	nobody := s.read("dlq.clerk."+s.prefix+"shop", 3, count(1))
	stop()
	s.run(choreo.Topology{office()})() // announces itself, and is gone
	s.run(impatient)
	s.publish(sales(t, "2")...)
	both := s.read("dlq.clerk."+s.prefix+"shop", 3, count(2))
	for id, c := range map[string]struct {
		letters []kafka.Record
		says    string
	}{"1": {nobody, "no running service answers it"}, "2": {both, "waited for office"}} {
		for _, r := range c.letters {
			d, err := ParseDeadLetter(r.Headers)
			if err != nil {
				t.Fatal(err)
			}
			if string(r.Key) == id && (d.Cause != CauseAttempts || d.Attempts != 3 || !strings.Contains(d.Error, "no reply to depot.Asked/v1 within") || !strings.Contains(d.Error, c.says)) {
				t.Errorf("%s: %s after %d: %s", id, d.Cause, d.Attempts, d.Error)
			}
		}
	}
}

func TestAnAskerThatRestartsAsksAgain(t *testing.T) {
	s := newSite(t, kafkatest.Broker(t))
	asking := make(chan struct{}, 10)
	topology := choreo.Topology{clerk(func(ctx context.Context, q asked) (told, error) {
		asking <- struct{}{}
		return ask(ctx, q)
	}), office()}
	stop := s.run(topology, only("clerk"), func(o *Options) { o.Drain = time.Millisecond })
	s.publish(sales(t, "1")...)
	<-asking
	s.read(s.prefix+"depot", 2, count(1)) // the request, which nobody hears
	stop()
	s.run(topology)
	requests := 0
	packs := packedIDs("1")
	s.read(s.prefix+"depot", 2, func(r kafka.Record) bool {
		if e, err := event.ParseHeaders(r.Headers); err == nil && e.Type == typesAsked[0].FullName() {
			requests++
		}
		return packs(r) && requests > 1
	})
	if requests != 2 {
		t.Errorf("asked %d times", requests)
	}
}

// curious hears Sold, asks, and packs; it answers the other's questions.
func curious[Q event.Request[told]](name string, question func(id string) Q, answer choreo.Reaction) choreo.Service {
	q := question("")
	return choreo.Service{Name: name, Reactions: []choreo.Reaction{answer, choreo.On(func(ctx context.Context, e sold) (choreo.Events, error) {
		reply, err := choreo.Ask(ctx, event.Request[told](question(e.ID)))
		if err != nil {
			return nil, err
		}
		return choreo.Emit(packed{name + e.ID, reply.Where}), nil
	}, choreo.Emits(q, packed{}))}}
}

func TestServicesThatAskEachOtherDoNotLockUp(t *testing.T) {
	s := newSite(t, kafkatest.Broker(t))
	onProbed := func(_ context.Context, q probed) (told, error) { return told{q.ID, "there"}, nil }
	s.run(choreo.Topology{
		curious("left", func(id string) asked { return asked{id} }, choreo.Answer(onProbed)),
		curious("right", func(id string) probed { return probed{id} }, choreo.Answer(onAsked)),
	}, oneByOne)
	all := ids("order-", 20)
	s.publish(sales(t, all...)...)
	began := time.Now()
	s.read(s.prefix+"depot", 2, packedIDs(append(ids("leftorder-", 20), ids("rightorder-", 20)...)...))
	if d := time.Since(began); d > choreo.DefaultPatience {
		t.Errorf("took %v", d)
	}
}

func TestRequestsFromOutsideAreAnswered(t *testing.T) {
	s := newSite(t, kafkatest.Broker(t))
	// The clerk is there for its topic of replies.
	s.run(choreo.Topology{clerk(ask), office()}, func(o *Options) { o.Drain = 10 * time.Millisecond })
	wants := func(id, topic string) kafka.Record {
		return record(t, asked{id}, replyTo(topic), func(e *event.Envelope) { e.ID = "id" + id + topic })
	}
	here, nowhere := s.prefix+"troupe.replies.clerk", s.prefix+"troupe.replies.nobody"
	expired := record(t, asked{"late"}, replyTo(here), func(e *event.Envelope) { e.Expiry = noon.AddDate(-1, 0, 0) })
	s.publish(wants("1", here), wants("1", here), wants("2", ""), wants("3", s.prefix+"shop"), expired, wants("4", nowhere), wants("5", here))
	replies := s.read(here, 1, count(3))
	got := map[string]string{}
	for _, r := range replies {
		e, err := event.ParseHeaders(r.Headers)
		if err != nil {
			t.Fatal(err)
		}
		got[string(r.Key)] += " " + e.ID
	}
	if same := strings.Fields(got["1"]); len(got) != 2 || len(same) != 2 || same[0] != same[1] || got["5"] == "" {
		t.Errorf("replies %v", got)
	}
	s.read(s.prefix+"depot", 2, func(r kafka.Record) bool {
		e, err := event.ParseHeaders(r.Headers)
		return err == nil && e.Type == typesTold[0].FullName() && e.Cause == "id2"
	})
	for _, r := range s.read("dlq.office."+s.prefix+"depot", 2, count(1)) {
		if d, err := ParseDeadLetter(r.Headers); err != nil || d.Cause != CauseReplyTopic {
			t.Errorf("dead letter %+v, %v", d, err)
		}
	}
}

func TestAReplyThatCannotBeProducedHoldsUpNobody(t *testing.T) {
	gone := errors.New("no such topic")
	for name, c := range map[string]struct {
		messages []choreo.Message
		err      error
		lasting  bool
	}{
		"a reply":                  {[]choreo.Message{{Topic: "troupe.replies.clerk"}}, gone, true},
		"a reply to the domain":    {[]choreo.Message{{Domain: "depot"}}, gone, false},
		"a reply that is too long": {[]choreo.Message{{Topic: "troupe.replies.clerk"}}, kafka.ErrTooLarge, false},
		"a reply that arrives":     {[]choreo.Message{{Topic: "troupe.replies.clerk"}}, nil, true},
	} {
		t.Run(name, func(t *testing.T) {
			f := replies{&produce{sender: failing{c.err}}, discard}
			f.Finish(t.Context(), []completion{{work: 7, messages: c.messages}}, func(work int32, err error) {
				if work != 7 || (err == nil) != c.lasting {
					t.Errorf("work %d: %v", work, err)
				}
			})
		})
	}
}

// failing is a sender that fails, or does not, with an error.
type failing struct{ err error }

func (f failing) Send(_ context.Context, _ []kafka.Record, done func(error)) { done(f.err) }

func TestRepliesOfOthersArePassedOver(t *testing.T) {
	a := &asker{log: discard, pending: map[string]pending{"mine": {"depot.Told", make(chan []byte, 1)}}}
	reply := record(t, told{"1", "here"}, func(e *event.Envelope) { e.Cause = "mine" })
	other := record(t, told{"1", "here"}, func(e *event.Envelope) { e.Cause = "other" })
	wrong := record(t, packed{"1", "here"}, func(e *event.Envelope) { e.Cause = "mine" })
	value := a.pending["mine"].value
	for _, r := range []kafka.Record{{Value: []byte("?")}, other, wrong} {
		if a.hear(&r); len(value) > 0 {
			t.Errorf("took %s", r.Value)
		}
	}
	a.hear(&reply)
	a.hear(&reply) // comes twice
	if got := <-value; fmt.Sprint(got) != fmt.Sprint(reply.Value) || len(a.pending) != 0 {
		t.Errorf("got %v; pending %v", got, a.pending)
	}
}

func TestAnAskerGoesOnWhereItsTopicWasMadeAnew(t *testing.T) {
	s := newSite(t, kafkatest.Broker(t))
	topology := choreo.Topology{clerk(ask)}
	if err := s.client.Provision(t.Context(), Topics(topology, topology, s.prefix)); err != nil {
		t.Fatal(err)
	}
	a := newAsker("clerk", Options{Client: s.client, Producer: s.producer, Prefix: s.prefix, Logger: discard, Directory: NewDirectory(nil)})
	value := make(chan []byte, 1)
	a.pending["mine"] = pending{"depot.Told", value}
	ctx, cancel := context.WithCancel(t.Context())
	var following sync.WaitGroup
	following.Go(func() { a.follow(ctx, 99) }) // as the topic was before
	reply := record(t, told{"1", "here"}, func(e *event.Envelope) { e.Cause = "mine" })
	reply.Topic = "troupe.replies.clerk"
	eventually(t, "a reply is heard", func() bool { s.publish(reply); return len(value) > 0 })
	cancel()
	following.Wait()
}
