package runtime

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/troupedev/troupe/platform/choreo"
	"github.com/troupedev/troupe/platform/event"
	"github.com/troupedev/troupe/platform/kafka"
	"github.com/troupedev/troupe/platform/store"
)

// inquiry is the [choreo.Asker] of one attempt: it makes a request of what the
// handler asks, as its declaration allows.
type inquiry struct {
	service *Service
	work    *Work
	now     time.Time // the attempt's
	began   time.Time // by the clock
}

// Ask implements [choreo.Asker].
func (i *inquiry) Ask(ctx context.Context, request event.Event) ([]byte, error) {
	s, t := i.service, request.EventType()
	if store.Begun(ctx) {
		return nil, choreo.Permanent(fmt.Errorf("%s: reaction %s asks %s after its first use of store.Tx: a transaction would be open for as long as the reply takes; ask first",
			s.name, i.work.Reaction(), t))
	}
	now := i.now.Add(time.Since(i.began))
	expiry := time.Time{}
	if deadline, ok := ctx.Deadline(); ok {
		expiry = now.Add(time.Until(deadline))
	}
	m, err := i.work.handler.emitter.Request(event.From(ctx), request, choreo.ReplyTopic(s.options.Prefix, s.name), now, expiry)
	if err != nil {
		return nil, err
	}
	if s.options.Ask == nil {
		return nil, choreo.Permanent(fmt.Errorf("%s: reaction %s asks %s where nobody can be asked: ServiceOptions.Ask is nil", s.name, i.work.Reaction(), t))
	}
	return s.options.Ask(ctx, m)
}

// asker asks for all handlers of one service: it publishes their requests and
// reads the topic of the replies, which it shares with the service's other
// instances.
type asker struct {
	client   *kafka.Client
	producer *kafka.Producer
	prefix   string
	topic    string
	from     func(*event.Type) []string // who answers
	log      *slog.Logger

	mu      sync.Mutex
	pending map[string]pending // by the request's id
}

// pending is a request that has no reply yet.
type pending struct {
	reply string      // full name of the event that answers it
	value chan []byte // capacity 1
}

// newAsker returns the asker of a service. It hears replies once it follows.
func newAsker(service string, o Options) *asker {
	return &asker{
		client: o.Client, producer: o.Producer, prefix: o.Prefix, topic: choreo.ReplyTopic(o.Prefix, service),
		from: o.Directory.Answering, log: o.Logger.With("service", service), pending: map[string]pending{},
	}
}

// ask is the Ask of [ServiceOptions].
func (a *asker) ask(ctx context.Context, m choreo.Message) ([]byte, error) {
	began := time.Now()
	p := pending{m.Type.Reply, make(chan []byte, 1)}
	a.mu.Lock()
	a.pending[m.ID] = p
	a.mu.Unlock()
	defer a.forget(m.ID)
	if err := a.producer.Produce(ctx, Records(a.prefix, []choreo.Message{m})...); err != nil {
		return nil, fmt.Errorf("ask %s: publishing the request: %w", m.Type, err)
	}
	select {
	case value := <-p.value:
		return value, nil
	case <-ctx.Done():
		if errors.Is(ctx.Err(), context.DeadlineExceeded) {
			return nil, &choreo.NoReplyError{Request: m.Type, From: a.from(m.Type), Waited: time.Since(began)}
		}
		return nil, fmt.Errorf("ask %s: %w", m.Type, context.Cause(ctx))
	}
}

func (a *asker) forget(id string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	delete(a.pending, id)
}

// end is where the topic of the replies ends, from where on they matter.
func (a *asker) end(ctx context.Context) (int64, error) {
	_, ends, err := a.client.Ends(ctx, a.topic)
	if err != nil {
		return 0, fmt.Errorf("topic %s: %w", a.topic, err)
	}
	return ends[0], nil
}

// follow hands out replies from an offset on, until ctx ends. Where the topic
// cannot be read it goes on at its end: what was asked meanwhile is asked again.
func (a *asker) follow(ctx context.Context, from int64) {
	for {
		a.read(ctx, from)
		if ctx.Err() != nil {
			return
		}
		pause(ctx, readAgain)
		if end, err := a.end(ctx); err == nil {
			from = end
		}
	}
}

// readAgain is the wait after a topic could not be read.
const readAgain = time.Second

// read reads until ctx ends or an error comes.
func (a *asker) read(ctx context.Context, from int64) {
	reader := a.client.Read(kafka.TopicPartition{Topic: a.topic}, from)
	defer reader.Close()
	for {
		batch, err := reader.Next(ctx)
		if err != nil {
			if ctx.Err() == nil {
				a.log.Error("replies cannot be read; going on at the end of their topic", "topic", a.topic, "error", err)
			}
			return
		}
		for i := range batch.Records {
			a.hear(&batch.Records[i])
		}
	}
}

// hear hands a reply to whoever waits for it here: most are another instance's,
// or late.
func (a *asker) hear(r *kafka.Record) {
	e, err := event.ParseHeaders(r.Headers)
	if err != nil {
		a.log.Warn("no reply: passed over", "topic", a.topic, "offset", r.Offset, "error", err)
		return
	}
	a.mu.Lock()
	p, ok := a.pending[e.Cause]
	if ok = ok && p.reply == e.Type; ok {
		delete(a.pending, e.Cause)
	}
	a.mu.Unlock()
	if ok {
		p.value <- bytes.Clone(r.Value) // not to hold its batch
	}
}
