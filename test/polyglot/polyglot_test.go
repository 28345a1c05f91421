package polyglot

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/troupedev/troupe/platform/kafka/kafkatest"
	"github.com/troupedev/troupe/platform/testmain"
	"github.com/troupedev/troupe/test/rig"
)

// variable names a Python that has confluent-kafka and fastavro; CI sets it.
const variable = "TROUPE_PYTHON"

func TestMain(m *testing.M) { testmain.Run(m) }

// TestPythonTakesPart has all services but shipping run, and Python in its
// place, which is killed and started again: orders placed over HTTP and by Python
// come to their end by way of Python, and everything that Python wrote is as
// Troupe writes it.
func TestPythonTakesPart(t *testing.T) {
	python := os.Getenv(variable)
	if python == "" {
		t.Logf("services in Python: only CI runs them (set %s)", variable)
		return
	}
	s := newStage(t, python)
	byHTTP, err := rig.Place(s.ctx, s.troupe.API, t.Name(), rig.NewOrder("storefront", rig.CardGood))
	if err != nil {
		t.Fatal(err)
	}
	wholesale, err := rig.Place(s.ctx, s.troupe.API, t.Name()+"-wholesale", rig.NewOrder("wholesale", rig.CardGood))
	if err != nil {
		t.Fatal(err)
	}
	storefront := []string{"orders.OrderPlaced", "payments.PaymentProcessed", "inventory.InventoryReserved",
		"notifications.NotificationSent", "shipping.ShippingArranged", "notifications.NotificationSent", "orders.OrderFulfilled"}
	s.leadsTo(byHTTP.FlowID, storefront...)
	s.fulfilled(byHTTP.OrderID)

	s.killShipping()
	byPython := s.run("checkout.py", "p-1", rig.CardGood)
	declined := s.run("checkout.py", "p-2", rig.CardDeclined)
	s.startShipping()
	s.leadsTo(wholesale.FlowID, "orders.OrderCreated", "inventory.InventoryChecked", "payments.PaymentProcessed",
		"shipping.ShippingArranged", "notifications.NotificationSent", "orders.OrderFulfilled")
	s.leadsTo(byPython, storefront...)
	s.leadsTo(declined, "orders.OrderPlaced", "payments.PaymentFailed", "orders.OrderCancelled", "notifications.NotificationSent")
	s.wellFormed()
	if dead := s.log.DeadLetters(); len(dead) > 0 {
		t.Errorf("there are %d dead letters; the first: %v", len(dead), dead[0].Headers)
	}
	s.endShipping()
}

// stage is a broker, every service but shipping, Python in its place, and a
// reader of all topics.
type stage struct {
	*testing.T
	ctx             context.Context
	python, folder  string
	schemas         *rig.Schemas
	brokers         string
	troupe          *rig.Process
	log             *rig.Log
	shipping        *exec.Cmd
	shippingPrinted rig.Output
}

func newStage(t *testing.T, python string) *stage {
	t.Helper()
	root, err := rig.Root()
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeoutCause(t.Context(), 3*time.Minute, errors.New("not within 3 minutes"))
	t.Cleanup(cancel)
	s := &stage{T: t, ctx: ctx, python: python, folder: filepath.Join(root, "schemas"), brokers: kafkatest.Kafka(t)}
	if s.schemas, err = rig.LoadSchemas(s.folder); err != nil {
		t.Fatal(err)
	}
	s.startTroupe()
	if s.log, err = rig.Follow(s.brokers, s.schemas); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.log.Close)
	s.startShipping()
	return s
}

func (s *stage) startTroupe() {
	s.Helper()
	binary, err := rig.Build(s.ctx, s.TempDir())
	if err != nil {
		s.Fatal(err)
	}
	s.troupe, err = rig.NewProcess(binary, s.TempDir(), "troupe", "--brokers", s.brokers, "orders", "payments", "inventory", "notifications")
	if err != nil {
		s.Fatal(err)
	}
	s.Cleanup(func() {
		if err := s.troupe.Close(); err != nil {
			s.Error(err)
		}
		if s.Failed() {
			s.Logf("=== troupe\n%s\n=== shipping.py\n%s", s.troupe.Output(), s.shippingPrinted.String())
		}
	})
	if err := s.troupe.Start(s.ctx); err != nil {
		s.Fatal(err)
	}
}

func (s *stage) startShipping() {
	s.Helper()
	s.shipping = exec.CommandContext(s.ctx, s.python, "shipping.py", s.brokers, s.folder)
	s.shipping.Stdout, s.shipping.Stderr = &s.shippingPrinted, &s.shippingPrinted
	if err := s.shipping.Start(); err != nil {
		s.Fatal(err)
	}
	s.Cleanup(func() {
		if s.shipping.ProcessState == nil {
			_ = s.shipping.Process.Kill()
			_ = s.shipping.Wait()
		}
	})
}

// killShipping ends the subscriber without a chance to say so.
func (s *stage) killShipping() {
	s.Helper()
	if err := s.shipping.Process.Kill(); err != nil {
		s.Fatal(err)
	}
	_ = s.shipping.Wait() // says that it was killed
}

// endShipping asks the subscriber to end, and demands that it does so in order.
func (s *stage) endShipping() {
	s.Helper()
	if err := s.shipping.Process.Signal(syscall.SIGTERM); err != nil {
		s.Fatal(err)
	}
	if err := s.shipping.Wait(); err != nil {
		s.Errorf("shipping.py: %v", err)
	}
}

// run runs a script to its end, and returns what it printed.
func (s *stage) run(script string, args ...string) string {
	s.Helper()
	cmd := exec.CommandContext(s.ctx, s.python, append([]string{script, s.brokers, s.folder}, args...)...)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		s.Fatalf("%s: %v\n%s", script, err, stderr.String())
	}
	return strings.TrimSpace(string(out))
}

// leadsTo waits until a flow has just these events.
func (s *stage) leadsTo(flow string, want ...string) {
	s.Helper()
	slices.Sort(want)
	err := rig.Await(s.ctx, func(context.Context) error {
		var got []string
		for _, e := range s.log.Flow(flow) {
			got = append(got, e.Type)
		}
		slices.Sort(got)
		if !slices.Equal(got, want) {
			return fmt.Errorf("flow %s has %v, want %v", flow, got, want)
		}
		return nil
	})
	if err != nil {
		s.Fatal(err)
	}
}

// fulfilled demands that the orders service knows of the parcel.
func (s *stage) fulfilled(order string) {
	s.Helper()
	var got struct{ Status, TrackingNumber string }
	err := rig.Await(s.ctx, func(ctx context.Context) error {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+s.troupe.API+"/orders/"+order, nil)
		if err != nil {
			return err
		}
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			return err
		}
		defer resp.Body.Close()
		return json.NewDecoder(resp.Body).Decode(&got)
	})
	if err != nil || got.Status != "fulfilled" || !strings.HasPrefix(got.TrackingNumber, "PY") {
		s.Errorf("order %s stands so: %+v, %v", order, got, err)
	}
	http.DefaultClient.CloseIdleConnections()
}

// wellFormed checks ids, headers, keys and partitions of all that was written,
// and that Python had its part.
func (s *stage) wellFormed() {
	s.Helper()
	counts, err := rig.Partitions(s.ctx, s.brokers)
	if err != nil {
		s.Fatal(err)
	}
	events := s.log.Events()
	wrote := map[string]int{}
	for _, e := range events {
		wrote[e.Headers["ce_source"]]++
		if err := s.schemas.Check(e, s.log.Event(e.Cause()), counts[e.Topic]); err != nil {
			s.Error(err)
		}
	}
	if wrote["/services/checkout-python"] != 2 || wrote["/services/shipping-python"] != 3 {
		s.Errorf("Python wrote other than 2 orders and 3 parcels: %v", wrote)
	}
	if err := cmp.Or(rig.CheckEmits(events), s.log.CheckOrder()); err != nil {
		s.Error(err)
	}
}
