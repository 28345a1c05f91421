package runtime

import (
	"bytes"
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/troupedev/troupe/platform/choreo"
	"github.com/troupedev/troupe/platform/contract"
	"github.com/troupedev/troupe/platform/event"
	"github.com/troupedev/troupe/platform/failpoint"
	"github.com/troupedev/troupe/platform/kafka"
	"github.com/troupedev/troupe/platform/store"
	"github.com/troupedev/troupe/platform/store/storetest"
)

// notebook is a [Database] that only remembers what was handled.
type notebook struct {
	handled  map[store.Entry]bool
	messages []choreo.Message
	reads    int
	away     int // calls that find it away
}

func (n *notebook) Handle(ctx context.Context, e store.Entry, handle func(context.Context) ([]choreo.Message, error)) (bool, error) {
	if n.away > 0 {
		n.away--
		return false, fmt.Errorf("no connection: %w", driver.ErrBadConn)
	}
	if n.handled[e] {
		return true, nil
	}
	messages, err := handle(ctx)
	if err == nil {
		n.messages = append(n.messages, messages...)
		n.handled[e] = true
	}
	return false, err
}

func (n *notebook) Read(ctx context.Context, read func(context.Context) error) error {
	n.reads++
	return read(ctx)
}

func newNotebook() *notebook { return &notebook{handled: map[store.Entry]bool{}} }

func TestAStoredServicePublishesByItsOutbox(t *testing.T) {
	l := newNotebook()
	s := serviceOf(ServiceOptions{Database: l}, func(context.Context, sold) (choreo.Events, error) {
		return choreo.Emit(packed{"1", "now"}).After(time.Hour, packed{"1", "later"}), nil
	}, choreo.Emits(packed{}))
	if r := handle(t, s, 1); r.Outcome != Handled || len(r.Messages) != 0 || r.Duplicate || r.Err != nil {
		t.Errorf("got %+v", r)
	}
	if len(l.messages) != 2 || !l.messages[1].Due.Equal(noon.Add(time.Hour)) || !l.handled[store.Entry{Reaction: "Sold", ID: "id-1"}] {
		t.Errorf("kept %+v", l)
	}
	if r := handle(t, s, 2); r.Outcome != Handled || len(r.Messages) != 0 || !r.Duplicate {
		t.Errorf("again: got %+v", r)
	}
}

func TestAnOutageDoesNotCount(t *testing.T) {
	l := newNotebook()
	l.away = 9
	s := serviceOf(ServiceOptions{Database: l, Jitter: func() float64 { return 1 }}, func(context.Context, sold) (choreo.Events, error) {
		return nil, errors.New("broken")
	}, choreo.Retries(choreo.Retry{Attempts: 1}))
	r := record(t, sold{"1", "web"})
	w := &s.Judge(&r).Work[0]
	var waits []string
	for l.away > 0 {
		got := s.Handle(t.Context(), w, 1, noon)
		if got.Outcome != TryAgain || !got.Outage || got.Err == nil {
			t.Fatalf("got %+v", got)
		}
		waits = append(waits, got.Wait.String())
	}
	if got := strings.Join(waits, " "); got != "50ms 100ms 200ms 400ms 800ms 1.6s 2.5s 2.5s 2.5s" {
		t.Errorf("waits %s", got)
	}
	if got := s.Handle(t.Context(), w, 1, noon); got.Outcome != GivenUp || got.Outage || w.outages != 0 {
		t.Errorf("got %+v after it", got)
	}
	for name, err := range map[string]error{
		"called permanent": choreo.Permanent(driver.ErrBadConn), "with a wait of its own": choreo.RetryAfter(time.Hour, driver.ErrBadConn),
	} {
		s := serviceOf(ServiceOptions{Database: l}, func(context.Context, sold) (choreo.Events, error) { return nil, err })
		if got := handle(t, s, 1); got.Outcome != TryAgain || !got.Outage || got.Wait > firstOutage {
			t.Errorf("%s: got %+v", name, got)
		}
	}
	none := serviceOf(ServiceOptions{}, func(context.Context, sold) (choreo.Events, error) { return nil, driver.ErrBadConn })
	if got := handle(t, none, 1); got.Outage {
		t.Errorf("without a store: got %+v", got)
	}
}

func TestStepsOfAnAttemptCanFail(t *testing.T) {
	for _, step := range []string{failpoint.HandlerStarts, failpoint.HandlerEnded} {
		ran := false
		s := serviceOf(ServiceOptions{}, func(context.Context, sold) (choreo.Events, error) { ran = true; return nil, nil })
		ctx := failpoint.With(t.Context(), func(reached string) error {
			if reached == step {
				return errors.New("died at " + step)
			}
			return nil
		})
		r := record(t, sold{"1", "web"})
		got := s.Handle(ctx, &s.Judge(&r).Work[0], 1, noon)
		if got.Outcome != TryAgain || got.Err == nil || ran != (step == failpoint.HandlerEnded) {
			t.Errorf("%s: ran %t, %+v", step, ran, got)
		}
	}
}

// clerk hears Sold, asks where it is, and packs it there; office answers.
func clerk(ask func(context.Context, asked) (told, error)) choreo.Service {
	return choreo.Service{Name: "clerk", Reactions: []choreo.Reaction{choreo.On(func(ctx context.Context, e sold) (choreo.Events, error) {
		reply, err := ask(ctx, asked{e.ID})
		if err != nil {
			return nil, err
		}
		return choreo.Emit(packed{e.ID, reply.Where}), nil
	}, choreo.Emits(asked{}, packed{}), choreo.Retries(choreo.Retry{Attempts: 3, First: 10 * time.Millisecond}))}}
}

func ask(ctx context.Context, q asked) (told, error) { return choreo.Ask(ctx, q) }

func office() choreo.Service {
	return choreo.Service{Name: "office", Reactions: []choreo.Reaction{choreo.Answer(onAsked)}}
}

func TestAHandlerAsksAsItsReactionDeclares(t *testing.T) {
	var got choreo.Message
	o := ServiceOptions{Prefix: "x.", Ask: func(_ context.Context, m choreo.Message) ([]byte, error) {
		got = m
		return contract.Append(nil, told{"1", "there"})
	}}
	topology := choreo.Topology{clerk(ask)}
	s := NewService(topology, &topology[0], o)
	sale := record(t, sold{"1", "web"})
	sale.Topic = "x.shop"
	result := s.Handle(t.Context(), &s.Judge(&sale).Work[0], 1, noon)
	if result.Outcome != Handled || len(result.Messages) != 1 {
		t.Fatalf("got %+v", result)
	}
	e, err := event.ParseHeaders(got.Headers)
	if err != nil {
		t.Fatal(err)
	}
	late := e.Time.Add(choreo.DefaultPatience)
	if e.ID == "" || e.Cause != "id-1" || e.ReplyTo != "x.troupe.replies.clerk" || e.Time.Before(noon) || e.Expiry.Before(late.Add(-time.Second)) || e.Expiry.After(late) {
		t.Errorf("asked by %+v", e)
	}
}

func TestAHandlerCannotAsk(t *testing.T) {
	db := storetest.Open(t, store.Memory, "clerk", effects, nil)
	answer := func(context.Context, choreo.Message) ([]byte, error) { return contract.Append(nil, told{}) }
	for name, c := range map[string]struct {
		options ServiceOptions
		ask     func(context.Context) error
		cause   Cause
		says    string
	}{
		"what it does not declare": {ServiceOptions{Ask: answer}, func(ctx context.Context) error { _, err := choreo.Ask(ctx, probed{"1"}); return err },
			CauseUndeclared, "choreo.Emits(Probed{})"},
		"where nobody is": {ServiceOptions{}, func(ctx context.Context) error { _, err := ask(ctx, asked{"1"}); return err },
			CausePermanent, "ServiceOptions.Ask is nil"},
		"within its transaction": {ServiceOptions{Ask: answer, Database: db}, func(ctx context.Context) error {
			store.Tx(ctx)
			_, err := ask(ctx, asked{"1"})
			return err
		}, CausePermanent, "clerk: reaction Sold asks depot.Asked/v1 after its first use of store.Tx"},
	} {
		t.Run(name, func(t *testing.T) {
			topology := choreo.Topology{clerk(func(ctx context.Context, _ asked) (told, error) { return told{}, c.ask(ctx) })}
			got := handle(t, NewService(topology, &topology[0], c.options), 1)
			if got.Outcome != GivenUp || got.Cause != c.cause || !strings.Contains(got.Err.Error(), c.says) {
				t.Errorf("got %+v", got)
			}
		})
	}
}

// request is a question as the clerk would have published it.
func request(t testing.TB, id string, change ...func(*event.Envelope)) func() (*Service, *notebook, Verdict) {
	return func() (*Service, *notebook, Verdict) {
		topology, l := choreo.Topology{office()}, newNotebook()
		s := NewAnswers(topology, &topology[0], ServiceOptions{Database: l})
		r := record(t, asked{id}, change...)
		return s, l, s.Judge(&r)
	}
}

func replyTo(topic string) func(*event.Envelope) {
	return func(e *event.Envelope) { e.ReplyTo = topic }
}

func TestAnAnswerGoesWhereItIsWanted(t *testing.T) {
	for _, topic := range []string{"troupe.replies.clerk", ""} {
		s, l, v := request(t, "1", replyTo(topic))()
		for range 2 { // a request that comes twice is answered twice
			got := s.Handle(t.Context(), &v.Work[0], 1, noon)
			if got.Outcome != Handled || len(got.Messages) != 1 || got.Messages[0].Topic != topic || got.Messages[0].Domain != "depot" {
				t.Errorf("got %+v", got)
			}
		}
		if l.reads != 2 || len(l.handled) != 0 {
			t.Errorf("read %d times, handled %v", l.reads, l.handled)
		}
	}
}

func TestAnswersAreKeptFromOtherTopics(t *testing.T) {
	for _, topic := range []string{"shop", "troupe.services", "y.troupe.replies.clerk"} {
		if _, _, v := request(t, "1", replyTo(topic))(); v.Cause != CauseReplyTopic || len(v.Work) != 0 {
			t.Errorf("%s: judged %q, %v", topic, v.Cause, v.Err)
		}
	}
}

func TestALateRequestIsNotAnswered(t *testing.T) {
	s, _, v := request(t, "1", func(e *event.Envelope) { e.Expiry = noon.Add(-time.Second) })()
	if got := s.Handle(t.Context(), &v.Work[0], 1, noon); !got.Expired || len(got.Messages) != 0 {
		t.Errorf("got %+v", got)
	}
}

func TestRequestsAreHeardByWhoAnswersAlone(t *testing.T) {
	topology := choreo.Topology{office()}
	topology[0].Reactions = append(topology[0].Reactions, choreo.On(onSold), choreo.OnTopic("depot", onAny, choreo.Named("all")))
	r := record(t, asked{"1"}, replyTo("anywhere"))
	heard := NewService(topology, &topology[0], ServiceOptions{}).Judge(&r)
	if got := reactions(&heard); fmt.Sprint(got) != "[all]" || heard.Cause != "" {
		t.Errorf("heard by %v, %q", got, heard.Cause)
	}
	r = record(t, sold{"1", "web"})
	answered := NewAnswers(topology, &topology[0], ServiceOptions{}).Judge(&r)
	if got := reactions(&answered); len(got) > 0 {
		t.Errorf("answered by %v", got)
	}
}

// One dead letter is enough, and the service's other group writes it.
func TestGarbageIsNoRequest(t *testing.T) {
	topology := choreo.Topology{office()}
	answers := NewAnswers(topology, &topology[0], ServiceOptions{})
	good := record(t, asked{"1"})
	for name, r := range map[string]kafka.Record{
		"no headers":     {Topic: good.Topic, Value: good.Value},
		"no value":       {Topic: good.Topic},
		"no value of us": {Topic: good.Topic, Value: []byte(`{"id":"1"}`)},
	} {
		if v := answers.Judge(&r); v.Cause != "" || len(v.Work) > 0 {
			t.Errorf("%s: judged %q, %v", name, v.Cause, v.Err)
		}
	}
	broken := good
	broken.Value = append(bytes.Clone(good.Value), 0)
	if v := answers.Judge(&broken); v.Cause != CauseTrailingBytes {
		t.Errorf("a request that cannot be read: judged %q", v.Cause)
	}
}
