package web

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/troupedev/troupe/platform/choreo"
	"github.com/troupedev/troupe/platform/event"
	"github.com/troupedev/troupe/platform/failpoint"
	"github.com/troupedev/troupe/platform/store"
)

// tries are the pauses before each try of a request whose database does not
// answer: a deadlock or a server that changes over is gone by the last, and of an
// outage the client learns soon.
var tries = [...]time.Duration{0, 25 * time.Millisecond, 100 * time.Millisecond, 400 * time.Millisecond}

// attempt is one run of a handler in a transaction: what it wants of it.
type attempt struct {
	messages []choreo.Message
	fault    error // of the handler, and no answer: it may be the database's
}

type attemptKey struct{}

// attemptOf is the attempt that a handler runs in; nil: in no transaction.
func attemptOf(ctx context.Context) *attempt {
	a, _ := ctx.Value(attemptKey{}).(*attempt)
	return a
}

// errRefused rolls a transaction back whose request is answered by a problem.
var errRefused = errors.New("refused")

// storedRequest is a request to an endpoint of a service with a database.
type storedRequest struct {
	*endpoint
	next    http.HandlerFunc
	request *http.Request
	answer  *recorder // of the last try that came to one
}

// read answers a question in a transaction that changes nothing.
func (q *storedRequest) read() *recorder {
	err := q.try(func(ctx context.Context) error {
		return q.db.Read(ctx, func(ctx context.Context) error {
			_, err := q.handle(ctx)
			return err
		})
	})
	return q.outcome(err, "the database cannot be read; ask again")
}

// write handles a request in the transaction that keeps what it was answered,
// so that the same request, told by key, gets the same answer.
func (q *storedRequest) write(key string) (*recorder, error) {
	entry := store.Entry{Reaction: q.emitter.Reaction, ID: event.From(q.request.Context()).ID}
	sum := fingerprint(q.request)
	err := q.try(func(ctx context.Context) error {
		before := q.answer
		duplicate, err := q.db.Handle(ctx, entry, func(ctx context.Context) ([]choreo.Message, error) {
			messages, err := q.handle(ctx)
			if err == nil && key != "" {
				err = store.KeepAnswer(ctx, sum[:], q.answer.encode())
			}
			return messages, err
		})
		switch {
		case err != nil || !duplicate:
			return err
		case key != "":
			return q.repeat(ctx, entry, sum)
		}
		q.answer = before // that of the try before: it was committed, and only the word of it lost
		return nil
	})
	if errors.Is(err, errOtherRequest) {
		return nil, err
	}
	answer := q.outcome(err, uncertain("database"))
	if key != "" && store.IsConflict(err) {
		answer = newRecorder()
		writeProblem(answer, http.StatusConflict, "what this request would make is there already: its "+idempotencyKey+
			" seems to have been used so long ago that the answer is forgotten; look whether it has taken effect, and send a new request with another key")
	}
	return answer, nil
}

// handle runs the handler in the transaction of ctx.
func (q *storedRequest) handle(ctx context.Context) ([]choreo.Message, error) {
	if err := failpoint.Reach(ctx, failpoint.HandlerStarts); err != nil {
		return nil, err
	}
	a := &attempt{}
	q.answer = q.run(q.next, q.request.WithContext(context.WithValue(ctx, attemptKey{}, a)))
	switch {
	case a.fault != nil:
		return nil, a.fault
	case q.answer.status >= http.StatusMultipleChoices:
		return nil, errRefused
	}
	return a.messages, failpoint.Reach(ctx, failpoint.HandlerEnded)
}

// repeat gives the answer that the request was given before.
func (q *storedRequest) repeat(ctx context.Context, entry store.Entry, sum [sha256.Size]byte) error {
	was, text, ok, err := q.db.Answer(ctx, entry)
	switch {
	case err != nil:
		return err
	case !ok:
		return fmt.Errorf("request %s is in the inbox, and its answer is not kept", entry.ID)
	case string(was) != string(sum[:]):
		return errOtherRequest
	}
	q.answer, err = decodeAnswer(text)
	return err
}

// try runs f until it succeeds, fails for good, or has failed often enough. The
// client going away does not stop it: what it asked for is done or not done, and
// the connection stays in use.
func (q *storedRequest) try(f func(context.Context) error) (err error) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(q.request.Context()), storeTimeout)
	defer cancel()
	for _, pause := range tries {
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return err
		}
		if err = f(ctx); err == nil || !store.IsOutage(err) {
			break
		}
	}
	if err != nil && ctx.Err() != nil {
		return fmt.Errorf("%w: %w", context.Cause(ctx), err)
	}
	return err
}

// outcome is the answer to a request that ended with err; away is what the
// client is told where the database is the reason.
func (q *storedRequest) outcome(err error, away string) *recorder {
	ctx := q.request.Context()
	problem := newRecorder()
	switch {
	case err == nil, errors.Is(err, errRefused):
		return q.answer
	case store.IsOutage(err), errors.Is(err, context.DeadlineExceeded):
		q.log(ctx, "database does not answer", err)
		problem.Header().Set("Retry-After", retryAfter)
		writeProblem(problem, http.StatusServiceUnavailable, away)
	default:
		q.log(ctx, "request failed", err)
		writeProblem(problem, http.StatusInternalServerError, failed)
	}
	return problem
}

// keptAnswer is an answer as the database keeps it.
type keptAnswer struct {
	Status int         `json:"status"`
	Header http.Header `json:"header"`
	Body   string      `json:"body"`
}

func (a *recorder) encode() []byte {
	text, err := json.Marshal(keptAnswer{a.status, a.header, a.body.String()})
	if err != nil {
		panic(err) // strings and a number always can be
	}
	return text
}

func decodeAnswer(text []byte) (*recorder, error) {
	var kept keptAnswer
	if err := json.Unmarshal(text, &kept); err != nil {
		return nil, fmt.Errorf("the answer that was kept: %w", err)
	}
	a := &recorder{header: kept.Header, status: kept.Status}
	a.body.WriteString(kept.Body)
	return a, nil
}
