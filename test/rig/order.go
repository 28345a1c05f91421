package rig

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"time"
)

// Cards that the payments service knows, and what becomes of them.
const (
	CardGood     = "4242424242424242"
	CardDeclined = "4000000000000002"
	CardFlaky    = "4000000000000119" // fails twice at the provider, then passes
	CardBroken   = "4000000000000341" // always fails at the provider
)

// Item is one line of an [Order].
type Item struct {
	SKU      string `json:"sku"`
	Quantity int    `json:"quantity"`
}

// Order is the body of POST /orders.
type Order struct {
	Channel  string `json:"channel"`
	Customer string `json:"customer"`
	Email    string `json:"email"`
	Card     string `json:"card"`
	Items    []Item `json:"items"`
}

// NewOrder is an order of two mugs through a channel.
func NewOrder(channel, card string) Order {
	return Order{
		Channel: channel, Customer: "Ada", Email: "ada@example.com", Card: card,
		Items: []Item{{SKU: "mug", Quantity: 2}},
	}
}

// Short makes o an order for what is never in stock.
func (o Order) Short() Order {
	o.Items = []Item{{SKU: "mug", Quantity: 1}, {SKU: "unicorn", Quantity: 1}}
	return o
}

// Placed is the answer to an order.
type Placed struct {
	OrderID string `json:"orderId"`
	FlowID  string `json:"flowId"`
}

// client keeps as many connections as it has requests at once.
var client = &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 200, IdleConnTimeout: 10 * time.Second}}

// Post sends body to an API's POST /orders once; key is its Idempotency-Key,
// if any. It returns the answer as it came.
func Post(ctx context.Context, api, key string, body []byte) (status int, header http.Header, answer []byte, err error) {
	ctx, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+api+"/orders", bytes.NewReader(body))
	if err != nil {
		return 0, nil, nil, err
	}
	req.Header.Set("Content-Type", "application/json")
	if key != "" {
		req.Header.Set("Idempotency-Key", key)
	}
	resp, err := client.Do(req)
	if err != nil {
		return 0, nil, nil, err
	}
	defer resp.Body.Close()
	answer, err = io.ReadAll(resp.Body)
	return resp.StatusCode, resp.Header, answer, err
}

// Place places o, trying again with the same Idempotency-Key while the service
// cannot be reached or fails, for as long as ctx lasts.
func Place(ctx context.Context, api, key string, o Order) (Placed, error) {
	body, err := json.Marshal(o)
	if err != nil {
		return Placed{}, err
	}
	var placed Placed
	err = Await(ctx, func(ctx context.Context) error {
		status, _, answer, err := Post(ctx, api, key, body)
		if err != nil {
			return err
		}
		switch err := fmt.Errorf("POST /orders: status %d: %.300s", status, answer); {
		case status == http.StatusAccepted:
		case status < http.StatusInternalServerError:
			return final{err}
		default:
			return err
		}
		return json.Unmarshal(answer, &placed)
	})
	if err == nil && (placed.OrderID == "" || placed.FlowID == "") {
		err = fmt.Errorf("POST /orders: the answer has no orderId or flowId: %+v", placed)
	}
	return placed, err
}
