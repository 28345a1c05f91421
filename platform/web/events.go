package web

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"

	"github.com/danielgtaylor/huma/v2"

	"github.com/troupedev/troupe/platform/choreo"
	"github.com/troupedev/troupe/platform/contract"
	"github.com/troupedev/troupe/platform/event"
	"github.com/troupedev/troupe/platform/kafka"
)

// PathEvents takes one event from outside, as CloudEvents over HTTP have it
// (https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/bindings/http-protocol-binding.md),
// structured or binary, with JSON as its data.
const PathEvents = "/events"

// taken is the answer to an event that was taken.
type taken struct {
	ID     string `json:"id" doc:"The id of the event here; the same for an event that is sent again."`
	FlowID string `json:"flowId"`
}

// takeEvents serves [PathEvents].
func (s *site) takeEvents(claimed map[string]string) {
	pattern := http.MethodPost + " " + PathEvents
	claimed[pattern] = "the API itself, for events from outside"
	s.types = families(s.Known)
	s.mux.HandleFunc(pattern, s.takeEvent)
	s.describeEvents()
}

// families are all versions of the events that the topology names, by full name.
func families(t choreo.Topology) map[string][]*event.Type {
	out := map[string][]*event.Type{}
	for _, typ := range t.Types() {
		out[typ.FullName()] = typ.Family()
	}
	return out
}

func (s *site) takeEvent(w http.ResponseWriter, r *http.Request) {
	if !readBody(w, r) {
		return
	}
	c, err := readCloudEvent(r)
	if err != nil {
		sendProblem(w, err)
		return
	}
	m, flow, err := s.messageOf(c)
	if err != nil {
		sendProblem(w, err)
		return
	}
	switch err := s.publish(r.Context(), []choreo.Message{m}); {
	case errors.Is(err, kafka.ErrTooLarge):
		writeProblem(w, http.StatusRequestEntityTooLarge, "the event is larger than its topic takes")
	case err != nil:
		s.Logger.ErrorContext(r.Context(), "publishing failed", "route", r.Pattern, "event", m.ID, "error", err)
		w.Header().Set("Retry-After", retryAfter)
		writeProblem(w, http.StatusServiceUnavailable,
			"the broker did not say that it took the event, and may or may not have: send it again with the same source and id, so that it counts once")
	default:
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(http.StatusAccepted)
		_ = json.NewEncoder(w).Encode(taken{m.ID, flow}) // fails only where the client has gone
	}
}

// messageOf is the event as a message of its topic. Its id follows from source
// and id, which name one event as CloudEvents have it. Attributes that Troupe
// gives events itself are not taken from outside.
func (s *site) messageOf(c *cloudEvent) (m choreo.Message, flow string, err error) {
	t, err := s.typeOf(c)
	if err != nil {
		return m, "", err
	}
	id := event.DeriveID("cloudevent", c.source, c.id)
	envelope := event.Envelope{ID: id, Source: c.source, Time: c.time, Flow: c.flow, TraceParent: c.trace}
	if envelope.Time.IsZero() {
		envelope.Time = s.Now()
	}
	if envelope.Flow == "" {
		envelope.Flow = id
	}
	if s.Expects != nil {
		envelope.Expects = s.Expects(t)
	}
	if m, err = choreo.FromJSON(t, c.data, envelope); err != nil {
		return m, "", c.unfit(err)
	}
	return m, envelope.Flow, nil
}

// typeOf is the version that an event is checked by: the one that it names, else
// the newest.
func (s *site) typeOf(c *cloudEvent) (*event.Type, error) {
	family := s.types[c.typ]
	if len(family) == 0 {
		known := strings.Join(slices.Sorted(maps.Keys(s.types)), ", ")
		return nil, c.invalid("type", fmt.Sprintf("%.100q is no event that is known here; there are %s", c.typ, known))
	}
	if c.schema == "" {
		return family[len(family)-1], nil
	}
	known := make([]string, len(family))
	for i, t := range family {
		if known[i] = t.String(); known[i] == c.schema {
			return t, nil
		}
	}
	return nil, c.invalid("dataschema", fmt.Sprintf("%.100q is no version of %s; there are %s", c.schema, c.typ, strings.Join(known, ", ")))
}

// unfit says what of the data its schema refuses, each fault with its place.
// What was sent there may be personal, and is not repeated.
func (c *cloudEvent) unfit(err error) error {
	var parts []error
	for _, fault := range fieldFaults(err) {
		parts = append(parts, &huma.ErrorDetail{Location: c.dataAt + "." + fault.Field, Message: fault.Why})
	}
	if len(parts) == 0 {
		parts = []error{&huma.ErrorDetail{Location: c.dataAt, Message: err.Error()}}
	}
	return huma.Error422UnprocessableEntity("the data is not what its schema says", parts...)
}

// fieldFaults are all the faults of fields that err joins.
func fieldFaults(err error) (out []*contract.FieldError) {
	switch e := err.(type) {
	case *contract.FieldError:
		return []*contract.FieldError{e}
	case interface{ Unwrap() []error }:
		for _, each := range e.Unwrap() {
			out = append(out, fieldFaults(each)...)
		}
	case interface{ Unwrap() error }:
		return fieldFaults(e.Unwrap())
	}
	return out
}
