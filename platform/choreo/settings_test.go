package choreo_test

import (
	"strings"
	"testing"
	"time"

	"github.com/troupedev/troupe/platform/choreo"
)

type clock struct {
	Limit time.Duration `env:"CLOCK_LIMIT" default:"24h" doc:"how long it runs"`
	Hands int           `env:"CLOCK_HANDS" default:"2" doc:"how many hands it has"`
	Maker string        `env:"CLOCK_MAKER,required" doc:"who made it"`
}

func TestSettingsAreFilled(t *testing.T) {
	var c clock
	s := choreo.Service{Name: "clock", Settings: &c}
	if err := s.Configure(map[string]string{"CLOCK_LIMIT": "1h", "CLOCK_HANDS": "", "CLOCK_MAKER": "Ada"}); err != nil {
		t.Fatal(err)
	}
	if want := (clock{time.Hour, 2, "Ada"}); c != want {
		t.Errorf("got %+v, want %+v", c, want)
	}
	listed := choreo.Settings(&s)
	if len(listed) != 3 || listed[0].Variable != "CLOCK_LIMIT" || listed[0].Default != "24h" || listed[0].Type != "time.Duration" || listed[2].Variable != "CLOCK_MAKER" {
		t.Errorf("listed %+v", listed)
	}
}

func TestSettingsThatDoNotFitAreSaidAtOnce(t *testing.T) {
	s := choreo.Service{Name: "clock", Settings: &clock{}}
	err := s.Configure(map[string]string{"CLOCK_LIMIT": "soon", "CLOCK_HANDS": "many"})
	if err == nil {
		t.Fatal("no error")
	}
	for _, want := range []string{"clock: CLOCK_LIMIT does not fit time.Duration", "clock: CLOCK_HANDS does not fit int", "CLOCK_MAKER"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("got %v\nwant %s", err, want)
		}
	}
}

func TestSettingsComeFromWhatIsGivenAlone(t *testing.T) {
	t.Setenv("CLOCK_MAKER", "the environment")
	s := choreo.Service{Name: "clock", Settings: &clock{}}
	if err := s.Configure(nil); err == nil {
		t.Error("the process's own environment was read")
	}
	if err := (&choreo.Service{Name: "none"}).Configure(nil); err != nil {
		t.Error(err)
	}
}

func TestSettingsThatAreDeclaredWrong(t *testing.T) {
	tests := []struct {
		name     string
		settings any
		want     string // empty: nothing is wrong
	}{
		{"well", &clock{}, ""},
		{"no pointer", clock{}, "clock: Settings is a choreo_test.clock; give a pointer to a struct"},
		{"no doc", &struct {
			A string `env:"A"`
		}{}, "clock: Settings: field A has no doc tag"},
		{"no variable", &struct {
			A string `doc:"a"`
		}{}, `clock: Settings: field A has the env tag ""`},
		{"a default that does not fit", &struct {
			A int `env:"A" default:"x" doc:"a"`
		}{}, "a default does not fit: clock: A does not fit int"},
		{"a field that cannot be set", &struct {
			a string `env:"A" doc:"a"`
		}{}, "clock: Settings: field a is not exported"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			s := till()
			s.Name, s.Settings = "clock", test.settings
			err := choreo.Topology{s}.Validate()
			if test.want == "" && err != nil || test.want != "" && (err == nil || !strings.Contains(err.Error(), test.want)) {
				t.Errorf("got %v, want %s", err, test.want)
			}
		})
	}
}
