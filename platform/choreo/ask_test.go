package choreo_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/troupedev/troupe/platform/choreo"
	"github.com/troupedev/troupe/platform/contract"
	"github.com/troupedev/troupe/platform/event"
)

// oracle answers what is asked with a value or an error.
type oracle struct {
	value    []byte
	err      error
	asked    event.Event
	patience time.Duration
}

func (o *oracle) Ask(ctx context.Context, request event.Event) ([]byte, error) {
	o.asked = request
	deadline, _ := ctx.Deadline()
	o.patience = time.Until(deadline)
	return o.value, o.err
}

func encoded(t *testing.T, e event.Event) []byte {
	t.Helper()
	value, err := contract.Append(nil, e)
	if err != nil {
		t.Fatal(err)
	}
	return value
}

func TestAskReturnsTheReply(t *testing.T) {
	o := &oracle{value: encoded(t, found{"a", "there"})}
	got, err := choreo.Ask(choreo.WithAsker(t.Context(), o), wanted{"a"})
	if err != nil || got != (found{"a", "there"}) {
		t.Errorf("got %+v, %v", got, err)
	}
	if o.asked != (wanted{"a"}) {
		t.Errorf("asked %+v", o.asked)
	}
	if o.patience <= choreo.DefaultPatience-time.Minute || o.patience > choreo.DefaultPatience {
		t.Errorf("waits for %v", o.patience)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	if _, err := choreo.Ask(choreo.WithAsker(ctx, o), wanted{"a"}); err != nil || o.patience > time.Second {
		t.Errorf("waits for %v, longer than its context, %v", o.patience, err)
	}
}

func TestAskSaysWhatIsWrong(t *testing.T) {
	late := &choreo.NoReplyError{Request: typesWanted[0], From: []string{"office"}, Waited: 1500 * time.Millisecond}
	for name, c := range map[string]struct {
		asker     choreo.Asker
		permanent bool
		says      string
	}{
		"no asker":          {nil, true, "only the handler of a reaction can ask"},
		"no reply":          {&oracle{err: late}, false, "no reply to shop.Wanted/v1 within 1.5s: waited for office"},
		"another event":     {&oracle{value: encoded(t, paid{"a"})}, false, "ask shop.Wanted/v1: the reply: "},
		"a reply of nobody": {&oracle{value: nil}, false, "ask shop.Wanted/v1: the reply: "},
	} {
		t.Run(name, func(t *testing.T) {
			ctx := t.Context()
			if c.asker != nil {
				ctx = choreo.WithAsker(ctx, c.asker)
			}
			_, err := choreo.Ask(ctx, wanted{"a"})
			if err == nil || !strings.Contains(err.Error(), c.says) || choreo.IsPermanent(err) != c.permanent {
				t.Errorf("got %v, permanent %t", err, choreo.IsPermanent(err))
			}
		})
	}
	if !errors.Is(late, context.DeadlineExceeded) {
		t.Error("no reply in time is no exceeded deadline")
	}
	nobody := &choreo.NoReplyError{Request: typesWanted[0], Waited: time.Second}
	if !strings.Contains(nobody.Error(), "no running service answers it") {
		t.Error(nobody)
	}
}

func TestAnAnswerIsAReactionThatEmitsItsReply(t *testing.T) {
	r := choreo.Answer(onWanted)
	if r.Name() != "Wanted" || r.Reply() != typesFound[0] || !slices.Equal(r.Emits(), typesFound) || r.Gathers() {
		t.Errorf("reaction %s, reply %v, emits %v", r.Name(), r.Reply(), r.Emits())
	}
	got, err := r.Handle(t.Context(), wanted{"a"})
	if err != nil || len(got) != 1 || got[0].Event != (found{"a", "here"}) {
		t.Errorf("got %+v, %v", got, err)
	}
	if _, err := r.Handle(t.Context(), paid{"a"}); !choreo.IsPermanent(err) {
		t.Errorf("of another event: %v", err)
	}
	fails := choreo.Answer(func(context.Context, wanted) (found, error) { return found{}, errors.New("lost") })
	if got, err := fails.Handle(t.Context(), wanted{"a"}); err == nil || got != nil {
		t.Errorf("got %+v, %v", got, err)
	}
}

func TestAServiceHearsWhatItDoesNotAnswer(t *testing.T) {
	s := listener(choreo.Answer(onWanted), choreo.On(onArrived, choreo.Emits(wanted{}, paid{})))
	if hears, answers := s.Hears(), s.Answers(); !slices.Equal(hears, []string{"port"}) || !slices.Equal(answers, []string{"shop"}) {
		t.Errorf("hears %v, answers %v", hears, answers)
	}
	if asks := s.Asks(); !slices.Equal(asks, typesWanted) {
		t.Errorf("asks %v", asks)
	}
}

func TestReplyTopics(t *testing.T) {
	for topic, want := range map[string]bool{
		choreo.ReplyTopic("x.", "till"): true, choreo.ReplyTopic("", "till"): false, choreo.ReplyTopic("y.", "till"): false,
		"x.shop": false, "x.troupe.services": false, choreo.AnnouncementTopic("x."): false, "": false,
	} {
		if got := choreo.IsReplyTopic("x.", topic); got != want {
			t.Errorf("%q: %t", topic, got)
		}
	}
}
