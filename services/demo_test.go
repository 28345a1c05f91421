package services_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/troupedev/troupe/services"
)

func TestDemoHasEveryKindOfOrder(t *testing.T) {
	next, again := services.Demo(1), services.Demo(1)
	seen := map[string]bool{}
	for i := range 1000 {
		path, body := next()
		if _, same := again(); string(same) != string(body) {
			t.Fatalf("order %d of one seed: %s, then %s", i, body, same)
		}
		var order struct {
			Channel, Customer, Email, Card string
			Items                          []struct {
				SKU      string
				Quantity int
			}
		}
		if err := json.Unmarshal(body, &order); err != nil || path != "/orders" || len(order.Items) != 1 || order.Items[0].Quantity < 1 {
			t.Fatalf("order %d: %s %s, %v", i, path, body, err)
		}
		_, domain, _ := strings.Cut(order.Email, "@")
		for _, kind := range []string{order.Channel, order.Card, order.Items[0].SKU, domain} {
			seen[kind] = true
		}
	}
	for _, kind := range []string{
		"storefront", "wholesale", "4242424242424242", "4000000000000002", "4000000000000119",
		"mug", "lamp", "desk", "unicorn", "example.com", "bounce.example",
	} {
		if !seen[kind] {
			t.Errorf("none of 1,000 orders has %s", kind)
		}
	}
}
