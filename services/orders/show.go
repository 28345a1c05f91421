package orders

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"time"

	"github.com/troupedev/troupe/events/orders"
	"github.com/troupedev/troupe/platform/store"
	"github.com/troupedev/troupe/platform/web"
	"github.com/troupedev/troupe/services/internal/history"
)

// Order is how an order stands.
type Order struct {
	OrderID        string             `json:"orderId"`
	Status         Status             `json:"status" enum:"placed,fulfilled,cancelled"`
	Channel        string             `json:"channel,omitempty" doc:"absent: it was placed by another producer, straight to the topic"`
	Customer       string             `json:"customer" doc:"empty, like email: erased"`
	Email          string             `json:"email"`
	Lines          []orders.Item      `json:"lines"`
	Total          int64              `json:"total" doc:"in cents"`
	TrackingNumber string             `json:"trackingNumber,omitempty" doc:"of a fulfilled order"`
	Reason         string             `json:"reason,omitempty" doc:"of a cancelled order: why"`
	PlacedAt       time.Time          `json:"placedAt"`
	History        []history.Happened `json:"history,omitempty" doc:"what happened, in the order in which it was heard; not in a list"`
}

// columns of an order, in the order in which [scan] reads them.
const columns = `id, channel, status, customer, email, lines, total, tracking_number, reason, placed_at`

func scan(row interface{ Scan(...any) error }) (o Order, err error) {
	var lines string
	var at int64
	err = row.Scan(&o.OrderID, &o.Channel, &o.Status, &o.Customer, &o.Email, &lines, &o.Total, &o.TrackingNumber, &o.Reason, &at)
	if err != nil {
		return o, err
	}
	o.PlacedAt = time.UnixMilli(at).UTC()
	err = json.Unmarshal([]byte(lines), &o.Lines)
	return o, err
}

// ShowOrder is the request of GET /orders/{id}.
type ShowOrder struct {
	ID string `path:"id"`
}

func show(ctx context.Context, in *ShowOrder) (Order, error) {
	o, err := scan(store.Tx(ctx).QueryRowContext(ctx, `select `+columns+` from orders where id = $1`, in.ID))
	if errors.Is(err, sql.ErrNoRows) {
		return o, web.NotFound("no order has the id " + in.ID)
	}
	if err == nil {
		o.History, err = history.Of(ctx, in.ID)
	}
	return o, err
}

// ListOrders is the request of GET /orders.
type ListOrders struct {
	Limit  int    `query:"limit" default:"100" minimum:"1" maximum:"1000"`
	After  string `query:"after" maxLength:"200" doc:"the last id of the page before"`
	Status Status `query:"status" enum:"placed,fulfilled,cancelled" doc:"only orders that stand so"`
}

// Orders is the answer of GET /orders.
type Orders struct {
	Orders []Order `json:"orders" doc:"by id, without their history"`
}

func list(ctx context.Context, in *ListOrders) (Orders, error) {
	found, err := store.Collect(ctx, func(row *sql.Rows) (Order, error) { return scan(row) },
		`select `+columns+` from orders where id > $1 and ($2 = '' or status = $2) order by id limit $3`,
		in.After, in.Status, in.Limit)
	return Orders{append([]Order{}, found...)}, err
}
