package runtime

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/troupedev/troupe/platform/choreo"
	"github.com/troupedev/troupe/platform/event"
	"github.com/troupedev/troupe/platform/kafka"
	"github.com/troupedev/troupe/platform/kafka/kafkatest"
)

func TestMain(m *testing.M) { kafkatest.Main(m) }

// stage is a service with one partition of the shop, between a log, a producer
// and a group that are made up. It runs in a bubble of synctest.
type stage struct {
	*testing.T
	shared *shared
	owner  *owner
	output lockedBuffer // of the logger

	mu       sync.Mutex
	log      []kafka.Record
	more     chan struct{}
	read     int // of log
	produced []kafka.Record
	sendErrs []error // of the next sends
	commits  []int64
	errs     []error   // of the next commits
	failing  time.Time // until when all commits fail
	tries    int       // commits asked for
	readErr  error     // of Next, for as long as it is set
	maxBytes int       // a record larger than that is refused; 0: none is
	blocked  bool      // Send waits for memory until its context ends
}

type lockedBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}

// perform runs play in a bubble, with a service that hears Sold by handler.
func perform(t *testing.T, o Options, handler func(context.Context, sold) (choreo.Events, error), play func(s *stage), options ...choreo.Option) {
	synctest.Test(t, func(t *testing.T) {
		s := &stage{T: t, more: make(chan struct{}, 1)}
		o.Logger = slog.New(slog.NewTextHandler(&s.output, nil))
		o.Host = "here"
		o = o.withDefaults()
		topology := choreo.Topology{{Name: "packer", Reactions: []choreo.Reaction{
			choreo.On(handler, append(options, choreo.Emits(packed{}))...),
		}}}
		m := newMember(topology, &topology[0], o, nil)
		s.shared = m.shared
		s.shared.finisher = &produce{sender: s}
		s.shared.service.jitter = func() float64 { return 0 }
		s.shared.committer.use(s)
		ctx, cancel := context.WithCancel(t.Context())
		var committing sync.WaitGroup
		committing.Go(func() { s.shared.committer.run(ctx) })
		s.owner = own(s.shared, kafka.TopicPartition{Topic: "shop"}, 0, s)
		play(s)
		s.owner.lose()
		cancel()
		committing.Wait()
		s.shared.pool.running.Wait()
	})
}

// publish puts events of the keys given into the log.
func (s *stage) publish(keys ...string) {
	for _, key := range keys {
		s.append(record(s, sold{key, "web"}))
	}
}

func (s *stage) append(r kafka.Record) {
	s.mu.Lock()
	defer s.mu.Unlock()
	r.Offset = int64(len(s.log))
	s.log = append(s.log, r)
	ring(s.more)
}

// Next implements reader.
func (s *stage) Next(ctx context.Context) (kafka.Batch, error) {
	for {
		b, err := s.batch()
		if err != nil || b.Next > b.From {
			return b, err
		}
		select {
		case <-s.more:
		case <-ctx.Done():
			return kafka.Batch{}, ctx.Err()
		}
	}
}

func (s *stage) batch() (kafka.Batch, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.readErr != nil {
		return kafka.Batch{}, s.readErr
	}
	from := s.read
	s.read = len(s.log)
	return kafka.Batch{From: int64(from), Next: int64(s.read), Records: slices.Clone(s.log[from:])}, nil
}

// Close implements reader.
func (s *stage) Close() error { return nil }

// Send implements sender.
func (s *stage) Send(ctx context.Context, records []kafka.Record, done func(error)) {
	s.mu.Lock()
	if s.blocked {
		s.mu.Unlock()
		<-ctx.Done()
		done(ctx.Err())
		return
	}
	var err error
	if len(s.sendErrs) > 0 {
		err, s.sendErrs = s.sendErrs[0], s.sendErrs[1:]
	}
	for i := range records {
		if s.maxBytes > 0 && size(&records[i]) > s.maxBytes {
			err = kafka.ErrTooLarge
		}
	}
	if err == nil {
		s.produced = append(s.produced, records...)
	}
	s.mu.Unlock()
	done(err)
}

// Commit implements session.
func (s *stage) Commit(_ context.Context, offsets map[kafka.TopicPartition]kafka.Offset) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.tries++
	if time.Now().Before(s.failing) {
		return errors.New("no coordinator")
	}
	if len(s.errs) > 0 {
		err := s.errs[0]
		s.errs = s.errs[1:]
		return err
	}
	s.commits = append(s.commits, offsets[s.owner.partition].At)
	return nil
}

// failCommits lets all commits of a time fail.
func (s *stage) failCommits(d time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.failing = time.Now().Add(d)
}

// failReads lets reading fail; nil: no longer.
func (s *stage) failReads(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.readErr = err
}

// committed is the last position committed.
func (s *stage) committed() int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.commits) == 0 {
		return 0
	}
	return s.commits[len(s.commits)-1]
}

// letters are the dead letters produced.
func (s *stage) letters() []DeadLetter {
	s.mu.Lock()
	defer s.mu.Unlock()
	var out []DeadLetter
	for _, r := range s.produced {
		if strings.HasPrefix(r.Topic, "dlq.") {
			d, err := ParseDeadLetter(r.Headers)
			if err != nil {
				s.Error(err)
			}
			out = append(out, d)
		}
	}
	return out
}

// after lets time pass.
func (s *stage) after(d time.Duration) {
	<-time.After(d)
	synctest.Wait()
}

// calls notes what handlers were run for.
type calls struct {
	mu   sync.Mutex
	keys []string
}

func (c *calls) add(format string, args ...any) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.keys = append(c.keys, fmt.Sprintf(format, args...))
}

func (c *calls) String() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return strings.Join(c.keys, " ")
}

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
		s.publish("quiet", "loud")
		s.blocked = true
		s.after(10 * time.Millisecond)
		soft, cancel := context.WithTimeout(s.Context(), time.Second)
		defer cancel()
		began := time.Now()
		s.owner.release(soft, s.Context())
		if d := time.Since(began); d > 1100*time.Millisecond || s.committed() != 2 {
			s.Errorf("released after %v, committed %d, want 2", d, s.committed())
		}
	})
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
