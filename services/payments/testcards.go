package payments

import (
	"context"
	"errors"
	"fmt"

	"github.com/troupedev/troupe/platform/event"
)

// Cards that [TestCards] treats otherwise than by charging them.
const (
	CardDeclined    = "4000000000000002"
	CardFailsTwice  = "4000000000000119" // the provider fails at the first two attempts
	CardAlwaysFails = "4000000000000341" // the provider fails at every attempt
)

// TestCards is a provider without money. What it does follows from the card's
// number and the attempt alone, never from chance; any other card is charged.
type TestCards struct{}

var errUnavailable = errors.New("card provider is unavailable")

// Charge implements [Cards].
func (TestCards) Charge(ctx context.Context, id, card string, _ int64) (string, error) {
	switch attempt := event.From(ctx).Attempt; {
	case card == CardDeclined:
		return "", fmt.Errorf("%w by its bank", ErrDeclined)
	case card == CardAlwaysFails, card == CardFailsTwice && attempt <= 2:
		return "", fmt.Errorf("attempt %d: %w", attempt, errUnavailable)
	}
	return "auth-" + id, nil
}

// Refund implements [Cards]; it always succeeds.
func (TestCards) Refund(context.Context, string, string, int64) error { return nil }

// Void implements [Cards]; it always succeeds.
func (TestCards) Void(context.Context, string) error { return nil }
