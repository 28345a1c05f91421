// Package web serves the HTTP routes by which flows start and questions are
// answered. Routes are declared beside a service's reactions; all services of
// a process share one API, described at /openapi.json and browsable at /docs.
//
// A POST or DELETE answers 202 once the events that its handler emitted cannot be
// lost any more. Of a service with a database that is when its transaction is
// committed, which holds what the handler changed too; the broker is not waited
// for. Of any other service it is when the broker has acknowledged them.
//
// Events from outside come in at [PathEvents]. Errors are problem details as in
// RFC 9457. It does no authentication.
//
// Start with [Post], [Delete] and [Get] for declaring, [Handler] for serving.
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
// Of a service with a Store, h runs in the transaction of store.Tx, and may run
// again for one request where the database asks for that.
//
// An error made by [Invalid], [NotFound] or [Conflict] is answered as such, and
// nothing has happened; of any other, the client learns only that the server
// failed, and the log learns the rest.
func Post[In, Out any](path string, h func(context.Context, *In) (Out, choreo.Events, error), o ...choreo.Option) choreo.Route {
	return writing(http.MethodPost, path, h, o)
}

// Delete declares a route that starts flows by ending something; it is
// otherwise as [Post].
func Delete[In, Out any](path string, h func(context.Context, *In) (Out, choreo.Events, error), o ...choreo.Option) choreo.Route {
	return writing(http.MethodDelete, path, h, o)
}

func writing[In, Out any](method, path string, h func(context.Context, *In) (Out, choreo.Events, error), o []choreo.Option) *route {
	r := &route{method: method, path: path, options: o}
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
// errors are as in [Post]. Of a service with a Store, h reads in one transaction.
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

// NotFound is an error that says that what a request asks for is not there:
// message is a sentence about it. It is answered with status 404.
func NotFound(message string) error { return huma.Error404NotFound(message) }

// Conflict is an error that says that a request does not go with how things
// stand, though it may have, or may yet: message is a sentence about it. It is
// answered with status 409.
func Conflict(message string) error { return huma.Error409Conflict(message) }
