// Package console serves what operators and tools ask of a running process:
// whether it lives and is ready, and the mail that the in-process inbox took.
//
// It is not for customers: their HTTP is package web's.
//
// Start with [Handler].
package console

import (
	"bytes"
	_ "embed"
	"encoding/json"
	"html/template"
	"net/http"

	"github.com/troupedev/troupe/platform/console/inbox"
)

// Paths that tools rely on.
const (
	PathLive  = "/livez"  // 200 while the process answers at all
	PathReady = "/readyz" // 200 while everything works, 503 while starting, ending or hindered
	PathMail  = "/email"
)

// Options are what the console shows.
type Options struct {
	// Waiting returns what keeps the process from its work, in a few words
	// each: what it waits for, and what is broken around it; empty: it is
	// ready. Required; called from many goroutines.
	Waiting func() []string
	// Inbox is the in-process inbox; nil: mail goes elsewhere.
	Inbox *inbox.Inbox
	// Links are shown on the start page.
	Links []Link
}

// Link is something else that listens here.
type Link struct {
	Name string // "API"
	URL  string // "http://127.0.0.1:8000/docs"; no link is made of other schemes
	Doc  string // what is there
}

// Readiness is the answer of [PathReady].
type Readiness struct {
	Ready   bool     `json:"ready"`
	Waiting []string `json:"waiting,omitempty"`
}

//go:embed start.html
var startPage string

// Handler serves the console.
func Handler(o Options) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET "+PathLive, func(w http.ResponseWriter, _ *http.Request) {
		answer(w, http.StatusOK, map[string]bool{"live": true})
	})
	mux.HandleFunc("GET "+PathReady, func(w http.ResponseWriter, _ *http.Request) {
		waiting := o.Waiting()
		status := http.StatusOK
		if len(waiting) > 0 {
			status = http.StatusServiceUnavailable
		}
		answer(w, status, Readiness{Ready: len(waiting) == 0, Waiting: waiting})
	})
	if o.Inbox != nil {
		mux.Handle(PathMail, o.Inbox.Handler())
		mux.Handle(PathMail+"/", o.Inbox.Handler())
	}
	mux.HandleFunc("GET /{$}", start(o))
	return mux
}

// start shows what is where.
func start(o Options) http.HandlerFunc {
	page := template.Must(template.New("start").Parse(startPage))
	return func(w http.ResponseWriter, _ *http.Request) {
		var out bytes.Buffer
		if err := page.Execute(&out, map[string]any{"Waiting": o.Waiting(), "Inbox": o.Inbox != nil, "Links": o.Links}); err != nil {
			http.Error(w, "the page cannot be made: "+err.Error(), http.StatusInternalServerError)
			return
		}
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		w.Header().Set("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'")
		_, _ = w.Write(out.Bytes()) // fails only where the client has gone
	}
}

func answer(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(body) // fails only where the client has gone
}
