package store_test

import (
	"bytes"
	"context"
	"log/slog"
	"strings"
	"sync"
	"testing"

	"github.com/troupedev/troupe/platform/store"
)

// text is the text that a query returns.
func text(t *testing.T, db *store.DB, query string) (s string) {
	t.Helper()
	if err := db.Read(t.Context(), func(ctx context.Context) error {
		return store.Tx(ctx).QueryRowContext(ctx, query).Scan(&s)
	}); err != nil {
		t.Fatalf("%s: %v", query, err)
	}
	return s
}

// logged is what a database logged.
type logged struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (l *logged) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *logged) into(c *store.Config) { c.Logger = slog.New(slog.NewTextHandler(l, nil)) }

func (l *logged) count(what string) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Count(l.text.String(), what)
}
