package main

import (
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"text/tabwriter"
	"time"
)

// seen is what a run saw.
type seen struct {
	sent, flows, begun int // customers' wishes; the flows that they were to begin; flows in the topics
	sending            time.Duration
	kinds              map[string]int // flows by kind
	kills, outages     map[string]int // by service; by name
	last               time.Duration  // from the last fault until the last flow had ended
	wrong              []error        // flows that are not as their kinds say
	events             int
	repeated           map[string]int // by service: events written again
	dead               int
	order              error
	mails, mailsAgain  int
	took               []time.Duration // from a request to the last event of its flow
}

// print writes the table of what a run saw.
func (s *seen) print(w io.Writer) {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	row := func(name, format string, args ...any) {
		fmt.Fprintf(t, "  %s\t"+format+"\n", append([]any{name}, args...)...)
	}
	fmt.Fprintln(t)
	row("orders, bookings and registrations", "%d in %.1f s", s.sent, s.sending.Seconds())
	row("flows", "%d begun, %d as they should be, the last %.1f s after the last fault", s.begun, len(s.took), s.last.Seconds())
	for _, kind := range slices.Sorted(maps.Keys(s.kinds)) {
		row("  "+kind, "%d", s.kinds[kind])
	}
	row("instances killed", "%s", counted(s.kills))
	row("outages", "%s", counted(s.outages))
	row("events", "%d; written again: %s", s.events, counted(s.repeated))
	row("mails", "%d, and %d that came again", s.mails, s.mailsAgain)
	row("order per key", "%s", s.keyOrder())
	row("dead letters", "%d", s.dead)
	row("from request to end", "p50 %v, p90 %v, p99 %v, longest %v", s.percentile(50), s.percentile(90), s.percentile(99), s.percentile(100))
	_ = t.Flush() // to a terminal or a pipe: nobody to tell
}

// counted is a sum and what it is made of.
func counted(counts map[string]int) string {
	sum, parts := 0, []string{}
	for _, name := range slices.Sorted(maps.Keys(counts)) {
		sum += counts[name]
		parts = append(parts, fmt.Sprintf("%s %d", name, counts[name]))
	}
	if sum == 0 {
		return "0"
	}
	return fmt.Sprintf("%d (%s)", sum, strings.Join(parts, ", "))
}

// faults are what did not hold, besides flows that have not ended.
func (s *seen) faults() error {
	errs := s.wrong[:min(len(s.wrong), 10)]
	if s.begun != s.flows {
		errs = append(errs, fmt.Errorf("%d requests led to %d flows", s.flows, s.begun))
	}
	if s.dead > 0 {
		errs = append(errs, fmt.Errorf("%d dead letters", s.dead))
	}
	return errors.Join(append(errs, s.order)...)
}

func (s *seen) keyOrder() string {
	if s.order != nil {
		return s.order.Error()
	}
	return "kept"
}

// percentile is one of the time from a request until the last event of its flow.
func (s *seen) percentile(percent int) time.Duration {
	if len(s.took) == 0 {
		return 0
	}
	return s.took[min(len(s.took)*percent/100, len(s.took)-1)].Round(time.Millisecond)
}
