package e2e

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/troupedev/troupe/test/rig"
)

// alone is `troupe run` as a newcomer runs it: one process, the embedded broker,
// the inbox.
type alone struct {
	*testing.T
	*rig.Process
	broker string
	log    *rig.Log
}

// newAlone starts it; env are settings, as NAME=value.
func newAlone(t *testing.T, env ...string) *alone {
	t.Helper()
	broker, err := rig.FreeAddr()
	if err != nil {
		t.Fatal(err)
	}
	p, err := rig.NewProcess(binary, t.TempDir(), "troupe", "--embedded", broker)
	if err != nil {
		t.Fatal(err)
	}
	p.Env = env
	closeAfter(t, p)
	a := &alone{T: t, Process: p, broker: broker}
	a.start()
	if a.log, err = rig.Follow(broker, loadSchemas(t)); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(a.log.Close)
	return a
}

func (a *alone) start() {
	a.Helper()
	if err := a.Start(within(a.T, 30*time.Second)); err != nil {
		a.Fatal(err)
	}
}

// order places an order and waits until it is closed.
func (a *alone) order(o rig.Order) rig.Placed {
	a.Helper()
	p, err := rig.Place(within(a.T, 10*time.Second), a.API, "", o)
	if err != nil {
		a.Fatal(err)
	}
	await(a.T, 20*time.Second, func(context.Context) error {
		if !closed(a.log.Flow(p.FlowID)) {
			return fmt.Errorf("order %s is open; reader: %v", p.OrderID, a.log.Err())
		}
		return nil
	})
	return p
}

// Bars of the embedded broker, on a machine of two cores.
const (
	readyWithin = 2 * time.Second
	orderWithin = 300 * time.Millisecond
)

func TestRunIsReadyAndOrdersEndSoon(t *testing.T) {
	began := time.Now()
	a := newAlone(t)
	ready := time.Since(began)
	for range 10 {
		a.order(rig.NewOrder("storefront", rig.CardGood)) // warms up
	}
	took := make([]time.Duration, 0, 50)
	for i := range cap(took) {
		channel := []string{"storefront", "wholesale"}[i%2]
		began := time.Now()
		a.order(rig.NewOrder(channel, rig.CardGood))
		took = append(took, time.Since(began))
	}
	slices.Sort(took)
	p50, p99 := took[len(took)/2], took[len(took)-1]
	fmt.Printf("embedded broker: ready %v after the start, an order ends after %v (median of %d, longest %v)\n",
		ready.Round(time.Millisecond), p50.Round(time.Millisecond), len(took), p99.Round(time.Millisecond))
	if ready > readyWithin {
		t.Errorf("ready %v after the start, want %v at most", ready, readyWithin)
	}
	if p50 > orderWithin {
		t.Errorf("an order ends %v after it was sent, want %v at most", p50, orderWithin)
	}
}

func TestRunKeepsItsDataAndShowsItsMail(t *testing.T) {
	a := newAlone(t)
	kinds := rig.Ending()
	flows := make([]rig.Placed, len(kinds))
	for i, k := range kinds {
		flows[i] = a.order(k.Order)
	}
	inbox := rig.Inbox{Addr: a.Console}
	check := func(ctx context.Context) error {
		mails, err := inbox.Mails(ctx)
		if err != nil {
			return err
		}
		for i, k := range kinds {
			flow := a.log.Flow(flows[i].FlowID)
			if err := errors.Join(k.Check(flow), rig.CheckMail(flow, rig.ByCause(mails), true)); err != nil {
				return fmt.Errorf("%s: %w", k.Name, err)
			}
		}
		return nil
	}
	await(t, 20*time.Second, check)

	if err := a.Stop(); err != nil {
		t.Fatal(err)
	}
	a.start()
	again, err := rig.Follow(a.broker, loadSchemas(t))
	if err != nil {
		t.Fatal(err)
	}
	defer again.Close()
	await(t, 20*time.Second, func(context.Context) error {
		for i, k := range kinds {
			if err := k.Check(again.Flow(flows[i].FlowID)); err != nil {
				return fmt.Errorf("after a restart: %s: %w", k.Name, err)
			}
		}
		return nil
	})
	a.order(kinds[0].Order)
	if again := a.log.Repeated(); len(again) > 0 {
		t.Errorf("events were written again after an orderly restart: %v", again)
	}
}

// TestRunKeepsItsStateThoughItIsKilled: what was answered, and what is due later.
func TestRunKeepsItsStateThoughItIsKilled(t *testing.T) {
	a := newAlone(t, "BOOKINGS_LIMIT=5s")
	ctx := within(t, time.Minute)
	order := a.order(rig.NewOrder("storefront", rig.CardGood))
	shown := func(path string, want string) func(context.Context) error {
		return func(ctx context.Context) error {
			var got struct{ Status, Name string }
			if err := rig.Call(ctx, http.MethodGet, "http://"+a.API+path, nil, &got); err != nil {
				return err
			}
			if got.Status != want && got.Name != want {
				return fmt.Errorf("GET %s: %+v, want %s", path, got, want)
			}
			return nil
		}
	}
	send := func(k rig.Kind) rig.Sent {
		sent, err := rig.Send(ctx, http.MethodPost, k.Name, k.Body(), "http://"+a.API+k.Path())
		must(t, err)
		return sent
	}
	user := send(rig.Registration())
	// Its card is never charged, so that nothing but its time ends it.
	booking := send(rig.Kind{Name: "flight", Booking: rig.NewBooking("TR100", rig.CardBroken)})
	await(t, 10*time.Second, shown("/orders/"+order.OrderID, "fulfilled"))

	must(t, a.Kill())
	a.start()
	await(t, 10*time.Second, shown("/orders/"+order.OrderID, "fulfilled"))
	await(t, 10*time.Second, shown("/users/"+user.ID, "Grace"))
	await(t, 30*time.Second, shown("/bookings/"+booking.ID, "cancelled"))
}

func TestCommandsFindTheRunningBroker(t *testing.T) {
	a := newAlone(t)
	seen := a.tail("orders")
	event := `{"orderId": "by-hand", "customer": "Ada", "email": "ada@example.com", "card": "4242424242424242",
		"items": [{"sku": "mug", "quantity": 1, "price": 1250}], "total": 1250, "placedAt": "2026-11-21T12:00:00Z"}`
	await(t, 20*time.Second, func(context.Context) error {
		// Again each time: tail shows what comes after it has begun.
		if out, err := a.command("send", "orders.OrderPlaced", "--json", event).CombinedOutput(); err != nil {
			return fmt.Errorf("troupe send: %w\n%s", err, out)
		}
		for _, want := range []string{"OrderPlaced", "OrderFulfilled", "by-hand"} {
			if !strings.Contains(seen.String(), want) {
				return fmt.Errorf("troupe tail has not printed %s: %s", want, seen)
			}
		}
		return nil
	})
	out, err := a.command("send", "orders.OrderPlaced", "--json", `{"orderId": 7}`).CombinedOutput()
	if err == nil || strings.Contains(string(out), "goroutine") {
		t.Errorf("an event that its schema refuses was sent, or refused with a stack: %v\n%s", err, out)
	}
}

func (a *alone) command(args ...string) *exec.Cmd {
	cmd := exec.CommandContext(a.Context(), binary, args...)
	cmd.Dir = a.Dir()
	return cmd
}

// tail starts `troupe tail` and returns what it prints.
func (a *alone) tail(topic string) fmt.Stringer {
	a.Helper()
	seen := &rig.Output{}
	cmd := a.command("tail", topic)
	cmd.Stdout, cmd.Stderr = seen, seen
	if err := cmd.Start(); err != nil {
		a.Fatal(err)
	}
	a.Cleanup(func() { _ = cmd.Wait() }) // ended by the test's context
	return seen
}

func TestPagesNeedNothingFromElsewhere(t *testing.T) {
	a := newAlone(t)
	for _, path := range []string{"/docs", "/openapi.json"} {
		resp, err := http.Get("http://" + a.API + path)
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(resp.Body)
		resp.Body.Close()
		if err != nil || resp.StatusCode != http.StatusOK || len(body) == 0 {
			t.Errorf("%s: %s, %v", path, resp.Status, err)
		}
		for _, elsewhere := range []string{`src="http`, `src='http`, `src="//`, `<link rel="stylesheet" href="http`} {
			if bytes.Contains(body, []byte(elsewhere)) {
				t.Errorf("%s loads something from elsewhere: %s", path, body)
			}
		}
	}
}

func TestPortInUseIsOneLine(t *testing.T) {
	a := newAlone(t)
	broker, err := rig.FreeAddr()
	if err != nil {
		t.Fatal(err)
	}
	p, err := rig.NewProcess(binary, t.TempDir(), "second", "--embedded", broker, "--api", a.API)
	if err != nil {
		t.Fatal(err)
	}
	closeAfter(t, p)
	if err := p.Start(within(t, 20*time.Second)); err == nil {
		t.Fatal("a second process is ready on an address in use")
	}
	if code := p.ExitCode(); code != 1 {
		t.Errorf("exit status %d, want 1", code)
	}
	if out := p.Output(); !strings.Contains(out, a.API) || strings.Contains(out, "goroutine ") {
		t.Errorf("it does not name %s, or shows a stack:\n%s", a.API, out)
	}
}
