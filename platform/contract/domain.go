package contract

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"
)

// Forever is a retention without end.
const Forever time.Duration = -1

const (
	defaultPartitions = 4
	maxPartitions     = 10_000
	defaultRetention  = 7 * day
)

// domainSettings is a domain.yaml.
type domainSettings struct {
	Owner       string                   `yaml:"owner"`
	Doc         string                   `yaml:"doc"`
	Partitions  *int                     `yaml:"partitions"`
	Retention   string                   `yaml:"retention"`
	Replication int                      `yaml:"replication"`
	Events      map[string]eventSettings `yaml:"events"`
}

type eventSettings struct {
	External      bool          `yaml:"external"`
	Retired       []int         `yaml:"retired"`
	Compatibility Compatibility `yaml:"compatibility"`
	Reason        string        `yaml:"reason"`
}

// parseDomain reads a domain.yaml; unknown keys are faults, which leave the
// others to be judged. The settings are nil if the text is not YAML.
func parseDomain(text []byte) (*domainSettings, []error) {
	var s domainSettings
	d := yaml.NewDecoder(bytes.NewReader(text))
	d.KnownFields(true)
	err := d.Decode(&s)
	if wrong, ok := errors.AsType[*yaml.TypeError](err); ok {
		faults := make([]error, len(wrong.Errors))
		for i, w := range wrong.Errors {
			faults[i] = errors.New(settingsType.ReplaceAllString(w, ""))
		}
		return &s, faults
	}
	if err != nil && err != io.EOF {
		return nil, []error{err}
	}
	return &s, nil
}

// settingsType is what of a fault is of no use to whoever wrote the file.
var settingsType = regexp.MustCompile(` in type contract\.\w+`)

// apply puts the settings into d, whose events are loaded.
func (s *domainSettings) apply(d *Domain) (faults []error) {
	fault := func(format string, args ...any) { faults = append(faults, fmt.Errorf(format, args...)) }
	if s.Owner == "" {
		fault("owner is missing: name the team that owns these contracts")
	}
	if s.Doc == "" {
		fault("doc is missing: say what the domain is about")
	}
	partitions := defaultPartitions
	if s.Partitions != nil {
		partitions = *s.Partitions
	}
	if partitions < 1 || partitions > maxPartitions {
		fault("partitions must be between 1 and %d, not %d", maxPartitions, partitions)
	}
	if s.Replication < 0 || s.Replication > 100 {
		fault("replication must be between 1 and 100, or 0 for the broker's default, not %d", s.Replication)
	}
	retention, err := parseRetention(s.Retention)
	if err != nil {
		faults = append(faults, err)
	}
	d.Topic.Owner, d.Topic.Doc, d.Topic.Partitions = s.Owner, s.Doc, partitions
	d.Topic.Retention, d.Topic.Replication = retention, s.Replication
	for _, name := range slices.Sorted(maps.Keys(s.Events)) {
		for _, err := range s.Events[name].apply(d, name) {
			fault("events: %s: %w", name, err)
		}
	}
	return faults
}

func (s eventSettings) apply(d *Domain, name string) (faults []error) {
	fault := func(format string, args ...any) { faults = append(faults, fmt.Errorf(format, args...)) }
	if !s.Compatibility.valid() {
		fault("compatibility %q is unknown: expected one of %v", s.Compatibility, compatibilities)
	} else if s.Compatibility != "" && s.Compatibility != FullTransitive && s.Reason == "" {
		fault("compatibility %s needs a reason", s.Compatibility)
	}
	events := d.all()
	i := slices.IndexFunc(events, func(e *Event) bool { return e.Name == name })
	if i < 0 {
		fault("there is no event of this name in the domain")
		return faults
	}
	e := events[i]
	e.External, e.Retired, e.Compatibility, e.Reason = s.External, s.Retired, s.Compatibility, s.Reason
	numbers := e.numbers()
	for _, n := range s.Retired {
		if !slices.Contains(numbers, n) || n == slices.Max(numbers) {
			fault("retired: v%d is not an older version", n)
		}
	}
	return faults
}

// parseRetention reads "7d", Go's durations, and "forever".
func parseRetention(text string) (time.Duration, error) {
	switch {
	case text == "":
		return defaultRetention, nil
	case text == "forever":
		return Forever, nil
	}
	var d time.Duration
	var err error
	if days, ok := strings.CutSuffix(text, "d"); ok {
		var n int
		n, err = strconv.Atoi(days)
		if n > 36_500 {
			return 0, fmt.Errorf(`retention %q is more than a hundred years: say "forever"`, text)
		}
		d = time.Duration(n) * day
	} else {
		d, err = time.ParseDuration(text)
	}
	if err != nil || d <= 0 {
		return 0, fmt.Errorf(`retention %q is not of the form "7d", "12h" or "forever"`, text)
	}
	return d, nil
}
