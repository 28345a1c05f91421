package web

import (
	"fmt"
	"maps"
	"net/http"
	"reflect"
	"slices"
	"strconv"

	"github.com/danielgtaylor/huma/v2"
)

// describeEvents puts [PathEvents] into the description of the API.
func (s *site) describeEvents() {
	schemas := s.api.OpenAPI().Components.Schemas
	op := &huma.Operation{
		OperationID: "troupe-post-events",
		Method:      http.MethodPost,
		Path:        PathEvents,
		Tags:        []string{"events from outside"},
		Description: "Publishes an event that happened elsewhere, as the first of a flow. Source and id name it: sent again, it counts once. " +
			"It is taken structured, as " + typeStructured + ", and binary, with its data as " + typeJSON + " and its attributes as ce- headers (ce-id and so on).",
		RequestBody: &huma.RequestBody{Required: true, Content: map[string]*huma.MediaType{
			typeStructured: {Schema: s.eventSchema()},
			typeJSON:       {Schema: &huma.Schema{Type: huma.TypeObject, Description: "The event's fields.", AdditionalProperties: true}},
		}},
		Responses: map[string]*huma.Response{"202": {
			Description: "Accepted",
			Content:     map[string]*huma.MediaType{typeJSON: {Schema: schemas.Schema(reflect.TypeFor[taken](), true, "")}},
		}},
	}
	problem := schemas.Schema(reflect.TypeFor[huma.ErrorModel](), true, "")
	for _, status := range []int{
		http.StatusBadRequest, http.StatusRequestEntityTooLarge, http.StatusUnsupportedMediaType,
		http.StatusUnprocessableEntity, http.StatusServiceUnavailable,
	} {
		op.Responses[strconv.Itoa(status)] = &huma.Response{
			Description: http.StatusText(status),
			Content:     map[string]*huma.MediaType{"application/problem+json": {Schema: problem}},
		}
	}
	s.api.OpenAPI().AddOperation(op)
}

// eventSchema describes an event in structured mode.
func (s *site) eventSchema() *huma.Schema {
	text := func(doc string) *huma.Schema {
		return &huma.Schema{Type: huma.TypeString, MaxLength: new(maxAttribute), Description: doc}
	}
	known := text("The event.")
	for _, name := range slices.Sorted(maps.Keys(s.types)) {
		known.Enum = append(known.Enum, name)
	}
	return &huma.Schema{
		Type:     huma.TypeObject,
		Required: []string{"specversion", "id", "source", "type", "data"},
		Properties: map[string]*huma.Schema{
			"specversion":   {Type: huma.TypeString, Enum: []any{"1.0"}},
			"id":            text("The event's id; unique at its source."),
			"source":        text("Who says so, as a URI."),
			"type":          known,
			"dataschema":    text("A version, such as orders.OrderPlaced/v1. Without it, the newest."),
			"time":          {Type: huma.TypeString, Format: "date-time", Description: "When it happened. Without it, now."},
			"correlationid": text("The flow that it belongs to. Without it, one of its own."),
			"traceparent":   text("W3C Trace Context."),
			"data":          {Type: huma.TypeObject, Description: fmt.Sprintf("The event's fields, at most %d bytes with all else.", maxBody), AdditionalProperties: true},
		},
		AdditionalProperties: true,
	}
}
