package runtime

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/troupedev/troupe/platform/choreo"
	"github.com/troupedev/troupe/platform/event"
	"github.com/troupedev/troupe/platform/kafka"
	"github.com/troupedev/troupe/platform/testmain"
)

func TestMain(m *testing.M) { testmain.Run(m) }

func TestWhatIsEmittedIsProducedAndThenCommitted(t *testing.T) {
	emit := func(_ context.Context, e sold) (choreo.Events, error) {
		return choreo.Emit(packed{e.ID, "x"}, packed{e.ID, "y"}), nil
	}
	perform(t, Options{Prefix: ""}, emit, func(s *stage) {
		s.publish("a", "b", "a")
		s.after(time.Second)
		if len(s.produced) != 6 || s.committed() != 3 {
			s.Errorf("produced %d records, committed %d", len(s.produced), s.committed())
		}
		for _, r := range s.produced {
			if r.Topic != "depot" || string(r.Key) == "" {
				s.Errorf("produced to %s, key %q", r.Topic, r.Key)
			}
		}
	})
}

func TestOnlyTheKeyThatFailedWaits(t *testing.T) {
	var ran calls
	handler := func(ctx context.Context, e sold) (choreo.Events, error) {
		n := event.From(ctx).Attempt
		ran.add("%s%d", e.ID, n)
		if e.ID == "a" && n < 3 {
			return nil, errors.New("broken")
		}
		return nil, nil
	}
	perform(t, Options{Concurrency: 1}, handler, func(s *stage) {
		s.publish("a", "b", "a", "b")
		s.after(900 * time.Millisecond)
		if got := ran.String(); got != "a1 b1 b1" || s.committed() != 0 {
			s.Errorf("at first ran %s, committed %d", got, s.committed())
		}
		s.after(6 * time.Second)
		if got := ran.String(); got != "a1 b1 b1 a2 a3 a1 a2 a3" || s.committed() != 4 {
			s.Errorf("in the end ran %s, committed %d", got, s.committed())
		}
	}, choreo.Retries(choreo.Retry{First: time.Second}))
}

func TestAttemptsUsedUpMakeADeadLetter(t *testing.T) {
	handler := func(context.Context, sold) (choreo.Events, error) { panic("broken") }
	perform(t, Options{}, handler, func(s *stage) {
		began := time.Now()
		s.publish("a")
		s.after(time.Minute)
		letters := s.letters()
		if len(letters) != 1 || !strings.Contains(letters[0].Stack, "owner_test.go") {
			s.Fatalf("dead letters %+v", letters)
		}
		letters[0].Stack = ""
		want := DeadLetter{
			Cause: CausePanic, Error: "panic: broken", Attempts: 3, First: began.UTC(), Last: began.Add(3 * time.Second).UTC(),
			Topic: "shop", Service: "packer", Reaction: "Sold", Host: "here",
		}
		if letters[0] != want {
			s.Errorf("got %+v\nwant %+v", letters[0], want)
		}
		if s.committed() != 1 {
			s.Errorf("committed %d", s.committed())
		}
	}, choreo.Retries(choreo.Retry{First: time.Second, Attempts: 3}))
}

func TestGarbageBecomesADeadLetterAndStopsNothing(t *testing.T) {
	var ran calls
	handler := func(_ context.Context, e sold) (choreo.Events, error) { ran.add("%s", e.ID); return nil, nil }
	perform(t, Options{}, handler, func(s *stage) {
		s.append(kafka.Record{Topic: "shop", Value: []byte("{}")})
		s.append(kafka.Record{Topic: "shop", Key: []byte("a")})
		s.publish("a")
		s.after(time.Second)
		letters := s.letters()
		if len(letters) != 2 || letters[0].Cause != CauseBadMagic || letters[1].Cause != CauseTombstone || letters[1].Offset != 1 {
			s.Errorf("dead letters %+v", letters)
		}
		if ran.String() != "a" || s.committed() != 3 {
			s.Errorf("ran %q, committed %d", &ran, s.committed())
		}
	})
}

func TestReleaseLetsHandlersEndAndCommits(t *testing.T) {
	var ran calls
	handler := func(_ context.Context, e sold) (choreo.Events, error) {
		ran.add("%s", e.ID)
		<-time.After(2 * time.Second)
		return choreo.Emit(packed{e.ID, "x"}), nil
	}
	perform(t, Options{Concurrency: 2}, handler, func(s *stage) {
		s.publish("a", "b", "a", "c")
		s.after(time.Second)
		began := time.Now()
		soft, cancel := context.WithTimeout(s.Context(), 5*time.Second)
		defer cancel()
		s.owner.release(soft, s.Context())
		if d := time.Since(began); d > 1100*time.Millisecond {
			s.Errorf("took %v", d)
		}
		s.after(10 * time.Second)
		if len(ran.keys) != 2 || len(s.produced) != 2 || s.committed() != 2 {
			s.Errorf("ran %q, produced %d, committed %d", &ran, len(s.produced), s.committed())
		}
	})
}

func TestReleaseCancelsHandlersThatTakeTooLong(t *testing.T) {
	var cause error
	handler := func(ctx context.Context, e sold) (choreo.Events, error) {
		if e.ID == "quick" {
			return nil, nil
		}
		<-ctx.Done()
		cause = context.Cause(ctx)
		return choreo.Emit(packed{e.ID, "x"}), nil
	}
	perform(t, Options{}, handler, func(s *stage) {
		s.publish("quick", "slow", "quick")
		s.after(10 * time.Millisecond)
		soft, cancel := context.WithTimeout(s.Context(), 5*time.Second)
		defer cancel()
		s.owner.release(soft, s.Context())
		s.after(time.Second)
		if !errors.Is(cause, errTakenAway) || len(s.produced) != 0 || s.committed() != 1 {
			s.Errorf("cause %v, produced %d, committed %d", cause, len(s.produced), s.committed())
		}
	})
}

func TestReleaseCommitsAfterHandlersWereCancelled(t *testing.T) {
	handler := func(ctx context.Context, e sold) (choreo.Events, error) {
		if e.ID == "slow" {
			<-ctx.Done()
		}
		return nil, ctx.Err()
	}
	perform(t, Options{}, handler, func(s *stage) {
		s.failCommits(1500 * time.Millisecond)
		s.publish("quick", "slow")
		s.after(10 * time.Millisecond)
		soft, cancelSoft := context.WithTimeout(s.Context(), time.Second)
		defer cancelSoft()
		hard, cancelHard := context.WithTimeout(s.Context(), 5*time.Second)
		defer cancelHard()
		began := time.Now()
		s.owner.release(soft, hard)
		if d := time.Since(began); s.committed() != 1 || d < time.Second || d >= 5*time.Second {
			s.Errorf("released after %v, committed %d, want 1", d, s.committed())
		}
	})
}

func TestReleaseEndsWhenTheGroupWaitsNoLonger(t *testing.T) {
	handler := func(context.Context, sold) (choreo.Events, error) { return nil, nil }
	perform(t, Options{}, handler, func(s *stage) {
		s.failCommits(time.Hour)
		s.publish("a")
		s.after(10 * time.Millisecond)
		hard, cancel := context.WithTimeout(s.Context(), 5*time.Second)
		defer cancel()
		began := time.Now()
		s.owner.release(hard, hard)
		if d := time.Since(began); s.committed() != 0 || d != 5*time.Second {
			s.Errorf("released after %v, committed %d", d, s.committed())
		}
	})
}

func TestReleaseDoesNotWaitForASenderThatBlocks(t *testing.T) {
	handler := func(_ context.Context, e sold) (choreo.Events, error) {
		if e.ID == "quiet" {
			return nil, nil
		}
		return choreo.Emit(packed{e.ID, "x"}), nil
	}
	perform(t, Options{CommitInterval: time.Minute}, handler, func(s *stage) {
		s.publish("quiet")
		s.after(time.Second)
		s.publish("quiet")
		s.after(10 * time.Millisecond)
		s.block()
		s.publish("loud")
		s.after(10 * time.Millisecond)
		soft, cancel := context.WithTimeout(s.Context(), time.Second)
		defer cancel()
		began := time.Now()
		s.owner.release(soft, s.Context())
		if d := time.Since(began); d > 1100*time.Millisecond || s.committed() != 2 {
			s.Errorf("released after %v, committed %d, want 2", d, s.committed())
		}
		if strings.Contains(s.output.String(), "trying again") {
			s.Errorf("what is given back is not tried again: %s", &s.output)
		}
	})
}

func TestRevokedGivesHandlersTheDrainTimeAndReadsNoMore(t *testing.T) {
	handler := func(ctx context.Context, _ sold) (choreo.Events, error) { <-ctx.Done(); return nil, ctx.Err() }
	perform(t, Options{Drain: 2 * time.Second}, handler, func(s *stage) {
		s.publish("a")
		s.after(time.Millisecond)
		began := time.Now()
		time.AfterFunc(time.Second, func() {
			s.mu.Lock()
			defer s.mu.Unlock()
			if !s.closed {
				s.Error("still reading while handlers end")
			}
		})
		ctx, cancel := context.WithTimeout(s.Context(), 8*time.Second)
		defer cancel()
		s.member.Revoked(ctx, nil, nil)
		if d := time.Since(began); d != 2*time.Second || !s.owner.gone() {
			s.Errorf("after %v, gone %t", d, s.owner.gone())
		}
	})
}

func TestLostEndsOwnersAtOnce(t *testing.T) {
	handler := func(ctx context.Context, _ sold) (choreo.Events, error) { <-ctx.Done(); return nil, ctx.Err() }
	perform(t, Options{}, handler, func(s *stage) {
		s.publish("a")
		s.after(time.Millisecond)
		began := time.Now()
		s.member.Lost(nil)
		if d := time.Since(began); d != 0 || !s.owner.gone() {
			s.Errorf("after %v, gone %t", d, s.owner.gone())
		}
	})
}

func TestMaxDrainIsWhatTheGroupAllows(t *testing.T) {
	if want := (kafka.GroupConfig{}).DrainTime() - lastCommit; MaxDrain != want || DefaultDrain > MaxDrain {
		t.Errorf("MaxDrain %v, want %v; DefaultDrain %v", MaxDrain, want, DefaultDrain)
	}
}

func TestHandlersEndBeforeTheGroupStopsWaiting(t *testing.T) {
	for name, c := range map[string]struct{ drain, group, want time.Duration }{
		"the drain time is shorter": {6 * time.Second, 8 * time.Second, 6 * time.Second},
		"the group is":              {8 * time.Second, 8 * time.Second, 7 * time.Second},
		"the group waits for ever":  {8 * time.Second, 0, 8 * time.Second},
	} {
		ctx, cancel := context.WithCancel(t.Context())
		if c.group > 0 {
			ctx, cancel = context.WithDeadline(t.Context(), noon.Add(c.group))
		}
		m := member{drain: c.drain}
		if got := m.handlersEnd(ctx, noon).Sub(noon); got != c.want {
			t.Errorf("%s: %v, want %v", name, got, c.want)
		}
		cancel()
	}
}

func TestLoseDropsEverything(t *testing.T) {
	var ran calls
	handler := func(ctx context.Context, e sold) (choreo.Events, error) {
		ran.add("%s", e.ID)
		<-ctx.Done()
		return choreo.Emit(packed{e.ID, "x"}), nil
	}
	perform(t, Options{Concurrency: 1}, handler, func(s *stage) {
		s.publish("a", "b")
		s.after(time.Second)
		s.owner.lose()
		s.after(time.Minute)
		if ran.String() != "a" || len(s.produced) != 0 || s.committed() != 0 {
			s.Errorf("ran %q, produced %d, committed %d", &ran, len(s.produced), s.committed())
		}
	})
}

func TestProducingIsTriedAgainWithoutRunningTheHandler(t *testing.T) {
	var ran calls
	handler := func(_ context.Context, e sold) (choreo.Events, error) {
		ran.add("%s", e.ID)
		return choreo.Emit(packed{e.ID, "x"}), nil
	}
	perform(t, Options{}, handler, func(s *stage) {
		away := errors.New("broker away")
		s.sendErrs = []error{away, away, away}
		s.publish("a", "a")
		s.after(5 * time.Second)
		if ran.String() != "a a" || len(s.produced) != 2 || s.committed() != 2 {
			s.Errorf("ran %q, produced %d, committed %d", &ran, len(s.produced), s.committed())
		}
	})
}

func TestWhatTheBrokerNeverTakesIsADeadLetter(t *testing.T) {
	handler := func(_ context.Context, e sold) (choreo.Events, error) { return choreo.Emit(packed{e.ID, "x"}), nil }
	perform(t, Options{}, handler, func(s *stage) {
		s.sendErrs = []error{fmt.Errorf("depot: %w", kafka.ErrTooLarge)}
		s.publish("a")
		s.after(time.Second)
		if l := s.letters(); len(l) != 1 || l[0].Cause != CauseRefused || l[0].Attempts != 1 || l[0].First.IsZero() || len(s.produced) != 1 {
			s.Errorf("dead letters %+v of %d records", l, len(s.produced))
		}
	})
}

func TestDeadLetterThatIsTooLargeIsShortened(t *testing.T) {
	handler := func(context.Context, sold) (choreo.Events, error) { return nil, choreo.Permanent(errors.New("broken")) }
	perform(t, Options{}, handler, func(s *stage) {
		s.maxBytes = 1_000_000
		s.append(kafka.Record{Topic: "shop", Value: bytes.Repeat([]byte("{"), 3<<20)})
		s.append(record(s, sold{"a", strings.Repeat("x", 2<<20)}))
		s.after(time.Second)
		l := s.letters()
		if len(l) != 2 || s.committed() != 2 {
			s.Fatalf("dead letters %+v, committed %d", l, s.committed())
		}
		if l[0].Cause != CauseBadMagic || l[0].ValueSize != 3<<20 || l[1].Cause != CausePermanent || l[1].Reaction != "Sold" || l[1].ValueSize < 2<<20 {
			s.Errorf("dead letters %+v", l)
		}
		for part, want := range map[string]int{"it is shortened": 2, "cannot be handled": 1, "given up": 1} {
			if n := strings.Count(s.output.String(), part); n != want {
				s.Errorf("said %d times %q: %s", n, part, &s.output)
			}
		}
	})
}

func TestDeadLetterThatIsRefusedIsTriedAgainWithWaits(t *testing.T) {
	handler := func(context.Context, sold) (choreo.Events, error) { return nil, choreo.Permanent(errors.New("broken")) }
	perform(t, Options{}, handler, func(s *stage) {
		for range 20 {
			s.sendErrs = append(s.sendErrs, kafka.ErrTooLarge)
		}
		s.append(kafka.Record{Topic: "shop", Value: []byte("{}")})
		s.publish("a")
		s.after(5 * time.Second)
		if n := len(s.sendErrs); n < 5 || n > 10 || s.committed() != 0 {
			s.Errorf("%d sends left, committed %d", n, s.committed())
		}
		s.after(5 * time.Minute)
		if l := s.letters(); len(l) != 2 || s.committed() != 2 {
			s.Errorf("dead letters %+v, committed %d", l, s.committed())
		}
	})
}

func TestCommitsAreBatchedAndTriedAgain(t *testing.T) {
	handler := func(context.Context, sold) (choreo.Events, error) { return nil, nil }
	perform(t, Options{CommitInterval: time.Second}, handler, func(s *stage) {
		for range 30 {
			s.publish("a")
			s.after(100 * time.Millisecond)
		}
		if n := len(s.commits); n < 3 || n > 4 {
			s.Errorf("%d commits in 3 s: %v", n, s.commits)
		}
		s.errs = []error{errors.New("no coordinator"), errors.New("no coordinator")}
		s.publish("a")
		s.after(2 * time.Second)
		if s.committed() != 31 {
			s.Errorf("committed %d", s.committed())
		}
	})
}

func TestFencedCommitIsDroppedAndDoesNotHoldUpTheRelease(t *testing.T) {
	handler := func(context.Context, sold) (choreo.Events, error) { return nil, nil }
	perform(t, Options{CommitInterval: time.Minute}, handler, func(s *stage) {
		s.publish("a")
		s.after(time.Second)
		s.errs = []error{fmt.Errorf("committing: %w", kafka.ErrFenced)}
		s.publish("a")
		s.after(time.Second)
		began := time.Now()
		s.owner.release(s.Context(), s.Context())
		if d := time.Since(began); d > 10*time.Millisecond || s.committed() != 1 {
			s.Errorf("release took %v, committed %d", d, s.committed())
		}
	})
}

func TestEventThatWaitsLetsGoOfItsBatch(t *testing.T) {
	handler := func(_ context.Context, e sold) (choreo.Events, error) { return nil, errors.New("broken") }
	perform(t, Options{}, handler, func(s *stage) {
		batch := record(s, sold{"a", "web"})
		value := slices.Clone(batch.Value)
		s.append(batch)
		s.after(10 * time.Millisecond)
		for _, part := range [][]byte{batch.Key, batch.Value, batch.Headers[0].Value} {
			clear(part) // as if the memory was somebody else's by now
		}
		s.after(time.Minute)
		s.mu.Lock()
		defer s.mu.Unlock()
		if len(s.produced) != 1 {
			s.Fatalf("produced %d records", len(s.produced))
		}
		if r := s.produced[0]; string(r.Key) != "a" || !bytes.Equal(r.Value, value) || r.Headers[0].Value[0] == 0 {
			s.Errorf("dead letter of key %q, value %v, %s %q", r.Key, r.Value, r.Headers[0].Key, r.Headers[0].Value)
		}
	}, choreo.Retries(choreo.Retry{First: time.Second, Attempts: 2}))
}

func TestAnOutageIsWaitedOut(t *testing.T) {
	var ran calls
	handler := func(_ context.Context, e sold) (choreo.Events, error) {
		ran.add("%s", e.ID)
		return choreo.Emit(packed{e.ID, "now"}), nil
	}
	perform(t, Options{}, handler, func(s *stage) {
		n := newNotebook()
		n.away = 50 // more than any reaction has attempts
		s.shared.service.options.Database = n
		s.publish("a")
		s.after(10 * time.Minute)
		if ran.String() != "a" || s.committed() != 1 || len(s.letters()) > 0 || len(n.messages) != 1 || len(s.produced) > 0 {
			s.Errorf("ran for %q, committed %d, dead letters %v, kept %d, produced %d", ran.String(), s.committed(), s.letters(), len(n.messages), len(s.produced))
		}
		if !strings.Contains(s.output.String(), "database away: the attempt does not count") {
			s.Error(s.output.String())
		}
	})
}

func TestAnswersHaveNoOrder(t *testing.T) {
	topology := choreo.Topology{office()}
	m := newMember(t.Context(), NewAnswers(topology, &topology[0], ServiceOptions{}), group{answers: true}, Options{}.withDefaults())
	o := &owner{shared: m.shared}
	batch := kafka.Batch{Records: []kafka.Record{record(t, asked{"1"}), record(t, asked{"1"})}}
	for i, a := range o.judge(&batch).records {
		if a.keyed || a.works != 1 {
			t.Errorf("request %d: keyed %t, %d works", i, a.keyed, a.works)
		}
	}
	if _, ok := m.finisher.(*replies); !ok {
		t.Errorf("finished by %T", m.finisher)
	}
}

func TestMemberSaysThatItsGroupRefusesIt(t *testing.T) {
	client, err := kafka.New(kafka.Config{Brokers: []string{"127.0.0.1:1"}})
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	topology, service := listener()
	nameless := group{topics: []string{"shop"}}
	m := newMember(t.Context(), NewService(topology, service, ServiceOptions{}), nameless, Options{Client: client}.withDefaults())
	err = m.run(t.Context())
	if err == nil || !strings.Contains(err.Error(), "service listener: group") {
		t.Errorf("got %v", err)
	}
}

func TestFetchingWaitsWhereTheWindowIsFull(t *testing.T) {
	var gate chan struct{} // made in the bubble
	handler := func(context.Context, sold) (choreo.Events, error) { <-gate; return nil, nil }
	perform(t, Options{Window: Window{Records: 2}}, handler, func(s *stage) {
		gate = make(chan struct{})
		for _, key := range []string{"a", "b", "c", "d", "e", "f"} {
			s.publish(key)
			s.after(time.Millisecond)
		}
		// Two are in hand, the third waits to be taken.
		if s.read != 3 {
			s.Errorf("read %d records", s.read)
		}
		close(gate)
		s.after(time.Second)
		if s.read != 6 || s.committed() != 6 {
			s.Errorf("read %d, committed %d", s.read, s.committed())
		}
	})
}

func TestPartitionThatCannotBeReadIsStuckUntilItCan(t *testing.T) {
	handler := func(context.Context, sold) (choreo.Events, error) { return nil, nil }
	health := &Health{}
	perform(t, Options{Health: health}, handler, func(s *stage) {
		s.failReads(kafka.ErrCorrupt)
		s.publish("a")
		s.after(time.Minute)
		want := []Stuck{{"packer", kafka.TopicPartition{Topic: "shop"}, kafka.ErrCorrupt}}
		if got := health.Stuck(); !slices.Equal(got, want) {
			s.Errorf("stuck %v", got)
		}
		if n := strings.Count(s.output.String(), "cannot be read"); n != 1 {
			s.Errorf("said %d times: %s", n, &s.output)
		}
		s.failReads(nil)
		s.after(2 * time.Second)
		if got := health.Stuck(); len(got) != 0 || s.committed() != 1 {
			s.Errorf("then stuck %v, committed %d", got, s.committed())
		}
		s.failReads(kafka.ErrBeyondEnd)
		s.publish("b", "c")
		s.after(time.Second)
		if got := health.Stuck(); len(got) != 1 {
			s.Errorf("again stuck %v", got)
		}
		s.owner.lose()
		if got := health.Stuck(); len(got) != 0 {
			s.Errorf("stuck %v after the partition went", got)
		}
	})
}

func TestHandlerThatIgnoresItsTimeoutIsNamed(t *testing.T) {
	var gate chan struct{} // made in the bubble
	handler := func(context.Context, sold) (choreo.Events, error) { <-gate; return nil, nil }
	perform(t, Options{}, handler, func(s *stage) {
		gate = make(chan struct{})
		s.publish("a")
		s.after(3 * time.Second)
		if out := s.output.String(); !strings.Contains(out, "ignores its timeout") || !strings.Contains(out, "reaction=Sold") {
			s.Errorf("log: %s", out)
		}
		close(gate)
		s.after(time.Second)
	}, choreo.Timeout(time.Second))
}

func TestFailuresAreLogged(t *testing.T) {
	handler := func(context.Context, sold) (choreo.Events, error) { return nil, errors.New("no such thing") }
	perform(t, Options{}, handler, func(s *stage) {
		s.publish("a")
		s.after(time.Minute)
		for _, part := range []string{"no such thing", "event=id-a", "flow=flow-a", "attempt=1", "again=", "cause=attempts", "service=packer"} {
			if !strings.Contains(s.output.String(), part) {
				s.Errorf("log lacks %s: %s", part, &s.output)
			}
		}
	}, choreo.Retries(choreo.Retry{Attempts: 2}))
}
