package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/troupedev/troupe/test/rig"
)

func TestEveryKindOfFlow(t *testing.T) {
	s := newStage(t)
	all := s.place(within(t, time.Minute), slices.Concat(rig.Kinds(), rig.Everything()), 3, 50)
	s.ended(time.Minute, all, true)
	for _, p := range all {
		if p.kind.Dead != "" {
			s.diesAtPayments(p)
		}
	}
	// Once the services have ended in order, nothing more can come.
	for _, name := range services[1:] {
		if err := s.processes[name].Stop(); err != nil {
			t.Error(err)
		}
	}
	s.ended(10*time.Second, all, true)
	s.wellFormed()
	if n := s.log.Flows(); n != len(all) {
		t.Errorf("%d requests led to %d flows", len(all), n)
	}
	if again := s.log.Repeated(); len(again) > 0 {
		t.Errorf("events were written twice, though nothing failed: %v", again)
	}
	if strange := s.log.Strange(); len(strange) > 0 {
		t.Errorf("%d records are no events, first %s", len(strange), &strange[0])
	}
}

// diesAtPayments waits for the dead letter of an order whose card can never be
// charged, and compares it with the event that it was.
func (s *stage) diesAtPayments(p placed) {
	s.Helper()
	service, topic, _ := strings.Cut(p.kind.Dead, " ")
	var dead rig.Record
	await(s.T, 30*time.Second, func(context.Context) error {
		for _, d := range s.log.DeadLetters() {
			if string(d.Key) == p.ID {
				dead = d
				return nil
			}
		}
		return fmt.Errorf("no dead letter of order %s (%s)", p.ID, p.kind.Name)
	})
	if want := "dlq." + service + "." + topic; dead.Topic != want {
		s.Errorf("dead letter of %s lies in %s, want %s", p.kind.Name, dead.Topic, want)
	}
	origin := s.log.Event(dead.Headers["ce_id"])
	if origin == nil {
		s.Errorf("%s: its ce_id %q is no event's", &dead, dead.Headers["ce_id"])
		return
	}
	if !bytes.Equal(dead.Value, origin.Value) || !bytes.Equal(dead.Key, origin.Key) {
		s.Errorf("%s: key or value differ from those of %s", &dead, origin)
	}
	for name, value := range origin.Headers {
		if dead.Headers[name] != value {
			s.Errorf("%s: header %s is %q, was %q", &dead, name, dead.Headers[name], value)
		}
	}
	for name, want := range map[string]string{
		"troupe_dlq_cause":     "attempts",
		"troupe_dlq_attempts":  "6",
		"troupe_dlq_service":   service,
		"troupe_dlq_topic":     topic,
		"troupe_dlq_partition": strconv.Itoa(int(origin.Partition)),
		"troupe_dlq_offset":    strconv.FormatInt(origin.Offset, 10),
	} {
		if got := dead.Headers[name]; got != want {
			s.Errorf("%s: header %s is %q, want %q", &dead, name, got, want)
		}
	}
	if text := dead.Headers["troupe_dlq_error"]; !strings.Contains(text, "unavailable") {
		s.Errorf("%s: error is %q", &dead, text)
	}
}

func TestRequestIsTakenOnceOrRefused(t *testing.T) {
	s := newStage(t)
	ctx := within(t, time.Minute)
	api := s.processes["orders"].API
	good, err := json.Marshal(rig.NewOrder("storefront", rig.CardGood))
	if err != nil {
		t.Fatal(err)
	}
	var first string
	for range 3 {
		status, _, answer, err := rig.Post(ctx, api, "the-same-key", good)
		if err != nil || status != http.StatusAccepted {
			t.Fatalf("status %d, %v: %s", status, err, answer)
		}
		if first == "" {
			first = string(answer)
		}
		if string(answer) != first {
			t.Errorf("the same key was answered by %s and then by %s", first, answer)
		}
	}
	for field, bad := range map[string]string{
		"body.channel":           strings.Replace(string(good), "storefront", "backdoor", 1),
		"body.email":             strings.Replace(string(good), "ada@example.com", "ada", 1),
		"body.card":              strings.Replace(string(good), rig.CardGood, "gold", 1),
		"body.items[0].sku":      strings.Replace(string(good), "mug", "dragon", 1),
		"body.items[0].quantity": strings.Replace(string(good), ":2", ":0", 1),
	} {
		status, header, answer, err := rig.Post(ctx, api, "", []byte(bad))
		if err != nil {
			t.Fatal(err)
		}
		if status != http.StatusUnprocessableEntity || header.Get("Content-Type") != "application/problem+json" {
			t.Errorf("%s: status %d, %s", bad, status, header.Get("Content-Type"))
		}
		if !strings.Contains(string(answer), `"`+field+`"`) {
			t.Errorf("%s: the answer does not name %s: %s", bad, field, answer)
		}
	}
	kinds := rig.Ending()[:1]
	s.ended(30*time.Second, s.place(ctx, kinds, 1, 50), true)
	if n := s.log.Flows(); n != 2 {
		t.Errorf("one key sent three times and one more order led to %d flows, want 2", n)
	}
}
