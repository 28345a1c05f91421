package web

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

func TestRequestSentAgainStartsNothingNew(t *testing.T) {
	b := &broker{}
	h := serve(t, b)
	first := do(h, "POST", "/sales", goodSale, idempotencyKey, "k-1")
	again := do(h, "POST", "/sales", goodSale, idempotencyKey, "k-1")
	if first.Code != http.StatusAccepted || again.Code != first.Code || again.Body.String() != first.Body.String() {
		t.Errorf("first %d %s, then %d %s", first.Code, first.Body, again.Code, again.Body)
	}
	if len(b.taken) != 1 {
		t.Errorf("published %d events", len(b.taken))
	}
	if another := do(h, "POST", "/sales", goodSale, idempotencyKey, "k-2"); another.Body.String() == first.Body.String() || len(b.taken) != 2 {
		t.Errorf("another key got %s", another.Body)
	}
}

func TestKeyOfAnotherRequestIsRefused(t *testing.T) {
	b := &broker{}
	h := serve(t, b)
	do(h, "POST", "/sales", goodSale, idempotencyKey, "k")
	w := do(h, "POST", "/sales", saleOf("Bob"), idempotencyKey, "k")
	if w.Code != http.StatusUnprocessableEntity || !strings.Contains(w.Body.String(), `"location":"header.Idempotency-Key"`) {
		t.Errorf("got %d %s", w.Code, w.Body)
	}
	if len(b.taken) != 1 {
		t.Errorf("published %d events", len(b.taken))
	}
}

func TestKeyOfAnotherQueryIsRefused(t *testing.T) {
	b := &broker{}
	h := serve(t, b)
	do(h, "POST", "/sales/of?colour=red", goodSale, idempotencyKey, "k")
	if w := do(h, "POST", "/sales/of?colour=blue", goodSale, idempotencyKey, "k"); w.Code != http.StatusUnprocessableEntity {
		t.Errorf("got %d %s", w.Code, w.Body)
	}
	if w := do(h, "POST", "/sales/of?colour=red", goodSale, idempotencyKey, "k"); w.Code != http.StatusAccepted || len(b.taken) != 1 {
		t.Errorf("the same again got %d %s, and %d events were published", w.Code, w.Body, len(b.taken))
	}
}

func TestKeysOfTwoServicesAreNotOne(t *testing.T) {
	b := &broker{}
	h := serve(t, b, shop("sales"), shop("returns"))
	do(h, "POST", "/sales", goodSale, idempotencyKey, "k")
	do(h, "POST", "/returns", goodSale, idempotencyKey, "k")
	if ids := b.ids(); len(ids) != 2 || ids[0] == ids[1] {
		t.Errorf("published %v", ids)
	}
}

func TestFailedRequestMaySendItsKeyAgain(t *testing.T) {
	b := &broker{refusals: 1}
	h := serve(t, b)
	if w := do(h, "POST", "/sales", saleOf("nobody"), idempotencyKey, "k"); w.Code != 422 {
		t.Fatalf("got %d", w.Code)
	}
	if w := do(h, "POST", "/sales", goodSale, idempotencyKey, "k"); w.Code != 503 {
		t.Fatalf("got %d", w.Code)
	}
	if w := do(h, "POST", "/sales", goodSale, idempotencyKey, "k"); w.Code != 202 {
		t.Fatalf("got %d %s", w.Code, w.Body)
	}
}

func TestIdsFollowFromTheKeyAlsoAfterARestart(t *testing.T) {
	before, after := &broker{}, &broker{}
	do(serve(t, before), "POST", "/sales", goodSale, idempotencyKey, "k")
	do(serve(t, after), "POST", "/sales", goodSale, idempotencyKey, "k")
	if !slices.Equal(before.ids(), after.ids()) {
		t.Errorf("published %v, then %v", before.ids(), after.ids())
	}
}

func TestRequestsOfOneKeyAtOnceWaitForTheFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := &broker{hold: make(chan struct{})}
		h := serve(t, b)
		var answers [8]*httptest.ResponseRecorder
		var all sync.WaitGroup
		for i := range answers {
			all.Go(func() { answers[i] = do(h, "POST", "/sales", goodSale, idempotencyKey, "k") })
		}
		synctest.Wait() // one publishes, the others wait for it
		close(b.hold)
		all.Wait()
		for _, w := range answers {
			if w.Code != http.StatusAccepted || w.Body.String() != answers[0].Body.String() {
				t.Errorf("got %d %s, and %s", w.Code, w.Body, answers[0].Body)
			}
		}
		if len(b.taken) != 1 {
			t.Errorf("published %d events", len(b.taken))
		}
	})
}

// answers is an answer of so many bytes.
func answers(status, bytes int) func() *recorder {
	return func() *recorder {
		a := newRecorder()
		a.status = status
		a.body.Write(make([]byte, bytes))
		return a
	}
}

func TestMemoryIsBounded(t *testing.T) {
	now := noon
	m := newMemory(func() time.Time { return now })
	handled := 0
	ask := func(id string, bytes int) {
		t.Helper()
		_, err := m.do(t.Context(), id, [sha256.Size]byte{}, func() *recorder {
			handled++
			return answers(202, bytes)()
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	for i := range maxAnswers + 1 {
		ask(fmt.Sprint(i), 1)
	}
	if len(m.entries) != maxAnswers || len(m.oldest) != maxAnswers || m.kept != maxAnswers {
		t.Errorf("keeps %d answers of %d bytes", len(m.entries), m.kept)
	}
	ask("0", 1) // forgotten
	ask(fmt.Sprint(maxAnswers), 1)
	if want := maxAnswers + 2; handled != want {
		t.Errorf("handled %d, want %d", handled, want)
	}
	now = now.Add(keepAnswers)
	ask("a", maxKept)
	if len(m.entries) != 1 {
		t.Errorf("a day later keeps %d answers", len(m.entries))
	}
	ask("b", 1)
	if len(m.entries) != 1 || m.kept != 1 {
		t.Errorf("keeps %d answers of %d bytes", len(m.entries), m.kept)
	}
}

func TestMemoryDoesNotHoldAClientThatHasGone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMemory(time.Now)
		hold := make(chan struct{})
		var first sync.WaitGroup
		first.Go(func() {
			_, _ = m.do(t.Context(), "k", [sha256.Size]byte{}, func() *recorder {
				<-hold
				return answers(202, 1)()
			})
		})
		synctest.Wait()
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if _, err := m.do(ctx, "k", [sha256.Size]byte{}, answers(202, 1)); !errors.Is(err, context.Canceled) {
			t.Errorf("got %v", err)
		}
		close(hold)
		first.Wait()
	})
}
