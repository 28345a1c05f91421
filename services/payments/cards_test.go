package payments_test

import (
	"context"
	"fmt"
	"sync"
	"testing"

	service "github.com/troupedev/troupe/services/payments"
)

// cards is a provider that keeps books: by id, as a provider does.
type cards struct {
	service.TestCards
	mu      sync.Mutex
	charges map[string]int64
	refunds map[string]int64
	voided  map[string]bool
}

// reset begins anew, as everything does when a script runs again.
func (c *cards) reset() {
	c.charges, c.refunds, c.voided = map[string]int64{}, map[string]int64{}, map[string]bool{}
}

// Charge implements [service.Cards].
func (c *cards) Charge(ctx context.Context, id, card string, cents int64) (string, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.voided[id] {
		return "", fmt.Errorf("charge %s was voided", id)
	}
	authorization, err := c.TestCards.Charge(ctx, id, card, cents)
	if err == nil {
		c.charges[id] = cents
	}
	return authorization, err
}

// Refund implements [service.Cards].
func (c *cards) Refund(_ context.Context, id, authorization string, cents int64) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.charges[id] != cents || authorization != "auth-"+id {
		return fmt.Errorf("refund of %d for %s, of which %d was charged", cents, id, c.charges[id])
	}
	c.refunds[id] = cents
	return nil
}

// Void implements [service.Cards].
func (c *cards) Void(_ context.Context, id string) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.charges, id)
	c.voided[id] = true
	return nil
}

// took demands what the provider has taken in the end, and what it gave back.
func (c *cards) took(t *testing.T, charged, refunded int64) {
	t.Helper()
	var in, out int64
	for _, cents := range c.charges {
		in += cents
	}
	for _, cents := range c.refunds {
		out += cents
	}
	if in != charged || out != refunded {
		t.Errorf("the provider charged %v and refunded %v, want %d and %d in all", c.charges, c.refunds, charged, refunded)
	}
}
