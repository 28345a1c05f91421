package services_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/troupedev/troupe/platform/choreotest"
	inventoryservice "github.com/troupedev/troupe/services/inventory"
	ordersservice "github.com/troupedev/troupe/services/orders"
	paymentsservice "github.com/troupedev/troupe/services/payments"
)

// bulk is an order of a tenth of all the mugs that there are.
func bulk(channel, card string) string {
	line := `{"sku":"mug","quantity":1000}`
	return fmt.Sprintf(`{"channel":%q,"customer":"Ada","email":"ada@example.com","card":%q,"items":[%s]}`,
		channel, card, strings.Repeat(line+",", 99)+line)
}

// TestOrdersTogetherAddUp has more mugs ordered than there are, through both
// channels and with cards of every kind, all together. In the end each order has
// its mugs and is paid, or has none and has paid nothing, and the books agree.
func TestOrdersTogetherAddUp(t *testing.T) {
	const seeds = 200 // of a hundred events each; TestFlows has every flow under more
	choreotest.Setup{Seeds: seeds}.Play(t, func(s *choreotest.Stage) {
		var ids []string
		s.Together(func() {
			for i := range 13 {
				channel := []string{"storefront", "wholesale"}[i%2]
				card := []string{"4242424242424242", paymentsservice.CardFailsTwice, paymentsservice.CardDeclined}[max(0, i-10)]
				ids = append(ids, choreotest.Request[ordersservice.PlacedOrder](s, 202, "POST", "/orders", bulk(channel, card)).OrderID)
			}
		})
		reserved := int64(0)
		for _, id := range ids {
			order, payment := choreotest.Get[ordersservice.Order](s, "/orders/"+id), paymentOf(t, s, id)
			switch {
			case order.Status == "fulfilled" && payment.Status == "charged" && payment.Amount == order.Total:
				reserved += 100_000
			case order.Status == "cancelled" && payment.Status != "charged":
			default:
				t.Errorf("order %s is %s (%s), its payment %+v", id, order.Status, order.Reason, payment)
			}
		}
		for _, stock := range choreotest.Get[inventoryservice.AllStock](s, "/stock").Stock {
			if stock.SKU == "mug" && (stock.Reserved != reserved || stock.Available+stock.Reserved != 1_000_000) {
				t.Errorf("orders have %d mugs, the stock is %+v", reserved, stock)
			}
		}
		if reserved < 900_000 { // wholesale that is declined may have held some while others asked
			t.Errorf("only %d mugs are sold", reserved)
		}
	}, shipped(t)...)
}

// paymentOf is the payment for an order: nothing where none was asked for.
func paymentOf(t *testing.T, s *choreotest.Stage, order string) (p paymentsservice.Payment) {
	t.Helper()
	status, answer := s.Request("GET", "/payments/"+order, "")
	if status == 404 {
		return p
	}
	if err := json.Unmarshal([]byte(answer), &p); err != nil || status != 200 {
		t.Fatalf("the payment for %s: got %d %s", order, status, answer)
	}
	return p
}
