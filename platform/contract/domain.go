package contract

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"maps"
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

// parseDomain reads a domain.yaml; unknown keys are errors.
func parseDomain(text []byte) (domainSettings, error) {
	var s domainSettings
	d := yaml.NewDecoder(bytes.NewReader(text))
	d.KnownFields(true)
	err := d.Decode(&s)
	if wrong, ok := errors.AsType[*yaml.TypeError](err); ok {
		faults := make([]error, len(wrong.Errors))
		for i, w := range wrong.Errors {
			faults[i] = errors.New(strings.Replace(w, " in type contract.domainSettings", "", 1))
		}
		return s, errors.Join(faults...)
	}
	if err != nil && err != io.EOF {
		return s, err
	}
	return s, nil
}

// apply puts the settings into d, whose events are loaded.
func (s domainSettings) apply(d *Domain) error {
	var faults []error
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
		if err := s.Events[name].apply(d, name); err != nil {
			faults = append(faults, fmt.Errorf("events: %s: %w", name, err))
		}
	}
	return errors.Join(faults...)
}

func (s eventSettings) apply(d *Domain, name string) error {
	i := slices.IndexFunc(d.Events, func(e *Event) bool { return e.Name == name })
	if i < 0 {
		return fmt.Errorf("there is no event of this name in the domain")
	}
	e := d.Events[i]
	e.External, e.Retired, e.Compatibility, e.Reason = s.External, s.Retired, s.Compatibility, s.Reason
	if !s.Compatibility.valid() {
		return fmt.Errorf("compatibility %q is unknown: expected one of %v", s.Compatibility, compatibilities)
	}
	if s.Compatibility != "" && s.Compatibility != FullTransitive && s.Reason == "" {
		return fmt.Errorf("compatibility %s needs a reason", s.Compatibility)
	}
	for _, n := range s.Retired {
		known := slices.ContainsFunc(e.Versions, func(v *Version) bool { return v.Number == n })
		if !known || n == e.Newest().Number {
			return fmt.Errorf("retired: v%d is not an older version", n)
		}
	}
	return nil
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
