package choreotest_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/troupedev/troupe/platform/choreo"
	"github.com/troupedev/troupe/platform/choreotest"
	"github.com/troupedev/troupe/platform/contract"
	"github.com/troupedev/troupe/platform/event"
	"github.com/troupedev/troupe/platform/web"
)

// counted is an event as the generator would write it.
type counted struct {
	ID string `avro:"id"`
	N  int64  `avro:"n"`
}

var types = event.Versions(event.Type{
	Domain: "counting", Name: "Counted", Version: 1, ID: 7, Topic: &event.Topic{Name: "counting"},
	Schema: `{"type":"record","name":"Counted","namespace":"counting","doc":"d","fields":[
		{"name":"id","type":"string","doc":"d","key":true},{"name":"n","type":"long","doc":"d"}]}`,
})

func (counted) EventType() *event.Type { return types[0] }
func (c counted) Key() string          { return c.ID }
func (c counted) EncodeAvro(w *contract.Writer) {
	w.String("id", c.ID)
	w.Long(c.N)
}
func (c *counted) DecodeAvro(r *contract.Reader) error {
	c.ID, c.N = r.String(), r.Long()
	return r.Err()
}

// counter is a service whose one reaction is h.
func counter(h func(context.Context, counted) (choreo.Events, error)) choreo.Service {
	return choreo.Service{Name: "counter", Doc: "Counts.", Reactions: []choreo.Reaction{
		choreo.On(h, choreo.Emits(counted{})),
	}}
}

// countdown counts down to 0.
func countdown(_ context.Context, c counted) (choreo.Events, error) {
	if c.N == 0 {
		return nil, nil
	}
	return choreo.Emit(counted{c.ID, c.N - 1}), nil
}

func TestEventsLeadToEventsUntilNobodySaysMore(t *testing.T) {
	choreotest.Play(t, func(s *choreotest.Stage) {
		s.Send(counted{"a", 3})
		s.Emitted(counted{"a", 0}, counted{"a", 1}, counted{"a", 2})
		s.NothingElse()
		if all := choreotest.All[counted](s); len(all) != 4 || all[0].N != 3 {
			t.Errorf("all events are %v, want what was sent and what was emitted", all)
		}
	}, counter(countdown))
}

func TestFailedAttemptsAreRepeatedWithoutTimePassing(t *testing.T) {
	choreotest.Play(t, func(s *choreotest.Stage) {
		s.Send(counted{"a", 3}, counted{"b", 1})
		s.Emitted(counted{"a", 0}, counted{"b", 0})
		s.NothingElse()
	}, counter(func(ctx context.Context, c counted) (choreo.Events, error) {
		if c.N > 0 && event.From(ctx).Attempt < 3 {
			return nil, errors.New("not yet")
		}
		return countdown(ctx, counted{c.ID, min(c.N, 1)})
	}))
}

func TestRoutesStartFlows(t *testing.T) {
	type request struct {
		Body struct {
			N int64 `json:"n" minimum:"0"`
		}
	}
	service := counter(countdown)
	service.Routes = []choreo.Route{web.Post("/counts", func(_ context.Context, in *request) (struct{}, choreo.Events, error) {
		return struct{}{}, choreo.Emit(counted{"a", in.Body.N}), nil
	}, choreo.Emits(counted{}))}
	choreotest.Play(t, func(s *choreotest.Stage) {
		if status, answer := s.Request("POST", "/counts", `{"n":1}`); status != 202 {
			t.Errorf("got %d %s", status, answer)
		}
		s.Emitted(counted{"a", 1}, counted{"a", 0})
		if status, _ := s.Request("POST", "/counts", `{"n":-1}`); status != 422 {
			t.Errorf("a bad request got %d", status)
		}
		s.NothingElse()
	}, service)
}

func TestAnswersAreReadAsWhatTheyAre(t *testing.T) {
	type stock struct {
		Left int `json:"left"`
	}
	service := counter(countdown)
	service.Routes = []choreo.Route{web.Get("/stock", func(context.Context, *struct{}) (stock, error) { return stock{3}, nil })}
	choreotest.Play(t, func(s *choreotest.Stage) {
		if got := choreotest.Get[stock](s, "/stock"); got.Left != 3 {
			t.Errorf("got %+v", got)
		}
	}, service)
	r := &record{TB: t}
	r.play(func(s *choreotest.Stage) { choreotest.Request[stock](s, 202, "GET", "/stock", "") }, service)
	if len(r.said) != 1 || !strings.Contains(r.said[0], `GET /stock: got 200 {"left":3}`) {
		t.Errorf("it said %q, want the answer", r.said)
	}
}

// record is a test that keeps what it is told instead of failing.
type record struct {
	testing.TB
	said   []string
	failed bool
}

func (r *record) Helper() {}

func (r *record) Failed() bool { return r.failed }

func (r *record) Errorf(format string, args ...any) {
	r.failed = true
	r.Logf(format, args...)
}

func (r *record) Logf(format string, args ...any) {
	r.said = append(r.said, fmt.Sprintf(format, args...))
}

func (r *record) Fatal(args ...any) { r.Fatalf("%s", fmt.Sprint(args...)) }

// Fatalf ends the play by a panic that play catches.
func (r *record) Fatalf(format string, args ...any) {
	r.Errorf(format, args...)
	panic(r)
}

// play is choreotest.Play, ended early where something is fatal.
func (r *record) play(script func(*choreotest.Stage), services ...choreo.Service) {
	defer func() {
		if p := recover(); p != nil && p != any(r) {
			panic(p)
		}
	}()
	choreotest.Play(r, script, services...)
}

func TestPlayFailsATestFor(t *testing.T) {
	runs := 0
	for name, c := range map[string]struct {
		handler func(context.Context, counted) (choreo.Events, error)
		script  func(*choreotest.Stage)
		says    string
	}{
		"an event that nobody emitted": {countdown,
			func(s *choreotest.Stage) { s.Send(counted{"a", 0}); s.Emitted(counted{"a", 9}) }, "nobody emitted counting.Counted/v1"},
		"an event that was emitted once, not twice": {countdown,
			func(s *choreotest.Stage) { s.Send(counted{"a", 1}); s.Emitted(counted{"a", 0}, counted{"a", 0}) }, "nobody emitted"},
		"an event that nobody named": {countdown,
			func(s *choreotest.Stage) { s.Send(counted{"a", 1}); s.NothingElse() }, `counting.Counted {"id":"a","n":0}`},
		"a dead letter that nobody asked for": {
			func(context.Context, counted) (choreo.Events, error) {
				return nil, choreo.Permanent(errors.New("broken"))
			},
			func(s *choreotest.Stage) { s.Send(counted{"a", 0}) }, "counter: a dead letter that nothing asked for"},
		"a dead letter that is not there": {countdown,
			func(s *choreotest.Stage) { s.Send(counted{"a", 0}); s.Dead("counter", "broken") }, `counter has no dead letter for "broken"`},
		"a handler that depends on more than the event": {
			func(_ context.Context, c counted) (choreo.Events, error) {
				if c.N == 0 {
					return nil, nil
				}
				runs++
				return choreo.Emit(counted{fmt.Sprint(runs), 0}), nil
			},
			func(s *choreotest.Stage) { s.Send(counted{"a", 1}) }, "run twice for one counting.Counted"},
		"services that call each other in a loop": {
			func(_ context.Context, c counted) (choreo.Events, error) { return choreo.Emit(c), nil },
			func(s *choreotest.Stage) { s.Send(counted{"a", 1}) }, "hop-limit"},
		"services that multiply each other's events": {
			func(_ context.Context, c counted) (choreo.Events, error) { return choreo.Emit(c, c), nil },
			func(s *choreotest.Stage) { s.Send(counted{"a", 1}) }, "led to more than 10000 events"},
	} {
		t.Run(name, func(t *testing.T) {
			r := &record{TB: t}
			r.play(c.script, counter(c.handler))
			if all := strings.Join(r.said, "\n"); !strings.Contains(all, c.says) {
				t.Errorf("it said %q, want %q", all, c.says)
			}
		})
	}
}

func TestADeadLetterThatIsAskedForIsExpected(t *testing.T) {
	choreotest.Play(t, func(s *choreotest.Stage) {
		s.Send(counted{"a", 0}, counted{"b", 0})
		s.Dead("counter", "attempts")
		s.Dead("counter", "gone")
	}, counter(func(_ context.Context, c counted) (choreo.Events, error) {
		if c.ID == "a" {
			return nil, errors.New("busy")
		}
		return nil, choreo.Permanent(errors.New("the account is gone"))
	}))
}

func TestPlayRefusesAServiceThatIsNotValid(t *testing.T) {
	r := &record{TB: t}
	service := counter(countdown)
	service.Reactions = append(service.Reactions,
		choreo.On(countdown, choreo.Named("misspelt"), choreo.Where("m", choreo.Is(1)), choreo.Emits(counted{})))
	r.play(func(*choreotest.Stage) {}, service)
	if len(r.said) != 1 || !strings.Contains(r.said[0], "filter on m") {
		t.Errorf("it said %q, want the fault of the filter", r.said)
	}
}
