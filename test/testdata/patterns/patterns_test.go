package patterns_test

import (
	"testing"
	"time"

	"github.com/troupedev/troupe/events/bookings"
	"github.com/troupedev/troupe/events/coupons"
	"github.com/troupedev/troupe/events/orders"
	"github.com/troupedev/troupe/events/users"
	"github.com/troupedev/troupe/platform/choreotest"
	"github.com/troupedev/troupe/test/testdata/patterns"
)

func TestTheyDoWhatTheReadmeSays(t *testing.T) {
	choreotest.Play(t, func(s *choreotest.Stage) {
		s.Send(orders.OrderFulfilled{OrderID: "o-1", Customer: "Ada", Email: "ada@example.com", Total: 99_99})
		s.NothingElse()
		s.Send(orders.OrderFulfilled{OrderID: "o-2", Customer: "Ada", Email: "ada@example.com", Total: 100_00})
		s.Emitted(coupons.CouponGranted{
			Code: "THANKS", Customer: "Ada", Email: "ada@example.com", Amount: 10_00, Reason: coupons.BigOrder, Reference: "o-2",
		})
		if rows := s.Rows("concierge", `select what, about from notes`); len(rows) != 2 {
			t.Errorf("the notes are %v", rows)
		}

		s.Send(bookings.BookingCreated{BookingID: "b-1", Flight: "TR100", SeatPreference: bookings.Any})
		s.NothingElse()
		s.Advance(25 * time.Hour)
		s.Emitted(bookings.BookingExpired{BookingID: "b-1"})

		s.Send(users.AccountClosureRequested{UserID: "u-1", Name: "Ada", Email: "ada@example.com"})
		s.Emitted(users.AccountDataErased{UserID: "u-1", Service: "concierge"},
			users.AccountClosed{UserID: "u-1", Name: "Ada", Email: "ada@example.com"})
		s.NothingElse()

		s.Request("POST", "/members", `{"name":"Bob","email":"bob@example.com"}`)
		if granted := choreotest.All[coupons.CouponGranted](s); len(granted) != 2 || granted[1].Email != "bob@example.com" {
			t.Errorf("granted were %+v", granted)
		}
	}, patterns.Members(), patterns.Concierge())
}
