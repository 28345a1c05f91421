package coupons

import (
	"context"
	"database/sql"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/troupedev/troupe/events/orders"
	"github.com/troupedev/troupe/events/users"
	"github.com/troupedev/troupe/platform/choreo"
	"github.com/troupedev/troupe/platform/event"
	"github.com/troupedev/troupe/platform/store"
	"github.com/troupedev/troupe/platform/store/storetest"
	"github.com/troupedev/troupe/platform/testmain"
)

func TestMain(m *testing.M) { testmain.Run(m) }

// TestADeletionLeavesNoCouponWhateverIsAtTheSameTime lets orders be fulfilled
// while their customer is being deleted.
func TestADeletionLeavesNoCouponWhateverIsAtTheSameTime(t *testing.T) {
	const people, orderCount = 20, 4
	storetest.Each(t, func(t *testing.T, url string) {
		db := storetest.Open(t, url, "coupons", Service().Store, nil)
		var all sync.WaitGroup
		for i := range people {
			id, email := fmt.Sprintf("u-%d", i), fmt.Sprintf("%d@example.com", i)
			storetest.React(t, db, "UserRegistered", meta(id), func(ctx context.Context) (choreo.Events, error) {
				return welcome(ctx, users.UserRegistered{UserID: id, Email: email, RegisteredAt: time.UnixMilli(1)})
			})
			for n := range orderCount {
				o := orders.OrderFulfilled{OrderID: fmt.Sprintf("%s-o-%d", id, n), Email: email, Total: 100_00}
				all.Go(func() {
					storetest.React(t, db, "OrderFulfilled", meta(o.OrderID), func(ctx context.Context) (choreo.Events, error) { return reward(ctx, o) })
				})
			}
			all.Go(func() {
				storetest.React(t, db, "UserDeleted", meta(id), func(ctx context.Context) (choreo.Events, error) {
					return eraseDeleted(ctx, users.UserDeleted{UserID: id, Email: email})
				})
			})
		}
		all.Wait()
		if n := countCoupons(t, db); n != 0 {
			t.Errorf("%d coupons are left of people who are gone", n)
		}
	})
}

func meta(id string) event.Meta { return event.Meta{ID: id, Time: time.UnixMilli(2)} }

func countCoupons(t *testing.T, db *storetest.DB) (n int) {
	t.Helper()
	err := db.Read(t.Context(), func(ctx context.Context) error {
		all, err := store.Collect(ctx, func(row *sql.Rows) (n int, err error) { return n, row.Scan(&n) }, `select count(*) from coupons`)
		if err == nil {
			n = all[0]
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return n
}
