package choreo_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/troupedev/troupe/platform/choreo"
	"github.com/troupedev/troupe/platform/event"
)

// keeper is a [choreo.Gatherer] that notes what it is told and returns what it has.
type keeper struct {
	told string
	all  *choreo.Gathered
	err  error
}

func (k *keeper) Request(_ context.Context, reaction, id string, value []byte, expected []string) (*choreo.Gathered, error) {
	k.told = fmt.Sprintf("request %s %s %v %d", reaction, id, expected, len(value))
	return k.all, k.err
}

func (k *keeper) Answer(_ context.Context, reaction, id, service string, value []byte) (*choreo.Gathered, error) {
	k.told = fmt.Sprintf("answer %s %s %s %d", reaction, id, service, len(value))
	return k.all, k.err
}

// gathers is a reaction that notes in got what it was run for.
func gathers(got *string, o ...choreo.Option) choreo.Reaction {
	return choreo.Gather(func(_ context.Context, c closed, all []found) (choreo.Events, error) {
		*got = fmt.Sprint(c, all)
		return choreo.Emit(paid(c)), nil
	}, append(o, choreo.Emits(paid{}))...)
}

func TestAGatheringKeepsWhatItHears(t *testing.T) {
	var ran string
	r := gathers(&ran, choreo.Named("all"))
	if !r.Gathers() || r.Name() != "all" || !slices.Equal(r.Hears(), []*event.Type{typesClosed[0], typesFound[0]}) {
		t.Errorf("reaction %s hears %v", r.Name(), r.Hears())
	}
	meta := event.Meta{ID: "id", Cause: "cause", Source: choreo.Source("office"), Expects: []string{"depot", "office"}}
	for want, e := range map[string]event.Event{
		"request all id [depot office] 7": closed{"a"},
		"answer all cause office 12":      found{"a", "here"},
	} {
		k := &keeper{}
		out, err := r.Handle(event.With(choreo.WithGatherer(t.Context(), k), meta), e)
		if err != nil || out != nil || ran != "" || k.told != want {
			t.Errorf("%T: told %q, want %q; ran for %q, emitted %v, %v", e, k.told, want, ran, out, err)
		}
	}
}

func TestAGatheringRunsOnceComplete(t *testing.T) {
	var ran string
	r := gathers(&ran)
	k := &keeper{all: &choreo.Gathered{
		Request: encoded(t, closed{"a"}), Answers: [][]byte{encoded(t, found{"a", "one"}), encoded(t, found{"a", "two"})},
	}}
	out, err := r.Handle(choreo.WithGatherer(t.Context(), k), found{"a", "two"})
	if err != nil || len(out) != 1 || ran != "{a} [{a one} {a two}]" {
		t.Errorf("ran for %q, emitted %v, %v", ran, out, err)
	}
	ran, k.all.Answers = "", nil
	if _, err := r.Handle(choreo.WithGatherer(t.Context(), k), closed{"a"}); err != nil || ran != "{a} []" {
		t.Errorf("where nobody answers: ran for %q, %v", ran, err)
	}
}

func TestAGatheringFails(t *testing.T) {
	var ran string
	r := gathers(&ran)
	away := errors.New("away")
	for name, c := range map[string]struct {
		gatherer  choreo.Gatherer
		permanent bool
		says      string
	}{
		"without a database":  {nil, true, "declare a Store"},
		"a database away":     {&keeper{err: away}, false, "away"},
		"a broken request":    {&keeper{all: &choreo.Gathered{Request: []byte{1}}}, true, "gathered shop.Closed/v1"},
		"a broken answer":     {&keeper{all: &choreo.Gathered{Request: encoded(t, closed{"a"}), Answers: [][]byte{{0}}}}, true, "gathered shop.Found/v1"},
		"an answer of others": {&keeper{all: &choreo.Gathered{Request: encoded(t, closed{"a"}), Answers: [][]byte{encoded(t, paid{"a"})}}}, true, "gathered shop.Found/v1"},
	} {
		t.Run(name, func(t *testing.T) {
			ctx := t.Context()
			if c.gatherer != nil {
				ctx = choreo.WithGatherer(ctx, c.gatherer)
			}
			_, err := r.Handle(ctx, closed{"a"})
			if err == nil || !strings.Contains(err.Error(), c.says) || choreo.IsPermanent(err) != c.permanent || ran != "" {
				t.Errorf("got %v, permanent %t; ran for %q", err, choreo.IsPermanent(err), ran)
			}
		})
	}
}

func TestAGatheringIsShown(t *testing.T) {
	var ran string
	s := stored(gathers(&ran))
	v := s.View()
	if r := v.Reactions[0]; !v.Store || r.Hears != "shop.Closed/v1" || r.Gathers != "shop.Found/v1" || r.Answers != "" {
		t.Errorf("got %+v", v)
	}
	a := listener(choreo.Answer(onWanted))
	if r := a.View().Reactions[0]; r.Answers != "shop.Found/v1" || r.Gathers != "" {
		t.Errorf("got %+v", r)
	}
	var text strings.Builder
	view := choreo.Topology{s}.View()
	if err := view.Text(&text); err != nil || !strings.Contains(text.String(), "shop.Closed/v1 and every shop.Found/v1  -> shop.Paid/v1") {
		t.Errorf("got %v\n%s", err, &text)
	}
	text.Reset()
	if err := view.DOT(&text); err != nil || !strings.Contains(text.String(), `"shop.Found" -> "listener"`) {
		t.Errorf("got %v\n%s", err, &text)
	}
}
