package web

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/troupedev/troupe/platform/testmain"
)

func TestMain(m *testing.M) { testmain.Run(m) }

var quiet = slog.New(slog.DiscardHandler)

func TestShutdownWaitsForRequestsInHand(t *testing.T) {
	entered, leave := make(chan struct{}), make(chan struct{})
	s, err := Listen("API", "127.0.0.1:0", http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		close(entered)
		<-leave
		_, _ = io.WriteString(w, "done")
	}), quiet)
	if err != nil {
		t.Fatal(err)
	}
	answered := make(chan string, 1)
	go func() {
		answer, err := http.Get("http://" + s.Addr())
		if err != nil {
			answered <- err.Error()
			return
		}
		defer answer.Body.Close()
		text, _ := io.ReadAll(answer.Body)
		answered <- string(text)
	}()
	<-entered
	ended := make(chan error, 1)
	go func() { ended <- s.Shutdown(t.Context()) }()
	close(leave)
	if got := <-answered; got != "done" {
		t.Errorf("the request in hand got %q", got)
	}
	if err := <-ended; err != nil {
		t.Error(err)
	}
	http.DefaultClient.CloseIdleConnections()
}

func TestShutdownBreaksOffWhatTakesTooLong(t *testing.T) {
	entered := make(chan struct{})
	s, err := Listen("API", "127.0.0.1:0", http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		close(entered)
		<-r.Context().Done()
	}), quiet)
	if err != nil {
		t.Fatal(err)
	}
	failed := make(chan error, 1)
	go func() {
		_, err := http.Get("http://" + s.Addr())
		failed <- err
	}()
	<-entered
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancel()
	if err := s.Shutdown(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v", err)
	}
	if <-failed == nil {
		t.Error("the request was answered")
	}
	http.DefaultClient.CloseIdleConnections()
}

func TestPortInUse(t *testing.T) {
	first, err := Listen("API (--api)", "127.0.0.1:0", http.NotFoundHandler(), quiet)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = first.Shutdown(context.Background()) }()
	_, err = Listen("API (--api)", first.Addr(), http.NotFoundHandler(), quiet)
	if want := "API (--api): " + first.Addr() + " is in use by another process"; err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
}

func TestGate(t *testing.T) {
	waiting := []string{"the broker"}
	h := Gate(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) }),
		func() []string { return waiting })
	if w := do(h, "GET", "/", ""); w.Code != http.StatusServiceUnavailable || !strings.Contains(w.Body.String(), "not ready: the broker") {
		t.Errorf("got %d %s", w.Code, w.Body)
	}
	waiting = nil
	if w := do(h, "GET", "/", ""); w.Code != http.StatusNoContent {
		t.Errorf("got %d", w.Code)
	}
}
