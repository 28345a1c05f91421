package web

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"time"
)

// idempotencyKey is the header by which a client says that a request is one
// that it may have sent before
// (https://datatracker.ietf.org/doc/draft-ietf-httpapi-idempotency-key-header/).
const idempotencyKey = "Idempotency-Key"

// Bounds of what is kept for requests with a key.
const (
	maxKey      = 255 // bytes of a key
	maxAnswers  = 10_000
	maxKept     = 32 << 20 // bytes of all answers
	keepAnswers = 24 * time.Hour
)

// keyOf returns the request's key, empty where it has none.
func keyOf(r *http.Request) (string, error) {
	values := r.Header.Values(idempotencyKey)
	if len(values) == 0 {
		return "", nil
	}
	key := values[0]
	switch {
	case len(values) > 1:
		return "", errors.New("is sent twice")
	case key == "":
		return "", errors.New("is empty; send it with a text of your choice, or leave it out")
	case len(key) > maxKey:
		return "", fmt.Errorf("is %d bytes long; at most %d are taken", len(key), maxKey)
	}
	for i := range len(key) {
		if key[i] < '!' || key[i] > '~' {
			return "", errors.New("has other characters than letters, digits and punctuation of ASCII")
		}
	}
	return key, nil
}

// errOtherRequest says that a key was used for another request before.
var errOtherRequest = errors.New("was used for another request; choose a new one, or send the same query and body as then")

// memory remembers answers by request id. It is this process's alone, and
// forgets the oldest first.
type memory struct {
	now func() time.Time

	mu      sync.Mutex
	entries map[string]*entry
	oldest  []*entry // those that are kept, in the order of their answers
	kept    int      // bytes of their bodies
}

type entry struct {
	id      string
	request [sha256.Size]byte
	done    chan struct{} // closed once the fields below are set
	ok      bool          // the request succeeded, so its answer is kept
	answer  *recorder
	at      time.Time
}

func newMemory(now func() time.Time) *memory {
	return &memory{now: now, entries: map[string]*entry{}}
}

// do runs handle for the first request of an id, and returns its answer for
// all later ones; those that come meanwhile wait for it. A request that fails
// is forgotten, and the next one counts as the first.
func (m *memory) do(ctx context.Context, id string, request [sha256.Size]byte, handle func() *recorder) (*recorder, error) {
	for {
		e, first := m.enter(id, request)
		if first {
			defer m.leave(e)
			e.answer = handle()
			e.ok = e.answer.status < 300
			return e.answer, nil
		}
		select {
		case <-e.done:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
		switch {
		case !e.ok:
			continue
		case e.request != request:
			return nil, errOtherRequest
		}
		return e.answer, nil
	}
}

func (m *memory) enter(id string, request [sha256.Size]byte) (e *entry, first bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.forget()
	if e, ok := m.entries[id]; ok {
		return e, false
	}
	e = &entry{id: id, request: request, done: make(chan struct{})}
	m.entries[id] = e
	return e, true
}

func (m *memory) leave(e *entry) {
	m.mu.Lock()
	defer m.mu.Unlock()
	defer close(e.done)
	if !e.ok {
		delete(m.entries, e.id)
		return
	}
	e.at = m.now()
	m.oldest = append(m.oldest, e)
	m.kept += e.answer.body.Len()
	m.forget()
}

// forget drops what is too old or too much.
func (m *memory) forget() {
	for len(m.oldest) > 0 {
		e := m.oldest[0]
		if len(m.oldest) <= maxAnswers && m.kept <= maxKept && m.now().Sub(e.at) < keepAnswers {
			return
		}
		delete(m.entries, e.id)
		m.kept -= e.answer.body.Len()
		m.oldest = m.oldest[1:]
	}
}
