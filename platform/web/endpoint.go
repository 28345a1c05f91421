package web

import (
	"context"
	"errors"
	"net/http"
	"strings"

	"github.com/danielgtaylor/huma/v2"

	"github.com/troupedev/troupe/platform/choreo"
	"github.com/troupedev/troupe/platform/event"
)

// endpoint is one route of one service, being registered and then served.
type endpoint struct {
	*site
	route   *route
	service string
	db      Database // nil: the service has none
	emitter choreo.Emitter
}

// writes reports whether the route may change something, and so emit.
func (r *route) writes() bool { return r.method != http.MethodGet }

// operation describes the endpoint for huma, and so for the documentation.
func (e *endpoint) operation(success int) huma.Operation {
	op := huma.Operation{
		OperationID:     e.service + "-" + strings.ToLower(e.route.method) + strings.NewReplacer("/", "-", "{", "", "}", "").Replace(e.route.path),
		Method:          e.route.method,
		Path:            e.route.path,
		Tags:            []string{e.service},
		DefaultStatus:   success,
		MaxBodyBytes:    maxBody + 1, // what is larger, wrap refuses
		BodyReadTimeout: -1,          // wrap has read it
		Errors:          []int{http.StatusUnprocessableEntity, http.StatusInternalServerError},
	}
	if strings.Contains(e.route.path, "{") {
		op.Errors = append(op.Errors, http.StatusNotFound)
	}
	if e.route.writes() || e.db != nil {
		op.Errors = append(op.Errors, http.StatusServiceUnavailable)
	}
	if e.route.writes() {
		op.Errors = append(op.Errors, http.StatusConflict, http.StatusRequestEntityTooLarge, http.StatusUnsupportedMediaType)
		op.Parameters = []*huma.Param{{
			Name: idempotencyKey, In: "header",
			Description: "Any text that the client chose for this request. The request sent again with it is answered the same, and starts nothing new.",
			Schema:      &huma.Schema{Type: huma.TypeString, MaxLength: new(maxKey), Pattern: "^[!-~]+$"},
		}}
		if emits := choreo.EmittedBy(e.route); len(emits) > 0 {
			names := make([]string, len(emits))
			for i, t := range emits {
				names[i] = t.String()
			}
			op.Description = "Emits " + strings.Join(names, ", ") + "."
		}
	}
	return op
}

// failed is what a client learns of an error that is not its own.
const failed = "the server failed to handle the request; its log says why"

// fault is what the client learns of a handler's error. One that the database
// may be the reason of is left to whoever has the transaction in hand.
func (e *endpoint) fault(ctx context.Context, err error) error {
	if known, ok := errors.AsType[huma.StatusError](err); ok {
		return known
	}
	if a := attemptOf(ctx); a != nil {
		a.fault = err
	} else {
		e.log(ctx, "request failed", err)
	}
	return huma.Error500InternalServerError(failed)
}

// emit hands over what a handler emitted: to its transaction, where there is
// one, else to the broker.
func (e *endpoint) emit(ctx context.Context, events choreo.Events) error {
	messages, err := e.emitter.EmitRoot(event.From(ctx), events, e.Now())
	if err != nil {
		return e.fault(ctx, err)
	}
	if a := attemptOf(ctx); a != nil {
		a.messages = messages
		return nil
	}
	if err := e.publish(ctx, messages); err != nil {
		e.log(ctx, "publishing failed", err)
		return huma.ErrorWithHeaders(huma.Error503ServiceUnavailable(uncertain("broker")), http.Header{"Retry-After": {retryAfter}})
	}
	return nil
}

// log says what went wrong with a request.
func (e *endpoint) log(ctx context.Context, what string, err error) {
	e.Logger.ErrorContext(ctx, what, "service", e.service, "route", e.emitter.Reaction, "flow", event.From(ctx).Flow, "error", err)
}

// publish waits for the broker. The client going away does not stop it half-way.
func (s *site) publish(ctx context.Context, messages []choreo.Message) error {
	if len(messages) == 0 {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), publishTimeout)
	defer cancel()
	return s.Publish(ctx, messages)
}

// uncertain says that somebody did not answer who was to take what a request led to.
func uncertain(who string) string {
	return "the " + who + " did not say that it took what this request led to, and may or may not have: send it again with the same " +
		idempotencyKey + ", so that it counts once (without one, look first whether it has taken effect)"
}

// retryAfter is when a request that could not be handled may come again, in seconds.
const retryAfter = "1"
