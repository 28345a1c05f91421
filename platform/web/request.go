package web

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"runtime/debug"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/troupedev/troupe/platform/event"
)

// wrap puts around huma's handler of the endpoint what huma does not know: the
// ids of the flow that the request starts, its Idempotency-Key, its transaction,
// panics.
func (e *endpoint) wrap(next http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if !readBody(w, r) {
			return
		}
		if !e.route.writes() {
			e.read(next, r).send(w)
			return
		}
		key, err := keyOf(r)
		if err != nil {
			writeInvalidKey(w, err, "")
			return
		}
		now := e.Now()
		id := event.NewID(now)
		if key != "" {
			id = event.DeriveID("request", e.service, r.Method+" "+r.URL.Path, key)
		}
		answer, err := e.write(next, asFlow(r, id, now), key)
		switch {
		case errors.Is(err, errOtherRequest):
			writeInvalidKey(w, err, key)
		case err == nil:
			answer.send(w)
		} // otherwise the client has gone
	}
}

func (e *endpoint) read(next http.HandlerFunc, r *http.Request) *recorder {
	if e.db == nil {
		return e.run(next, r)
	}
	return (&storedRequest{endpoint: e, next: next, request: r}).read()
}

func (e *endpoint) write(next http.HandlerFunc, r *http.Request, key string) (*recorder, error) {
	switch {
	case e.db != nil:
		return (&storedRequest{endpoint: e, next: next, request: r}).write(key)
	case key == "":
		return e.run(next, r), nil
	}
	return e.answers.do(r.Context(), event.From(r.Context()).ID, fingerprint(r), func() *recorder { return e.run(next, r) })
}

// asFlow is r with a context that says which flow it starts.
func asFlow(r *http.Request, id string, now time.Time) *http.Request {
	return r.WithContext(event.With(r.Context(), event.Meta{ID: id, Flow: id, Time: now, Attempt: 1}))
}

// run handles the request. A panic in it is logged with its stack, and answered without.
func (e *endpoint) run(next http.HandlerFunc, r *http.Request) (answer *recorder) {
	answer = newRecorder()
	defer func() {
		fault := recover()
		if fault == nil {
			return
		}
		e.Logger.ErrorContext(r.Context(), "request panicked", "service", e.service, "route", e.emitter.Reaction,
			"panic", fmt.Sprint(fault), "stack", string(debug.Stack()))
		answer = newRecorder()
		writeProblem(answer, http.StatusInternalServerError, failed)
	}()
	r.Body, _ = r.GetBody() // from its start, also where the request is tried again
	next(answer, r)
	return answer
}

// readBody reads the body, so that it can be compared, and looks whether it is text.
func readBody(w http.ResponseWriter, r *http.Request) bool {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	if _, large := errors.AsType[*http.MaxBytesError](err); large {
		writeProblem(w, http.StatusRequestEntityTooLarge, fmt.Sprintf("the body is larger than %d bytes", maxBody))
		return false
	}
	if err != nil {
		writeProblem(w, http.StatusBadRequest, "the body could not be read to its end")
		return false
	}
	if err := checkBody(body); err != nil {
		sendProblem(w, err)
		return false
	}
	r.Body = io.NopCloser(bytes.NewReader(body))
	r.GetBody = func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(body)), nil }
	return true
}

// fingerprint tells requests of one path apart.
func fingerprint(r *http.Request) (sum [sha256.Size]byte) {
	h := sha256.New()
	fmt.Fprintf(h, "%q", r.URL.RawQuery)
	body, _ := r.GetBody()
	_, _ = io.Copy(h, body) // memory to hash: neither fails
	h.Sum(sum[:0])
	return sum
}

func writeInvalidKey(w http.ResponseWriter, err error, key string) {
	detail := &huma.ErrorDetail{Location: "header." + idempotencyKey, Message: err.Error()}
	if key != "" {
		detail.Value = key
	}
	writeProblem(w, http.StatusUnprocessableEntity, "validation failed", detail)
}

// writeProblem answers as RFC 9457 has it.
func writeProblem(w http.ResponseWriter, status int, detail string, parts ...error) {
	sendProblem(w, huma.NewError(status, detail, parts...))
}

// sendProblem answers with an error that huma made.
func sendProblem(w http.ResponseWriter, err error) {
	problem, ok := errors.AsType[huma.StatusError](err)
	if !ok {
		problem = huma.Error500InternalServerError(failed)
	}
	w.Header().Set("Content-Type", "application/problem+json")
	w.WriteHeader(problem.GetStatus())
	_ = json.NewEncoder(w).Encode(problem) // fails only where the client has gone
}

// recorder keeps an answer, to be sent once or more.
type recorder struct {
	header http.Header
	status int
	body   bytes.Buffer
}

func newRecorder() *recorder { return &recorder{header: http.Header{}, status: http.StatusOK} }

// Header implements http.ResponseWriter.
func (a *recorder) Header() http.Header { return a.header }

// WriteHeader implements http.ResponseWriter.
func (a *recorder) WriteHeader(status int) { a.status = status }

// Write implements http.ResponseWriter.
func (a *recorder) Write(b []byte) (int, error) { return a.body.Write(b) }

// send writes the answer. It may be called by several goroutines.
func (a *recorder) send(w http.ResponseWriter) {
	maps.Copy(w.Header(), a.header)
	w.WriteHeader(a.status)
	_, _ = w.Write(a.body.Bytes()) // fails only where the client has gone
}
