// Package web serves the HTTP routes by which flows start and questions are
// answered. Routes are declared beside a service's reactions; all services of
// a process share one API, described at /openapi.json and browsable at /docs.
//
// A POST answers 202 once the broker has acknowledged the events that its
// handler emitted, so that what was answered is not lost. Errors are problem
// details as in RFC 9457. It does no authentication.
//
// Start with [Post] and [Get] for declaring, [Handler] for serving.
package web

import (
	"context"
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"github.com/troupedev/troupe/platform/choreo"
)

// Post declares a route that starts flows: h gets the request, checked against
// the schema that In's fields and tags give (see huma's documentation: a field
// Body is the JSON body, fields tagged path, query or header the rest), and
// returns the body of the 202 answer and the events that happened.
//
// In h, event.From gives the id of the first event that it emits, which is also
// the flow's, and the time of the request. With the header Idempotency-Key the
// id follows from the key, so that a request sent again starts nothing new.
//
// An error made by [Invalid] is answered as such; of any other, the client
// learns only that the server failed, and the log learns the rest.
func Post[In, Out any](path string, h func(context.Context, *In) (Out, choreo.Events, error), o ...choreo.Option) choreo.Route {
	r := &route{method: http.MethodPost, path: path, options: o}
	r.register = func(e *endpoint) {
		huma.Register(e.api, e.operation(http.StatusAccepted), func(ctx context.Context, in *In) (*struct{ Body Out }, error) {
			out, events, err := h(ctx, in)
			if err != nil {
				return nil, e.fault(ctx, err)
			}
			if err := e.emit(ctx, events); err != nil {
				return nil, err
			}
			return &struct{ Body Out }{out}, nil
		})
	}
	return r
}

// Get declares a route that answers a question and emits nothing. In and
// errors are as in [Post].
func Get[In, Out any](path string, h func(context.Context, *In) (Out, error)) choreo.Route {
	r := &route{method: http.MethodGet, path: path}
	r.register = func(e *endpoint) {
		huma.Register(e.api, e.operation(http.StatusOK), func(ctx context.Context, in *In) (*struct{ Body Out }, error) {
			out, err := h(ctx, in)
			if err != nil {
				return nil, e.fault(ctx, err)
			}
			return &struct{ Body Out }{out}, nil
		})
	}
	return r
}

// route is a declared route; what In and Out are, only register knows.
type route struct {
	method, path string
	options      []choreo.Option
	register     func(*endpoint)
}

// Pattern implements choreo.Route.
func (r *route) Pattern() (method, path string) { return r.method, r.path }

// Options implements choreo.Route.
func (r *route) Options() []choreo.Option { return r.options }

// Invalid is an error that says which part of a request is wrong, for what the
// schema cannot check: location is a path such as "body.items[0].sku", message
// ends the sentence that it begins, value is what was sent there. It is
// answered with status 422.
func Invalid(location, message string, value any) error {
	return huma.Error422UnprocessableEntity("validation failed",
		&huma.ErrorDetail{Location: location, Message: message, Value: value})
}
