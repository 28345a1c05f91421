package orders

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/troupedev/troupe/events/orders"
	"github.com/troupedev/troupe/platform/choreo"
	"github.com/troupedev/troupe/platform/event"
	"github.com/troupedev/troupe/platform/store"
	"github.com/troupedev/troupe/platform/web"
	"github.com/troupedev/troupe/services/internal/account"
	"github.com/troupedev/troupe/services/internal/history"
)

// prices are the catalogue, in cents.
var prices = map[string]int64{
	"mug":     12_50,
	"lamp":    49_00,
	"desk":    320_00,
	"unicorn": 9_999_00, // never in stock
}

// PlaceOrder is the request of POST /orders.
type PlaceOrder struct {
	Body struct {
		Channel  string        `json:"channel" enum:"storefront,wholesale" doc:"storefront pays first and reserves stock then; wholesale the other way round"`
		Customer string        `json:"customer" minLength:"1" maxLength:"200" example:"Ada"`
		Email    account.Email `json:"email" format:"email" maxLength:"200" example:"ada@example.com"`
		Card     string        `json:"card" pattern:"^[0-9]{12,19}$" example:"4242424242424242" doc:"4000000000000002 is declined"`
		Items    []Item        `json:"items" minItems:"1" maxItems:"100"`
	}
}

// Item is one line of a [PlaceOrder].
type Item struct {
	SKU      string `json:"sku" minLength:"1" maxLength:"100" example:"mug"`
	Quantity int32  `json:"quantity" minimum:"1" maximum:"1000" example:"2"`
}

// PlacedOrder is the answer of POST /orders.
type PlacedOrder struct {
	OrderID string `json:"orderId"`
	FlowID  string `json:"flowId"`
}

// place keeps the order and says that it was placed, in one transaction: the
// card is not kept.
func place(ctx context.Context, in *PlaceOrder) (PlacedOrder, choreo.Events, error) {
	items, total, err := priced(in.Body.Items)
	if err != nil {
		return PlacedOrder{}, nil, err
	}
	request := event.From(ctx)
	order := orders.OrderPlaced{
		OrderID: request.ID, Customer: in.Body.Customer, Email: string(in.Body.Email), Card: in.Body.Card,
		Items: items, Total: total, PlacedAt: request.Time,
	}
	var happened event.Event = order
	if in.Body.Channel == "wholesale" {
		happened = orders.OrderCreated(order)
	}
	if err := keep(ctx, in.Body.Channel, order); err != nil {
		return PlacedOrder{}, nil, err
	}
	if err := history.Note(ctx, order.OrderID, happened, string(Placed)); err != nil {
		return PlacedOrder{}, nil, err
	}
	return PlacedOrder{OrderID: request.ID, FlowID: request.Flow}, choreo.Emit(happened), nil
}

func keep(ctx context.Context, channel string, o orders.OrderPlaced) error {
	lines, err := json.Marshal(o.Items)
	if err != nil {
		return err
	}
	_, err = store.Exec(ctx, `
		insert into orders (id, channel, status, customer, email, address, lines, total, tracking_number, reason, placed_at)
		values ($1, $2, $3, $4, $5, $6, $7, $8, '', '', $9)`,
		o.OrderID, channel, Placed, o.Customer, o.Email, account.Key(o.Email), string(lines), o.Total, o.PlacedAt.UnixMilli())
	return err
}

func priced(items []Item) (out []orders.Item, total int64, err error) {
	for i, item := range items {
		price, ok := prices[item.SKU]
		if !ok {
			return nil, 0, web.Invalid(fmt.Sprintf("body.items[%d].sku", i), "is not in the catalogue", item.SKU)
		}
		out = append(out, orders.Item{SKU: item.SKU, Quantity: item.Quantity, Price: price})
		total += price * int64(item.Quantity)
	}
	return out, total, nil
}
