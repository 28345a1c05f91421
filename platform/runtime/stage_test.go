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
	"github.com/troupedev/troupe/platform/kafka"
)

// stage is a service with one partition of the shop, between a log, a producer
// and a group that are made up. It runs in a bubble of synctest.
type stage struct {
	*testing.T
	member *member
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
	closed   bool      // nothing is read any more
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
		m := newMember(context.WithoutCancel(t.Context()), NewService(topology, &topology[0], ServiceOptions{}), group{}, o)
		s.member, s.shared = m, m.shared
		s.shared.finisher = &produce{sender: s}
		s.shared.service.options.Jitter = func() float64 { return 0 }
		s.shared.committer.use(s)
		ctx, cancel := context.WithCancel(t.Context())
		var committing sync.WaitGroup
		committing.Go(func() { s.shared.committer.run(ctx) })
		s.owner = own(s.shared, kafka.TopicPartition{Topic: "shop"}, 0, s)
		m.owners = []*owner{s.owner}
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
func (s *stage) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
	return nil
}

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

// block lets Send wait until its context ends.
func (s *stage) block() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.blocked = true
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
