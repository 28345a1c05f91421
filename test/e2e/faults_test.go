package e2e

import (
	"context"
	"fmt"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/troupedev/troupe/test/rig"
)

// killable are the services whose processes hold nothing but the service.
func killable() []string {
	if containers() {
		return services
	}
	return services[1:]
}

// begun waits until n more flows have begun, so that what comes next comes in
// their middle.
func (s *stage) begun(n int) {
	s.Helper()
	before := s.log.Flows()
	await(s.T, time.Minute, func(context.Context) error {
		if more := s.log.Flows() - before; more < n {
			return fmt.Errorf("%d more flows have begun, want %d", more, n)
		}
		return nil
	})
}

// during has requests of all kinds come in until fault has returned, and demands
// that all flows end. kills is how often fault kills the notifications service.
func (s *stage) during(rate, kills int, fault func(ctx context.Context)) {
	s.Helper()
	ctx := within(s.T, 8*time.Minute)
	var all []placed
	var over atomic.Bool
	var g errgroup.Group
	g.Go(func() error {
		all = s.placeWhile(ctx, rig.Everything(), rate, func(int) bool { return !over.Load() })
		return nil
	})
	func() {
		defer func() { // also where the fault fails the test
			over.Store(true)
			must(s, g.Wait())
		}()
		s.begun(20)
		fault(ctx)
	}()
	s.ended(2*time.Minute, all, kills == 0)
	s.balanced(time.Minute, kills)
	s.wellFormed()
	if n := s.log.Flows(); n != len(all) {
		s.Errorf("%d requests led to %d flows", len(all), n)
	}
}

func TestFlowsEndThoughServicesAreKilled(t *testing.T) {
	s := newStage(t)
	s.mail.Slow = 30 * time.Millisecond // so that a kill finds mails in hand
	s.during(30, 1, func(ctx context.Context) {
		for _, name := range killable() {
			s.begun(20)
			must(t, s.processes[name].Kill())
			must(t, s.processes[name].Start(ctx))
		}
	})
}

func TestFlowsEndThoughOneOfTwoInstancesIsKilled(t *testing.T) {
	if !postgres() {
		t.Log("not run: instances of one service need a database that they share")
		return
	}
	s := newStage(t)
	for _, name := range services {
		s.twins[name] = s.prepare(name, "--brokers", s.brokers)
	}
	var g errgroup.Group
	ctx := within(t, 3*time.Minute)
	for _, twin := range s.twins {
		g.Go(func() error { return twin.Start(ctx) })
	}
	must(t, g.Wait())
	s.during(30, 1, func(context.Context) {
		for _, name := range killable() {
			s.begun(10)
			must(t, s.processes[name].Kill())
		}
	})
}

func TestFlowsEndThoughTheBrokerGoesAway(t *testing.T) {
	ways := map[string]func(broker, testing.TB){"stopped": broker.Stop}
	if containers() {
		ways["killed"] = broker.Kill // the embedded one promises nothing there
	}
	s := newStage(t)
	s.during(30, 0, func(context.Context) {
		for _, goAway := range ways {
			goAway(s.broker, t)
			s.broker.Start(t)
			s.begun(20)
		}
	})
}

func TestFlowsEndThoughPostgresGoesAway(t *testing.T) {
	if !postgres() {
		t.Log("not run: SQLite files do not go away")
		return
	}
	s := newStage(t)
	s.during(30, 0, func(context.Context) {
		for _, goAway := range []func(testing.TB){database.Stop, database.Kill} {
			goAway(t)
			database.Start(t)
			s.begun(20)
		}
	})
}

// soon is how long a request may take, whatever is away.
const soon = 2 * time.Second

// TestRequestsAreTakenWhileTheBrokerIsAway: they go into the outboxes, and from
// there to the broker once it is back.
func TestRequestsAreTakenWhileTheBrokerIsAway(t *testing.T) {
	away := 30 * time.Second
	if !containers() {
		away = 10 * time.Second // it is the same thing, and tests are to be short
	}
	s := newStage(t)
	ctx := within(t, 5*time.Minute)
	all := s.place(ctx, rig.Everything(), 2, 50)
	s.ended(time.Minute, all, true)
	known := s.log.Flows()
	s.broker.Stop(t)
	longest, back := time.Duration(0), time.Now().Add(away)
	all = append(all, s.placeWhile(ctx, rig.Everything(), 10, func(int) bool {
		return time.Now().Before(back)
	})...)
	for _, p := range all {
		longest = max(longest, p.took)
	}
	if n := s.log.Flows(); n != known {
		t.Errorf("%d flows have begun without a broker", n-known)
	}
	s.broker.Start(t)
	s.ended(time.Minute, all, true)
	s.balanced(time.Minute, 0)
	fmt.Printf("broker away for %v: %d requests taken meanwhile, the longest took %v\n", away, len(all)-known, longest.Round(time.Millisecond))
	if longest > soon {
		t.Errorf("a request took %v, want %v at most", longest, soon)
	}
}

func TestMailIsSentOnceTheServerIsBack(t *testing.T) {
	s := newStage(t)
	ctx := within(t, 5*time.Minute)
	if err := s.mail.Down(); err != nil {
		t.Fatal(err)
	}
	all := s.place(ctx, rig.Everything(), 3, 50)
	// The flows go on meanwhile: nobody waits for mail but the customer.
	await(t, 30*time.Second, func(context.Context) error {
		for _, p := range all {
			if p.kind.Path() != "/users" && !closed(s.log.Flow(p.FlowID)) {
				return fmt.Errorf("%s (%s) is open", p.ID, p.kind.Name)
			}
		}
		return nil
	})
	if err := s.mail.Up(); err != nil {
		t.Fatal(err)
	}
	s.ended(time.Minute, all, true)
	s.balanced(time.Minute, 0)
}

// closed reports whether an order, booking or departure has come to its end.
func closed(flow []*rig.Event) bool {
	return slices.ContainsFunc(flow, func(e *rig.Event) bool {
		return slices.Contains([]string{
			"orders.OrderFulfilled", "orders.OrderCancelled", "bookings.BookingCompleted", "bookings.BookingCancelled",
			"users.AccountClosed", "coupons.CouponsErased",
		}, e.Type)
	})
}

// TestBookingsExpire has cards that are charged at once, late, or never, while
// every booking has little time.
func TestBookingsExpire(t *testing.T) {
	s := setup{limit: "1s"}.newStage(t)
	never := rig.Kind{Name: "flight, provider always fails", Booking: rig.NewBooking("TR100", rig.CardBroken)}
	all := s.place(within(t, 3*time.Minute), append(rig.BookingKinds(), never), 10, 50)
	s.ended(time.Minute, all, true)
	s.balanced(time.Minute, 0)
	s.wellFormed()
	completed, expired := s.count("bookings.BookingCompleted"), s.count("bookings.BookingCancelled")
	if completed == 0 || expired <= 20 { // those that are declined or for a full flight
		t.Errorf("of %d bookings %d were completed and %d cancelled", len(all), completed, expired)
	}
}

// TestKeyKeepsItsOrder has many events of a few keys go to two services, which
// are killed meanwhile. Everything that the services write about a key must come
// in the order in which its events were written.
func TestKeyKeepsItsOrder(t *testing.T) {
	const keys, each = 8, 40
	s := newStage(t)
	ctx := within(t, 6*time.Minute)
	w, err := rig.NewWriter(s.brokers)
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	for n := range each {
		batch := make([]*rig.Record, 0, keys)
		for k := range keys {
			batch = append(batch, s.userDeleted(fmt.Sprintf("key-%d", k), n))
		}
		must(t, w.Write(ctx, batch...))
	}
	for _, p := range []struct{ service, emits string }{{"coupons", "coupons.CouponsErased"}, {"notifications", "notifications.NotificationSent"}} {
		await(t, 30*time.Second, func(context.Context) error {
			if n := s.count(p.emits); n < keys*each/4 {
				return fmt.Errorf("%d of %s", n, p.emits)
			}
			return nil
		})
		must(t, s.processes[p.service].Kill())
		must(t, s.processes[p.service].Start(ctx))
	}
	await(t, 90*time.Second, func(context.Context) error {
		erased, told := s.count("coupons.CouponsErased"), s.count("notifications.NotificationSent")
		if erased != keys*each || told != keys*each {
			return fmt.Errorf("%d of %d are erased, %d told", erased, keys*each, told)
		}
		return nil
	})
	s.wellFormed()
	last := map[string]string{}
	for _, e := range s.log.Events() { // by offset
		if e.Type != "coupons.CouponsErased" && e.Type != "notifications.NotificationSent" {
			continue
		}
		lane, n := e.Type+" of "+string(e.Key), fmt.Sprint(s.log.Event(e.Cause()).Fields["name"])
		if n <= last[lane] {
			t.Errorf("%s: after number %s of %s comes %s", e, last[lane], lane, n)
		}
		last[lane] = n
	}
}

// userDeleted is an event as another program could have written it: its number
// is in the name.
func (s *stage) userDeleted(user string, n int) *rig.Record {
	s.Helper()
	now := time.Now().UTC()
	value, err := s.schemas.Encode("users.UserDeleted", map[string]any{
		"userId": user, "name": fmt.Sprintf("number %03d", n), "email": user + "@example.com", "deletedAt": now.Truncate(time.Millisecond),
	})
	must(s, err)
	id := rig.DerivedID("user", user, fmt.Sprint(n))
	return &rig.Record{Topic: "users", Key: []byte(user), Value: value, Headers: map[string]string{
		"ce_specversion": "1.0", "ce_id": id, "ce_type": "users.UserDeleted", "ce_source": "/services/elsewhere",
		"ce_time": now.Format(time.RFC3339Nano), "ce_subject": user, "ce_dataschema": "users.UserDeleted/v1",
		"content-type": "application/avro", "ce_correlationid": id, "ce_hop": "0",
	}}
}

func (s *stage) count(typ string) (n int) {
	for _, e := range s.log.Events() {
		if e.Type == typ {
			n++
		}
	}
	return n
}
