package inventory_test

import (
	"context"
	"database/sql"
	"fmt"
	"maps"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/troupedev/troupe/events/inventory"
	"github.com/troupedev/troupe/events/orders"
	"github.com/troupedev/troupe/platform/choreo"
	"github.com/troupedev/troupe/platform/event"
	"github.com/troupedev/troupe/platform/store"
	"github.com/troupedev/troupe/platform/store/storetest"
	"github.com/troupedev/troupe/platform/testmain"
	service "github.com/troupedev/troupe/services/inventory"
)

func TestMain(m *testing.M) { testmain.Run(m) }

// crowd lets many goroutines handle events at once.
type crowd struct {
	*testing.T
	db      *storetest.DB
	service choreo.Service

	mu      sync.Mutex
	emitted []event.Event
}

// hear handles one event, by the reaction to it.
func (c *crowd) hear(id string, e event.Event) {
	events := storetest.Hear(c.T, c.db, &c.service, id, e)
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, emission := range events {
		c.emitted = append(c.emitted, emission.Event)
	}
}

// stock reads what there is.
func (c *crowd) stock() map[string]service.Stock {
	c.Helper()
	out := map[string]service.Stock{}
	err := c.db.Read(c.Context(), func(ctx context.Context) error {
		all, err := store.Collect(ctx, func(row *sql.Rows) (s service.Stock, err error) {
			err = row.Scan(&s.SKU, &s.Available, &s.Reserved)
			return s, err
		}, `select sku, available, reserved from stock`)
		for _, s := range all {
			out[s.SKU] = s
		}
		return err
	})
	if err != nil {
		c.Fatal(err)
	}
	return out
}

// TestStockIsNeverBelowZero has many orders of several items, in any order and
// more than there is, handled side by side, and then some of them released,
// each by two events at once. What is taken is what was promised, to the piece.
func TestStockIsNeverBelowZero(t *testing.T) {
	const ordered, atOnce, each = 400, 16, 300
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	skus := []string{"mug", "lamp", "desk"}
	storetest.Each(t, func(t *testing.T, url string) {
		random := rand.New(rand.NewPCG(seed, 0))
		s := service.Service()
		c := &crowd{T: t, db: storetest.Open(t, url, "inventory", s.Store, nil), service: s}
		c.set(each)

		all := make([]orders.OrderCreated, ordered)
		for i := range all {
			all[i] = created(fmt.Sprintf("o-%d", i))
			for _, n := range random.Perm(len(skus))[:1+random.IntN(len(skus))] {
				all[i].Items = append(all[i].Items, orders.Item{SKU: skus[n], Quantity: 1 + random.Int32N(3)})
			}
		}
		parallel(atOnce, len(all), func(i int) { c.hear("created-"+all[i].OrderID, all[i]) })
		held := c.promised(ordered)
		c.agrees(each, held)

		var unpaid []string
		for id := range held {
			if len(unpaid) < len(held)/2 {
				unpaid = append(unpaid, id)
			}
		}
		parallel(atOnce, 2*len(unpaid), func(i int) {
			id := unpaid[i/2]
			c.hear(fmt.Sprintf("failed-%d-%s", i%2, id), failed(id))
		})
		for _, e := range c.emitted[ordered:] {
			delete(held, e.(inventory.InventoryReleased).OrderID)
		}
		if released := len(c.emitted) - ordered; released != len(unpaid) {
			t.Errorf("%d orders gave back, %d times in all", len(unpaid), released)
		}
		c.agrees(each, held)
	})
}

// set puts so much of each item on the shelf.
func (c *crowd) set(each int) {
	c.Helper()
	storetest.React(c.T, c.db, "test", event.Meta{ID: "set"}, func(ctx context.Context) (choreo.Events, error) {
		_, err := store.Exec(ctx, `update stock set available = $1`, each)
		return nil, err
	})
}

// promised are the items that orders were told to have, by order.
func (c *crowd) promised(ordered int) map[string][]inventory.Item {
	c.Helper()
	held := map[string][]inventory.Item{}
	short := 0
	for _, e := range c.emitted {
		switch e := e.(type) {
		case inventory.InventoryChecked:
			held[e.OrderID] = e.Items
		case inventory.InventoryShort:
			short++
		}
	}
	if len(held)+short != ordered || len(c.emitted) != ordered || short == 0 || len(held) == 0 {
		c.Errorf("of %d orders %d have theirs and %d have not", ordered, len(held), short)
	}
	return held
}

// agrees demands that what is reserved is what orders hold, and the rest available.
func (c *crowd) agrees(each int64, held map[string][]inventory.Item) {
	c.Helper()
	want := map[string]service.Stock{}
	for _, sku := range []string{"mug", "lamp", "desk"} {
		want[sku] = service.Stock{SKU: sku, Available: each}
	}
	for _, items := range held {
		for _, i := range items {
			s := want[i.SKU]
			s.Available, s.Reserved = s.Available-int64(i.Quantity), s.Reserved+int64(i.Quantity)
			want[i.SKU] = s
		}
	}
	if got := c.stock(); !maps.Equal(got, want) {
		c.Errorf("the stock is\n%+v, orders hold\n%+v", got, want)
	}
	for _, s := range want {
		if s.Available < 0 {
			c.Errorf("orders hold more %s than there was: %+v", s.SKU, s)
		}
	}
}

// parallel calls f for each of 0 to n-1, some at once.
func parallel(atOnce, n int, f func(int)) {
	var wg sync.WaitGroup
	next := make(chan int)
	for range atOnce {
		wg.Go(func() {
			for i := range next {
				f(i)
			}
		})
	}
	for i := range n {
		next <- i
	}
	close(next)
	wg.Wait()
}
