package services_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/troupedev/troupe/services"
)

func TestDemoHasEveryKindOfRequest(t *testing.T) {
	next, again := services.Demo(1), services.Demo(1)
	seen := map[string]bool{}
	for i := range 1000 {
		path, body := next()
		if _, same := again(); string(same) != string(body) {
			t.Fatalf("request %d of one seed: %s, then %s", i, body, same)
		}
		if i == 0 && (path != "/orders" || !strings.Contains(string(body), `"Ada"`)) {
			t.Errorf("the first one is %s %s", path, body)
		}
		var sent struct {
			Channel, Email, Card   string
			Flight, SeatPreference string
			Items                  []struct{ SKU string }
		}
		if err := json.Unmarshal(body, &sent); err != nil {
			t.Fatalf("request %d: %s %s, %v", i, path, body, err)
		}
		_, domain, _ := strings.Cut(sent.Email, "@")
		for _, kind := range []string{path, sent.Channel, sent.Card, sent.Flight, sent.SeatPreference, domain} {
			seen[kind] = true
		}
		for _, item := range sent.Items {
			seen[item.SKU] = true
		}
	}
	for _, kind := range []string{
		"/orders", "storefront", "wholesale", "mug", "lamp", "desk", "unicorn",
		"/users", "/bookings", "TR000", "any", "window", "aisle",
		"4242424242424242", "4000000000000002", "4000000000000119", "example.com", "bounce.example",
	} {
		if !seen[kind] {
			t.Errorf("none of 1,000 requests has %s", kind)
		}
	}
}
