package e2e

import (
	"context"
	"fmt"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/troupedev/troupe/platform/kafka/kafkatest"
	"github.com/troupedev/troupe/test/rig"
)

// killable are the services whose processes hold nothing but the service.
func killable() []string {
	if kafkatest.Preferred() == kafkatest.Embedded {
		return services[1:]
	}
	return services
}

func TestOrdersEndThoughServicesAreKilled(t *testing.T) {
	s := newStage(t)
	s.mail.Slow = 200 * time.Millisecond // so that a kill finds mails in hand,
	kinds := rig.Ending()
	for range 4 { // and payments
		kinds = append(kinds, kinds[slices.IndexFunc(kinds, func(k rig.Kind) bool { return k.Order.Card == rig.CardFlaky })])
	}
	ctx := within(t, 4*time.Minute)
	var orders []placed
	var killed atomic.Bool
	var g errgroup.Group
	g.Go(func() error {
		orders = s.placeWhile(ctx, kinds, 50, func(int) bool { return !killed.Load() })
		return nil
	})
	for _, name := range killable() {
		// In mid-flow: more orders are on their way, and the services hear each other again.
		begun := s.log.Flows()
		await(t, time.Minute, func(context.Context) error {
			if n := s.log.Flows() - begun; n < 50 {
				return fmt.Errorf("%d more flows have begun", n)
			}
			return nil
		})
		if err := s.processes[name].Kill(); err != nil {
			t.Fatal(err)
		}
		if err := s.processes[name].Start(ctx); err != nil {
			t.Fatal(err)
		}
	}
	killed.Store(true)
	if err := g.Wait(); err != nil {
		t.Fatal(err)
	}
	s.ended(90*time.Second, orders, false)
	s.wellFormed()
	if n := s.log.Flows(); n != len(orders) {
		t.Errorf("%d orders led to %d flows", len(orders), n)
	}
}

func TestOrdersEndThoughTheBrokerGoesAway(t *testing.T) {
	ways := map[string]func(broker, testing.TB){"stopped": broker.Stop}
	if kafkatest.Preferred() == kafkatest.Container {
		ways["killed"] = broker.Kill // the embedded one promises nothing there
	}
	for name, goAway := range ways {
		t.Run(name, func(t *testing.T) {
			s := newStage(t)
			ctx := within(t, 4*time.Minute)
			var orders []placed
			var g errgroup.Group
			g.Go(func() error {
				orders = s.place(ctx, rig.Ending(), 20, 40)
				return nil
			})
			await(t, 30*time.Second, func(context.Context) error {
				if n := s.log.Flows(); n < 40 {
					return fmt.Errorf("%d flows have begun", n)
				}
				return nil
			})
			goAway(s.broker, t)
			s.broker.Start(t)
			if err := g.Wait(); err != nil {
				t.Fatal(err)
			}
			s.ended(2*time.Minute, orders, false)
			s.wellFormed()
		})
	}
}

func TestMailIsSentOnceTheServerIsBack(t *testing.T) {
	s := newStage(t)
	ctx := within(t, 2*time.Minute)
	if err := s.mail.Down(); err != nil {
		t.Fatal(err)
	}
	orders := s.place(ctx, rig.Ending(), 3, 50)
	// The flows go on meanwhile: nobody waits for mail but the customer.
	await(t, 30*time.Second, func(context.Context) error {
		for _, p := range orders {
			if !closed(s.log.Flow(p.FlowID)) {
				return fmt.Errorf("order %s (%s) is open", p.ID, p.kind.Name)
			}
		}
		return nil
	})
	if err := s.mail.Up(); err != nil {
		t.Fatal(err)
	}
	s.ended(time.Minute, orders, true)
	if dead := s.log.DeadLetters(); len(dead) > 0 {
		t.Errorf("%d dead letters, the first %s: %s", len(dead), &dead[0], dead[0].Headers["troupe_dlq_error"])
	}
}

func closed(flow []*rig.Event) bool {
	return slices.ContainsFunc(flow, func(e *rig.Event) bool {
		return e.Type == "orders.OrderFulfilled" || e.Type == "orders.OrderCancelled"
	})
}

// TestKeyKeepsItsOrder has many events of a few keys go through four services,
// two of which are killed meanwhile. Every other event fails twice in payments,
// so that those of its key wait behind it. Everything that the services write
// about a key must come in the order in which its events were written.
func TestKeyKeepsItsOrder(t *testing.T) {
	const keys, each = 8, 20
	s := newStage(t)
	ctx := within(t, 3*time.Minute)
	w, err := rig.NewWriter(s.brokers)
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	for n := range each {
		batch := make([]*rig.Record, 0, keys)
		for k := range keys {
			batch = append(batch, s.orderPlaced(fmt.Sprintf("key-%d", k), int64(n+1)))
		}
		if err := w.Write(ctx, batch...); err != nil {
			t.Fatal(err)
		}
	}
	for i, name := range []string{"payments", "inventory"} {
		await(t, 30*time.Second, func(context.Context) error {
			if n := s.count("payments.PaymentProcessed"); n < keys*each/4*(i+1) {
				return fmt.Errorf("%d payments", n)
			}
			return nil
		})
		if err := s.processes[name].Kill(); err != nil {
			t.Fatal(err)
		}
		if err := s.processes[name].Start(ctx); err != nil {
			t.Fatal(err)
		}
	}
	await(t, 90*time.Second, func(context.Context) error {
		if n := s.count("orders.OrderFulfilled"); n != keys*each {
			return fmt.Errorf("%d of %d are fulfilled", n, keys*each)
		}
		return nil
	})
	s.wellFormed()
	last := map[string]int64{}
	for _, e := range s.log.Events() { // by offset
		if e.Type != "orders.OrderFulfilled" {
			continue
		}
		total, _ := e.Fields["total"].(int64)
		if total != last[string(e.Key)]+1 {
			t.Errorf("%s: after number %d of key %s comes %d", e, last[string(e.Key)], e.Key, total)
		}
		last[string(e.Key)] = total
	}
}

// orderPlaced is an event as another program could have written it.
func (s *stage) orderPlaced(key string, total int64) *rig.Record {
	s.Helper()
	card := []string{rig.CardGood, rig.CardFlaky}[total%2]
	now := time.Now().UTC()
	value, err := s.schemas.Encode("orders.OrderPlaced", map[string]any{
		"orderId": key, "customer": "Ada", "email": "ada@example.com", "card": card,
		"items":    []map[string]any{{"sku": "mug", "quantity": 1, "price": total}},
		"total":    total,
		"placedAt": now.Truncate(time.Millisecond),
	})
	if err != nil {
		s.Fatal(err)
	}
	id := rig.DerivedID("order", key, fmt.Sprint(total))
	return &rig.Record{Topic: "orders", Key: []byte(key), Value: value, Headers: map[string]string{
		"ce_specversion": "1.0", "ce_id": id, "ce_type": "orders.OrderPlaced", "ce_source": "/services/elsewhere",
		"ce_time": now.Format(time.RFC3339Nano), "ce_subject": key, "ce_dataschema": "orders.OrderPlaced/v1",
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
