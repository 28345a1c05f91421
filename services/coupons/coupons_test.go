package coupons_test

import (
	"slices"
	"testing"
	"time"

	"github.com/troupedev/troupe/events/coupons"
	"github.com/troupedev/troupe/events/orders"
	"github.com/troupedev/troupe/events/users"
	"github.com/troupedev/troupe/platform/choreotest"
	"github.com/troupedev/troupe/platform/event"
	service "github.com/troupedev/troupe/services/coupons"
)

var noon = time.Date(2025, 6, 1, 12, 0, 0, 0, time.UTC)

// Two people who have one address, one after the other.
var (
	ada          = users.UserRegistered{UserID: "u-1", Name: "Ada", Email: "Ada@example.com", RegisteredAt: noon}
	adaDeleted   = users.UserDeleted{UserID: "u-1", Name: "Ada", Email: "Ada@example.com", DeletedAt: noon.Add(time.Hour)}
	adaClosed    = users.AccountClosureRequested{UserID: "u-1", Name: "Ada", Email: "Ada@example.com"}
	grace        = users.UserRegistered{UserID: "u-2", Name: "Grace", Email: "ada@example.com", RegisteredAt: noon.Add(2 * time.Hour)}
	fulfilledFor = func(order, email string, total int64) orders.OrderFulfilled {
		return orders.OrderFulfilled{OrderID: order, Customer: "Ada", Email: email, Total: total, TrackingNumber: "TH1"}
	}
)

// granted are the references of the coupons that were granted.
func granted(s *choreotest.Stage) (references []string) {
	for _, c := range choreotest.All[coupons.CouponGranted](s) {
		references = append(references, c.Reference)
	}
	return references
}

// valid are the references of the coupons that are there.
func valid(s *choreotest.Stage) (references []string) {
	for _, row := range s.Rows("coupons", `select reference from coupons order by reference`) {
		references = append(references, row[0])
	}
	return references
}

func TestWhoRegistersIsGrantedACoupon(t *testing.T) {
	choreotest.Play(t, func(s *choreotest.Stage) {
		s.Send(ada)
		all := choreotest.All[coupons.CouponGranted](s)
		if len(all) != 1 || len(all[0].Code) != 16 {
			t.Fatalf("granted were %+v, want one coupon with a code", all)
		}
		s.Emitted(coupons.CouponGranted{
			Code: all[0].Code, Customer: "Ada", Email: "Ada@example.com", Amount: 5_00, Reason: coupons.Welcome, Reference: "u-1",
		})
		s.NothingElse()
	}, service.Service())
}

func TestACouponIsForOrdersFrom100On(t *testing.T) {
	for name, c := range map[string]struct{ total, amount int64 }{
		"99.99":  {99_99, 0},
		"100.00": {100_00, 10_00},
		"250.05": {250_05, 25_00},
	} {
		t.Run(name, func(t *testing.T) {
			choreotest.Play(t, func(s *choreotest.Stage) {
				s.Send(fulfilledFor("o-1", "ada@example.com", c.total))
				all := choreotest.All[coupons.CouponGranted](s)
				if c.amount == 0 {
					s.NothingElse()
				} else if len(all) != 1 || all[0].Amount != c.amount || all[0].Reason != coupons.BigOrder || all[0].Reference != "o-1" {
					t.Errorf("granted were %+v, want one of %d cents", all, c.amount)
				}
			}, service.Service())
		})
	}
}

func TestNoTwoCouponsHaveTheSameCode(t *testing.T) {
	choreotest.Play(t, func(s *choreotest.Stage) {
		s.Send(ada, fulfilledFor("o-1", "ada@example.com", 100_00), fulfilledFor("o-2", "ada@example.com", 100_00))
		codes := map[string]bool{}
		for _, c := range choreotest.All[coupons.CouponGranted](s) {
			codes[c.Code] = true
		}
		if len(codes) != 3 {
			t.Errorf("the codes are %v, want three", codes)
		}
	}, service.Service())
}

func TestWhoIsGoneHasNoCoupons(t *testing.T) {
	big := fulfilledFor("o-1", "ada@example.com", 100_00)
	for name, c := range map[string]struct {
		heard []event.Event
		left  []string
	}{
		"deleted":                   {[]event.Event{ada, big, adaDeleted}, nil},
		"an order that comes after": {[]event.Event{ada, adaDeleted, big}, nil},
		"a registration that was dead until after":   {[]event.Event{adaDeleted, ada}, nil},
		"a registration that was dead for longer":    {[]event.Event{adaDeleted, grace, ada}, []string{"u-2"}},
		"another registered since":                   {[]event.Event{ada, adaDeleted, grace, big}, []string{"o-1", "u-2"}},
		"another registered since, deletion late":    {[]event.Event{ada, grace, big, adaDeleted}, []string{"o-1", "u-2"}},
		"another address, which is another's matter": {[]event.Event{ada, fulfilledFor("o-9", "grace@example.com", 100_00), adaDeleted}, []string{"o-9"}},
	} {
		t.Run(name, func(t *testing.T) {
			choreotest.Play(t, func(s *choreotest.Stage) {
				for _, e := range c.heard {
					s.Send(e)
				}
				if left := valid(s); !slices.Equal(left, c.left) {
					t.Errorf("the coupons left are for %v, want %v; granted were those for %v", left, c.left, granted(s))
				}
			}, service.Service())
		})
	}
}

// TestADeletionAndAnOrderAtOnce is about two topics: nothing says which of the
// two is heard first, and whichever it is, no coupon is left.
func TestADeletionAndAnOrderAtOnce(t *testing.T) {
	choreotest.Play(t, func(s *choreotest.Stage) {
		s.Send(ada)
		s.Together(func() {
			s.Send(fulfilledFor("o-1", "ada@example.com", 100_00))
			s.Send(adaDeleted)
		})
		if left := valid(s); len(left) != 0 {
			t.Errorf("the coupons left are for %v, want none", left)
		}
		if n := len(choreotest.All[coupons.CouponsErased](s)); n != 1 {
			t.Errorf("erased was said %d times, want once", n)
		}
	}, service.Service())
}

func TestAClosureErasesCouponsByAddress(t *testing.T) {
	choreotest.Play(t, func(s *choreotest.Stage) {
		s.Send(ada, fulfilledFor("o-1", "ADA@example.com", 100_00))
		s.Send(adaClosed)
		answers := choreotest.All[users.AccountDataErased](s)
		if len(answers) != 1 || answers[0] != (users.AccountDataErased{UserID: "u-1", Service: "coupons", Records: 2}) {
			t.Errorf("the answers are %+v", answers)
		}
		s.Send(fulfilledFor("o-2", "ada@example.com", 100_00))
		if left := valid(s); len(left) != 0 {
			t.Errorf("the coupons left are for %v, want none", left)
		}
		for _, table := range []string{"coupons", "addresses"} {
			for _, row := range s.Rows("coupons", `select * from `+table) {
				for _, column := range row {
					if column == "ada@example.com" {
						t.Errorf("%s still has %v", table, row)
					}
				}
			}
		}
	}, service.Service())
}
