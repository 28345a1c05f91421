package seats

import (
	"testing"

	"github.com/troupedev/troupe/events/payments"
)

func TestSeatsAreGivenByPreferenceWhileThereAreAny(t *testing.T) {
	for name, c := range map[string]struct {
		preference payments.SeatPreference
		want       [12]string // of a flight with two rows, one after the other
	}{
		"window": {payments.Window, [12]string{"1A", "1F", "2A", "2F", "1B", "1E", "2B", "2E", "1C", "1D", "2C", "2D"}},
		"aisle":  {payments.Aisle, [12]string{"1C", "1D", "2C", "2D", "1B", "1E", "2B", "2E", "1A", "1F", "2A", "2F"}},
		"any":    {payments.Any, [12]string{"1B", "1E", "2B", "2E", "1C", "1D", "2C", "2D", "1A", "1F", "2A", "2F"}},
	} {
		t.Run(name, func(t *testing.T) {
			taken := map[string]string{}
			for i, want := range c.want {
				seat, ok := plan(2).choose(c.preference, taken)
				if !ok || seat != want {
					t.Fatalf("seat %d is %q, %v; want %s", i, seat, ok, want)
				}
				taken[seat] = "b"
			}
			if seat, ok := plan(2).choose(c.preference, taken); ok {
				t.Errorf("the flight is full, and gave %s", seat)
			}
		})
	}
}
