package choreo_test

import (
	"math"
	"strings"
	"testing"
	"time"

	"github.com/troupedev/troupe/platform/choreo"
)

func listener(reactions ...choreo.Reaction) choreo.Service {
	return choreo.Service{Name: "listener", Doc: "Listens.", Reactions: reactions}
}

// stored listens with a database.
func stored(reactions ...choreo.Reaction) choreo.Service {
	s := listener(reactions...)
	s.Store = tables{}
	return s
}

// closer emits Closed, so that others may answer it.
func closer() choreo.Service {
	return choreo.Service{Name: "closer", Doc: "Closes.", Routes: []choreo.Route{
		route{"POST", "/closures", []choreo.Option{choreo.Emits(closed{})}},
	}}
}

// asks sends requests.
func asks() choreo.Service {
	return choreo.Service{Name: "asks", Doc: "Asks.", Reactions: []choreo.Reaction{
		choreo.On(onArrived, choreo.Emits(wanted{})),
	}}
}

func TestValidateAcceptsWhatHoldsTogether(t *testing.T) {
	topology := choreo.Topology{
		till(),
		listener(
			choreo.On(onBought, choreo.Where("channel", choreo.Is("web")), choreo.Where("coupon", choreo.Exists()),
				choreo.Either(choreo.Where("total", choreo.Between(1, 2)), choreo.Where("to.city", choreo.Prefix("Ber"))),
				choreo.Emits(paid{})),
			choreo.On(onBought, choreo.Named("again"), choreo.Timeout(time.Second), choreo.Within(time.Hour)),
			choreo.On(onPaid), // its own event
			choreo.OnTopic("shop", onAny),
			choreo.On(onArrived), choreo.OnTopic("port", onAny), // its events come from outside
		),
	}
	if err := topology.Validate(); err != nil {
		t.Error(err)
	}
	topology = choreo.Topology{
		till(), asks(), listener(choreo.Answer(onWanted)), closer(),
		{Name: "finder", Doc: "Finds.", Reactions: []choreo.Reaction{choreo.On(onClosed, choreo.Emits(found{}))}},
		{Name: "gatherer", Doc: "Gathers.", Store: tables{}, Reactions: []choreo.Reaction{choreo.Gather(onAllFound, choreo.Emits(paid{}))}},
	}
	if err := topology.Validate(); err != nil {
		t.Error(err)
	}
}

func TestValidateNamesTheFault(t *testing.T) {
	for name, c := range map[string]struct {
		topology choreo.Topology
		says     string
	}{
		"a name that is none": {
			choreo.Topology{{Name: "My Service", Doc: "d", Routes: till().Routes}}, `service "My Service": a name is lower-case`},
		"no doc":           {choreo.Topology{{Name: "quiet", Routes: till().Routes}}, "quiet: Doc is missing"},
		"an empty service": {choreo.Topology{{Name: "idle", Doc: "d"}}, "idle: it hears nothing and serves nothing"},
		"two of one name":  {choreo.Topology{till(), till()}, "till: two services have this name"},
		"two of one route": {choreo.Topology{till(), {Name: "other", Doc: "d", Routes: till().Routes}}, "other: route POST /sales is served by till already"},
		"an unheard-of event": {
			choreo.Topology{listener(choreo.On(onPaid))}, "listener: reaction Paid: nobody emits shop.Paid"},
		"an unheard-of domain": {
			choreo.Topology{listener(choreo.OnTopic("moon", onAny))}, "nobody emits an event of domain moon"},
		"two reactions of one name": {
			choreo.Topology{till(), listener(choreo.On(onBought), choreo.On(onBought))}, "two reactions are called Bought; give one of them another name by choreo.Named"},
		"a domain of Troupe's own": {
			choreo.Topology{listener(choreo.On(onImported))}, "domain retry is the name of Troupe's own topics"},
		"within less than the retries": {
			choreo.Topology{till(), listener(choreo.On(onBought, choreo.Timeout(time.Minute), choreo.Within(5*time.Minute)))}, "late after 5m0s, but its 10 attempts of 1m0s"},
		"a timeout of nothing": {
			choreo.Topology{till(), listener(choreo.On(onBought, choreo.Timeout(0)))}, "timeout 0s is not above 0"},
		"no attempts": {
			choreo.Topology{till(), listener(choreo.On(onBought, choreo.Retries(choreo.Retry{Attempts: -1})))}, "-1 attempts, want at least 1"},
		"waits that shrink": {
			choreo.Topology{till(), listener(choreo.On(onBought, choreo.Retries(choreo.Retry{First: time.Minute, Max: time.Second})))}, "waits from 1m0s to 1s"},
		"a filter on a whole topic": {
			choreo.Topology{till(), listener(choreo.OnTopic("shop", onAny, choreo.Where("id", choreo.Is("x"))))}, "cannot have a filter"},
		"a filter on a field that is not there": {
			choreo.Topology{till(), listener(choreo.On(onBought, choreo.Where("chanel", choreo.Is("web"))))}, "filter on chanel"},
		"a filter within a field that is not there": {
			choreo.Topology{till(), listener(choreo.On(onBought, choreo.Where("to.town", choreo.Is("Bern"))))}, "filter on to.town"},
		"a filter on a symbol that is not there": {
			choreo.Topology{till(), listener(choreo.On(onBought, choreo.Where("channel", choreo.Is("fax"))))}, `"fax" is not among its symbols [web phone]`},
		"a filter of another type": {
			choreo.Topology{till(), listener(choreo.On(onBought, choreo.Where("total", choreo.Is("many"))))}, "a long cannot be compared with many (string)"},
		"a filter without a value": {
			choreo.Topology{till(), listener(choreo.On(onBought, choreo.Where("total", choreo.Is[int]())))}, `"is" needs a value`},
		"a filter without a field": {
			choreo.Topology{till(), listener(choreo.On(onBought, choreo.Where("", choreo.Is("x"))))}, "a filter without a field"},
		"an Either without alternatives": {
			choreo.Topology{till(), listener(choreo.On(onBought, choreo.Either()))}, "an Either without alternatives"},
		"a condition that there is not": {
			choreo.Topology{till(), listener(choreo.On(onBought, choreo.Where("id", choreo.Condition{Op: "like", Args: []any{"x"}})))}, `no condition "like"`},
		"a range with one end": {
			choreo.Topology{till(), listener(choreo.On(onBought, choreo.Where("total", choreo.Condition{Op: "between", Args: []any{int64(1)}})))}, "nothing is between [1]"},
		"a range that is none": {
			choreo.Topology{till(), listener(choreo.On(onBought, choreo.Where("total", choreo.Between(9, 1))))}, "nothing is between [9 1]"},
		"a range without a number": {
			choreo.Topology{till(), listener(choreo.On(onBought, choreo.Where("weight", choreo.Between(math.NaN(), 1.0))))}, "cannot be compared with NaN"},
		"a value that does not fit the field": {
			choreo.Topology{till(), listener(choreo.On(onBought, choreo.Where("count", choreo.Is(math.MaxInt64))))}, "a int cannot be compared"},
		"a prefix that no symbol has": {
			choreo.Topology{till(), listener(choreo.On(onBought, choreo.Where("channel", choreo.Prefix("fa"))))}, `"fa" is not among its symbols`},
		"a time, which is no number": {
			choreo.Topology{till(), listener(choreo.On(onBought, choreo.Where("at", choreo.IsNot(0))))}, "a timestamp-millis cannot be compared"},
		"a nil event to emit": {
			choreo.Topology{till(), listener(choreo.On(onBought, choreo.Emits(nil)))}, "Emits has a nil event"},
		"a nil handler": {
			choreo.Topology{till(), listener(choreo.On[bought](nil))}, "its handler is nil"},
		"a nil handler of a topic": {
			choreo.Topology{till(), listener(choreo.OnTopic("shop", nil))}, "its handler is nil"},
		"within no time": {
			choreo.Topology{till(), listener(choreo.On(onBought, choreo.Within(-1)))}, "within -1ns is not above 0"},
		"retries for ever": {
			choreo.Topology{till(), listener(choreo.On(onBought, choreo.Within(time.Hour), choreo.Retries(choreo.Retry{Attempts: math.MaxInt})))}, "late after 1h0m0s"},
		"an attempt for ever": {
			choreo.Topology{till(), listener(choreo.On(onBought, choreo.Within(time.Hour), choreo.Timeout(math.MaxInt64)))}, "late after 1h0m0s"},
		"a filter that always holds": {
			choreo.Topology{till(), listener(choreo.On(onBought, choreo.Where("id", choreo.Exists())))}, "never null"},
		"an alternative that is none": {
			choreo.Topology{till(), listener(choreo.On(onBought, choreo.Either(choreo.Named("x"))))}, "an alternative of Either is not a Where"},
		"a gathering without a database": {
			choreo.Topology{closer(), listener(choreo.Gather(onAllFound))}, "it gathers, which needs a database; declare a Store"},
		"a gathering with a filter": {
			choreo.Topology{closer(), stored(choreo.Gather(onAllFound, choreo.Where("id", choreo.Is("x"))))}, "it gathers what others answer to every shop.Closed/v1, so it cannot have a filter"},
		"a gathering of what nobody answers": {
			choreo.Topology{closer(), stored(choreo.Gather(onAllPaid))}, "nobody emits shop.Paid"},
		"a gathering without a handler": {
			choreo.Topology{closer(), stored(choreo.Gather[closed, found](nil))}, "its handler is nil"},
		"two kinds of answers to gather": {
			choreo.Topology{closer(), stored(choreo.Gather(onAllFound), choreo.Gather(onAllPaid, choreo.Named("paid"), choreo.Emits(paid{})))},
			"it gathers shop.Paid for shop.Closed, for which shop.Found is gathered already"},
		"an answer to gather that a filter may keep back": {
			choreo.Topology{closer(), stored(choreo.Gather(onAllFound), choreo.On(onClosed, choreo.Named("some"), choreo.Where("id", choreo.Is("x")), choreo.Emits(found{})))},
			"reaction some: its answer to every shop.Closed is waited for, so it cannot have a filter"},
		"a question that nobody answers": {
			choreo.Topology{till(), listener(choreo.On(onBought, choreo.Emits(wanted{})))}, "it asks shop.Wanted, which nobody answers; declare a choreo.Answer"},
		"two answers to a question": {
			choreo.Topology{asks(), listener(choreo.Answer(onWanted)), {Name: "other", Doc: "d", Reactions: []choreo.Reaction{choreo.Answer(onWanted)}}},
			"other: reaction Wanted: shop.Wanted is answered by listener already"},
		"an answer to what nobody asks": {
			choreo.Topology{listener(choreo.Answer(onWanted))}, "nobody emits shop.Wanted"},
		"an answer without a handler": {
			choreo.Topology{asks(), listener(choreo.Answer[wanted, found](nil))}, "its handler is nil"},
		"an alternative on a field that is not there": {
			choreo.Topology{till(), listener(choreo.On(onBought, choreo.Either(choreo.Where("chanel", choreo.Is("web")))))}, "filter on chanel"},
	} {
		t.Run(name, func(t *testing.T) {
			if err := c.topology.Validate(); err == nil || !strings.Contains(err.Error(), c.says) {
				t.Errorf("got %v\nwant an error that says %q", err, c.says)
			}
		})
	}
}

func TestValidateReturnsEveryFault(t *testing.T) {
	err := choreo.Topology{
		{Name: "Loud", Reactions: []choreo.Reaction{choreo.On(onPaid, choreo.Timeout(-1)), choreo.On(onPaid)}},
	}.Validate()
	for _, says := range []string{"lower-case", "Doc is missing", "timeout -1ns", "two reactions", "nobody emits shop.Paid"} {
		if err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%q is not among the faults:\n%v", says, err)
		}
	}
}

func TestSelect(t *testing.T) {
	all := choreo.Topology{till(), listener(choreo.On(onBought))}
	if got, err := all.Select(); err != nil || len(got) != 2 {
		t.Errorf("no names: got %v, %v; want all", got.Names(), err)
	}
	if got, err := all.Select("listener"); err != nil || len(got) != 1 || got[0].Name != "listener" {
		t.Errorf("one name: got %v, %v", got.Names(), err)
	}
	_, err := all.Select("lisener", "till", "till")
	for _, says := range []string{`there is no service "lisener"; there are [till listener]`, `"till" is named twice`} {
		if err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("got %v, want an error that says %q", err, says)
		}
	}
}

func TestValidateLooksAtSettings(t *testing.T) {
	with := func(settings any) choreo.Topology {
		s := till()
		s.Settings = settings
		return choreo.Topology{s}
	}
	for name, c := range map[string]struct {
		settings any
		says     string
	}{
		"no pointer":  {struct{}{}, "give a pointer to a struct"},
		"no variable": {&struct{ Limit int }{}, `field Limit has the env tag ""`},
		"no doc": {&struct {
			Limit int `env:"LIMIT"`
		}{}, "field Limit has no doc tag"},
		"a bad default": {&struct {
			Limit int `env:"LIMIT" default:"many" doc:"d"`
		}{}, "a default does not fit"},
		"a hidden setting": {&struct {
			limit int `env:"LIMIT" doc:"d"`
		}{}, "field limit is not exported"},
	} {
		t.Run(name, func(t *testing.T) {
			if err := with(c.settings).Validate(); err == nil || !strings.Contains(err.Error(), c.says) {
				t.Errorf("got %v\nwant an error that says %q", err, c.says)
			}
		})
	}
}

func TestConfigureFillsSettings(t *testing.T) {
	var settings struct {
		Limit time.Duration `env:"TILL_LIMIT" default:"24h" doc:"d"`
		Name  string        `env:"TILL_NAME" doc:"d"`
	}
	s := till()
	s.Settings = &settings
	if err := s.Configure(map[string]string{"TILL_NAME": "front"}); err != nil || settings.Limit != 24*time.Hour || settings.Name != "front" {
		t.Errorf("got %+v, %v", settings, err)
	}
	err := s.Configure(map[string]string{"TILL_LIMIT": "soon"})
	if err == nil || !strings.Contains(err.Error(), "till: TILL_LIMIT does not fit") {
		t.Errorf("got %v, want an error that names service and variable", err)
	}
}
