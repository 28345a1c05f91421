package inventory

import (
	"cmp"
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"github.com/troupedev/troupe/events/inventory"
	"github.com/troupedev/troupe/platform/choreo"
	"github.com/troupedev/troupe/platform/store"
	"github.com/troupedev/troupe/platform/web"
)

// result is what came of asking for an order's items.
type result int

const (
	askedBefore result = iota // the order has had its answer
	isTaken                   // all items are the order's
	isShort                   // none is
)

// take takes all items for an order, or none; short is the first item that there
// is not enough of.
//
// The rows of stock are the last that the transaction locks, and always by
// name: orders wait for each other no longer than they have to, and never in a
// circle.
func take(ctx context.Context, order string, items []inventory.Item) (short string, r result, err error) {
	amounts, err := amountsOf(items)
	if err != nil {
		return "", 0, choreo.Permanent(fmt.Errorf("order %s: %w", order, err))
	}
	first, err := ask(ctx, order, items)
	if err != nil || !first {
		return "", askedBefore, err
	}
	for i, a := range amounts {
		took, err := takeOf(ctx, a)
		if err != nil {
			return "", 0, err
		}
		if took {
			continue
		}
		if err := putBack(ctx, amounts[:i]); err != nil {
			return "", 0, err
		}
		_, err = store.Exec(ctx, `update reservations set status = 'short' where order_id = $1`, order)
		return a.sku, isShort, err
	}
	return "", isTaken, nil
}

// ask notes that the order asks for items, and reports whether it does so for
// the first time.
func ask(ctx context.Context, order string, items []inventory.Item) (first bool, err error) {
	text, err := json.Marshal(items)
	if err != nil {
		return false, err
	}
	added, err := store.Exec(ctx,
		`insert into reservations (order_id, status, items) values ($1, 'held', $2) on conflict (order_id) do nothing`, order, string(text))
	return added > 0, err
}

// giveBack puts back what an order holds, and returns it: nil where it holds nothing.
func giveBack(ctx context.Context, order string) (items []inventory.Item, err error) {
	var text string
	err = store.Tx(ctx).QueryRowContext(ctx,
		`update reservations set status = 'released' where order_id = $1 and status = 'held' returning items`, order).Scan(&text)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	if err := json.Unmarshal([]byte(text), &items); err != nil {
		return nil, err
	}
	amounts, err := amountsOf(items)
	if err != nil {
		return nil, err
	}
	return items, putBack(ctx, amounts)
}

// amount is how many of one item.
type amount struct {
	sku      string
	quantity int64
}

// amountsOf adds up the lines of an order, by name.
func amountsOf(items []inventory.Item) (out []amount, err error) {
	for _, i := range items {
		if i.Quantity < 1 {
			return nil, fmt.Errorf("%d of %s cannot be taken", i.Quantity, i.SKU)
		}
		out = append(out, amount{i.SKU, int64(i.Quantity)})
	}
	slices.SortFunc(out, func(a, b amount) int { return cmp.Compare(a.sku, b.sku) })
	sums := out[:0]
	for _, a := range out {
		if n := len(sums); n > 0 && sums[n-1].sku == a.sku {
			sums[n-1].quantity += a.quantity
			continue
		}
		sums = append(sums, a)
	}
	return sums, nil
}

// takeOf takes an amount of one item, or nothing and reports false where there is
// not enough.
func takeOf(ctx context.Context, a amount) (taken bool, err error) {
	changed, err := store.Exec(ctx,
		`update stock set available = available - $2, reserved = reserved + $2 where sku = $1 and available >= $2`, a.sku, a.quantity)
	return changed > 0, err
}

// putBack makes what was taken available again.
func putBack(ctx context.Context, amounts []amount) error {
	for _, a := range amounts {
		if _, err := store.Exec(ctx,
			`update stock set available = available + $2, reserved = reserved - $2 where sku = $1`, a.sku, a.quantity); err != nil {
			return err
		}
	}
	return nil
}

// Stock is how much there is of one item.
type Stock struct {
	SKU       string `json:"sku" example:"mug"`
	Available int64  `json:"available" doc:"can be ordered"`
	Reserved  int64  `json:"reserved" doc:"was taken by orders"`
}

// AllStock is the answer of GET /stock.
type AllStock struct {
	Stock []Stock `json:"stock" doc:"by sku"`
}

func show(ctx context.Context, _ *struct{}) (AllStock, error) {
	all, err := store.Collect(ctx, func(row *sql.Rows) (s Stock, err error) {
		err = row.Scan(&s.SKU, &s.Available, &s.Reserved)
		return s, err
	}, `select sku, available, reserved from stock order by sku`)
	return AllStock{append([]Stock{}, all...)}, err
}

// AddStock is the request of POST /stock.
type AddStock struct {
	Body struct {
		SKU      string `json:"sku" minLength:"1" maxLength:"100" example:"mug"`
		Quantity int64  `json:"quantity" minimum:"1" maximum:"1000000000" doc:"how many come in"`
	}
}

func add(ctx context.Context, in *AddStock) (s Stock, _ choreo.Events, err error) {
	if in.Body.SKU == OutOfStock {
		return s, nil, web.Invalid("body.sku", "is never in stock", in.Body.SKU)
	}
	err = store.Tx(ctx).QueryRowContext(ctx, `
		insert into stock (sku, available, reserved) values ($1, $2, 0)
		on conflict (sku) do update set available = stock.available + excluded.available
		returning sku, available, reserved`, in.Body.SKU, in.Body.Quantity).Scan(&s.SKU, &s.Available, &s.Reserved)
	return s, nil, err
}
