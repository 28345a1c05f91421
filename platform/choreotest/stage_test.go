package choreotest_test

import (
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"testing"
	"time"

	"github.com/troupedev/troupe/platform/choreotest"
	"github.com/troupedev/troupe/platform/event"
)

// order asks the shop for n mugs.
func order(t testing.TB, s *choreotest.Stage, n int) (id string) {
	t.Helper()
	status, answer := s.Request("POST", "/orders", fmt.Sprintf(`{"n":%d}`, n))
	var got struct{ ID string }
	if err := json.Unmarshal([]byte(answer), &got); err != nil || status != 202 {
		t.Fatalf("got %d %s", status, answer)
	}
	return got.ID
}

// TestServicesThatAreRightPass plays, under every fault, what the wrong ones of
// the other tests get wrong.
func TestServicesThatAreRightPass(t *testing.T) {
	b := newBank()
	choreotest.Play(t, func(s *choreotest.Stage) {
		*b = *newBank()
		two, three, one := order(t, s, 2), order(t, s, 3), order(t, s, 1)
		s.Emitted(of[ordered](two, 2), of[paid](two, 2), of[reserved](two, 2))
		s.Emitted(of[ordered](three, 3), of[paid](three, 3), of[short](three, 3), of[refunded](three, 3))
		s.Emitted(of[ordered](one, 1), of[paid](one, 1), of[reserved](one, 1))
		s.NothingElse()
		if got := s.Rows("warehouse", `SELECT sku, n FROM stock WHERE sku = $1`, "mug"); !reflect.DeepEqual(got, [][]string{{"mug", "0"}}) {
			t.Errorf("the stock is %v", got)
		}
		if got := s.Rows("shop", `SELECT count(*) FROM orders WHERE status = 'done'`); got[0][0] != "2" {
			t.Errorf("%v orders are done, want 2", got)
		}
		s.Advance(24 * time.Hour)
		s.Emitted(of[late](two, 0), of[late](three, 0), of[late](one, 0))
		s.NothingElse()
		if b.charged[three] != 3 || b.given[three] != 3 || len(b.given) != 1 {
			t.Errorf("charged %v and given back %v", b.charged, b.given)
		}
	}, shop(), b.service(), warehouse())
}

func TestTimePassesWhenItIsTold(t *testing.T) {
	choreotest.Setup{Settings: map[string]string{"SHOP_LIMIT": "1h"}}.Play(t, func(s *choreotest.Stage) {
		id := order(t, s, 1)
		s.Emitted(of[ordered](id, 1))
		s.Advance(59 * time.Minute)
		s.NothingElse()
		s.Advance(time.Minute)
		s.Emitted(of[late](id, 0), of[expired](id, 0))
		s.NothingElse()
	}, shop())
}

// TestWhatIsTogetherRaces shows that the clock of an order ends it at any time,
// and that all agree about how it ended.
func TestWhatIsTogetherRaces(t *testing.T) {
	allSeeds(t)
	b, ends := newBank(), map[string]int{}
	choreotest.Play(t, func(s *choreotest.Stage) {
		*b = *newBank()
		var id string
		s.Together(func() {
			id = order(t, s, 1)
			s.Advance(25 * time.Hour)
		})
		status := s.Rows("shop", `SELECT status FROM orders`)[0][0]
		ends[status]++
		switch {
		case status == "done" && b.charged[id] == 1 && b.given[id] == 0:
		case status == "given up" && b.charged[id] == b.given[id]:
		default:
			t.Errorf("the order is %s; charged %d, given back %d", status, b.charged[id], b.given[id])
		}
	}, shop(), b.service(), warehouse())
	if len(ends) != 2 {
		t.Errorf("it ended as %v, want some done, and some given up", ends)
	}
}

func TestServicesAskEachOther(t *testing.T) {
	t.Run("one on the stage", func(t *testing.T) {
		choreotest.Play(t, func(s *choreotest.Stage) {
			s.Send(of[ordered]("o", 2))
			s.Emitted(of[paid]("o", 10))
			s.NothingElse()
			if asked := choreotest.All[priced](s); len(asked) == 0 || len(choreotest.All[price](s)) == 0 {
				t.Errorf("asked %v", asked)
			}
		}, clerk(), catalogue())
	})
	t.Run("one whose part the script plays", func(t *testing.T) {
		choreotest.Play(t, func(s *choreotest.Stage) {
			choreotest.Reply(s, func(q priced) (price, error) { return of[price](q.ID, 7), nil })
			s.Send(of[ordered]("o", 2))
			s.Emitted(of[paid]("o", 7))
			s.NothingElse()
		}, clerk())
	})
	t.Run("nobody", func(t *testing.T) {
		choreotest.Play(t, func(s *choreotest.Stage) {
			s.Send(of[ordered]("o", 2))
			s.Dead("clerk", "no reply to money.Priced/v1 within 10s: waited for anybody")
			s.NothingElse()
		}, clerk())
	})
}

func TestAnswersAreGathered(t *testing.T) {
	choreotest.Play(t, func(s *choreotest.Stage) {
		s.Send(of[closing]("ada", 0))
		s.Emitted(of[forgot]("ada", 0), of[forgot]("ada", 0), of[closed]("ada", 2))
		s.NothingElse()
	}, registry(), forgetter("loft"), forgetter("cellar"))
}

func TestTheTreeOfAFlowCanBeSeen(t *testing.T) {
	choreotest.Play(t, func(s *choreotest.Stage) {
		s.Send(of[closing]("ada", 0))
		all := s.Happened()
		i := slices.IndexFunc(all, func(e event.Envelope) bool { return e.Type == "orders.Closed" })
		if len(all) != 4 || all[0].Type != "orders.Closing" || i < 0 || all[i].Flow != all[0].ID || all[i].Hop != 2 {
			t.Errorf("there happened %+v", all)
		}
	}, registry(), forgetter("loft"), forgetter("cellar"))
}

func TestARequestSentAgainByItsKeyIsAnsweredAlike(t *testing.T) {
	choreotest.Play(t, func(s *choreotest.Stage) {
		_, first := s.Request("POST", "/orders", `{"n":1}`, "Idempotency-Key: k")
		_, again := s.Request("POST", "/orders", `{"n":1}`, "Idempotency-Key: k")
		_, other := s.Request("POST", "/orders", `{"n":1}`)
		if first != again || first == other {
			t.Errorf("answered %s, then %s, and another %s", first, again, other)
		}
		if n := len(choreotest.All[ordered](s)); n != 2 {
			t.Errorf("%d orders, want 2", n)
		}
	}, shop())
}
