package kafka

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	kgo "github.com/segmentio/kafka-go"
	"github.com/twmb/franz-go/pkg/kmsg"
)

const (
	// fetchWait is how long a broker holds a fetch that finds nothing. A fetch
	// that was given up occupies its connection for as long.
	fetchWait = 500 * time.Millisecond

	// fetchBytes is what one fetch brings at most, but for a batch that is
	// larger alone, which comes whole.
	fetchBytes = 1 << 20

	// fetchBytesLimit ends the search for a size that some batch fits in.
	fetchBytesLimit = 64 << 20
)

const readCommitted = 1

// Reader reads one partition from an offset on, in order and read committed.
// It fetches only what is asked for, and at most one batch ahead.
//
// Next is called by one goroutine at a time; Close by any.
type Reader struct {
	c       *Client
	tp      TopicPartition
	at      int64 // the next offset to fetch; the goroutine's once it runs
	size    int32
	decoder decoder
	outage  outage

	fetched chan fetched
	begin   sync.Once
	ctx     context.Context
	stop    context.CancelCauseFunc
	running sync.WaitGroup
}

// fetched is what Next hands over.
type fetched struct {
	batch Batch
	err   error
}

// Read prepares to read a partition from offset `from`, which is an offset and
// not a marker such as -1; 0, or what the broker has deleted already, is the
// oldest record that is there. Close the Reader after use.
func (c *Client) Read(tp TopicPartition, from int64) *Reader {
	ctx, stop := context.WithCancelCause(context.Background())
	return &Reader{
		c: c, tp: tp, at: from, size: fetchBytes,
		decoder: decoder{tp: tp},
		outage:  outage{c: c, what: fmt.Sprintf("fetching %s[%d]", tp.Topic, tp.Partition)},
		fetched: make(chan fetched),
		ctx:     ctx,
		stop:    stop,
	}
}

// Next waits for the next batch. What can be tried again (a leader that moves,
// a broker that is away) is, for as long as ctx lasts; a batch that is there
// when ctx ends is kept for the next call. A batch may have no records, when
// the broker had removed them or they were never committed.
//
// Errors are ctx's, ErrCorrupt, ErrBeyondEnd, ErrClosed, or what the broker
// refuses for good; after one, Next tries again at the same offset.
func (r *Reader) Next(ctx context.Context) (Batch, error) {
	r.begin.Do(func() {
		if r.ctx.Err() == nil {
			r.running.Go(r.run)
		}
	})
	select {
	case res := <-r.fetched:
		return res.batch, res.err
	case <-ctx.Done():
		return Batch{}, context.Cause(ctx)
	case <-r.ctx.Done():
		return Batch{}, context.Cause(r.ctx)
	}
}

// Close ends the fetching. A Next that waits returns ErrClosed.
func (r *Reader) Close() error {
	r.stop(ErrClosed)
	r.begin.Do(func() {}) // a Next that comes later starts nothing
	r.running.Wait()
	return nil
}

// run fetches one batch after the other; each waits until it is asked for.
func (r *Reader) run() {
	for {
		batch, err := r.fetchNext()
		if r.ctx.Err() != nil {
			return
		}
		select {
		case r.fetched <- fetched{batch, err}:
		case <-r.ctx.Done():
			return
		}
	}
}

// fetchNext fetches until there is something to hand over.
func (r *Reader) fetchNext() (Batch, error) {
	var wait backoff
	for {
		batch, err := r.fetch()
		switch {
		case err == nil && batch.Next > batch.From:
			r.outage.work()
			return batch, nil
		case err == nil: // nothing new
			r.outage.work()
			wait.reset()
			continue
		case errors.Is(err, kgo.OffsetOutOfRange):
			err = r.reposition()
		}
		switch {
		case err == nil:
		case r.ctx.Err() != nil:
			return Batch{}, context.Cause(r.ctx)
		case !retriable(err):
			return Batch{}, r.named(err)
		default:
			r.outage.fail(err)
		}
		if err := wait.wait(r.ctx); err != nil {
			return Batch{}, err
		}
	}
}

// fetch asks the leader once.
func (r *Reader) fetch() (Batch, error) {
	p, err := r.request()
	if err != nil {
		return Batch{}, err
	}
	batch := Batch{TopicPartition: r.tp, From: r.at, Next: r.at, HighWatermark: p.HighWatermark}
	if len(p.RecordBatches) == 0 {
		return batch, nil
	}
	records, next, err := r.decoder.decode(p.RecordBatches, r.at, p.AbortedTransactions)
	if err != nil && next == r.at {
		return Batch{}, err
	}
	// Otherwise what came before the batch that cannot be read is delivered,
	// and the error comes with the next fetch.
	if next == r.at {
		return Batch{}, r.enlarge()
	}
	r.size = fetchBytes
	r.at = next
	batch.Next, batch.Records = next, records
	return batch, nil
}

// enlarge asks for more bytes next time: not even one batch fitted. Brokers
// since 0.10.1 send one whole; this is for whatever does not.
func (r *Reader) enlarge() error {
	if r.size >= fetchBytesLimit {
		return r.decoder.corrupt(r.at, "no whole batch within %d bytes", r.size)
	}
	r.size *= 2
	return nil
}

func (r *Reader) request() (*kmsg.FetchResponseTopicPartition, error) {
	partition := kmsg.NewFetchRequestTopicPartition()
	partition.Partition = r.tp.Partition
	partition.FetchOffset = r.at
	partition.PartitionMaxBytes = r.size
	topic := kmsg.NewFetchRequestTopic()
	topic.Topic = r.tp.Topic
	topic.Partitions = []kmsg.FetchRequestTopicPartition{partition}
	req := kmsg.NewPtrFetchRequest()
	req.MaxWaitMillis = int32(fetchWait.Milliseconds())
	req.MinBytes = 1
	req.MaxBytes = r.size
	req.IsolationLevel = readCommitted
	req.SessionID, req.SessionEpoch = 0, -1 // no fetch session
	req.Topics = []kmsg.FetchRequestTopic{topic}

	resp, err := req.RequestWith(r.ctx, r.c.leader(r.tp).within(fetchWait))
	if err != nil {
		return nil, err
	}
	if err := codeError(resp.ErrorCode, nil); err != nil {
		return nil, err
	}
	if len(resp.Topics) != 1 || len(resp.Topics[0].Partitions) != 1 {
		return nil, kgo.UnknownTopicOrPartition
	}
	p := &resp.Topics[0].Partitions[0]
	return p, codeError(p.ErrorCode, nil)
}

// reposition finds out on which side of the log the offset lies. Below its
// start, reading goes on at the start; beyond its end is for a person to see.
func (r *Reader) reposition() error {
	start, err := r.c.listOffset(r.ctx, r.tp, offsetStart)
	if err != nil {
		return err
	}
	end, err := r.c.listOffset(r.ctx, r.tp, offsetEnd)
	if err != nil {
		return err
	}
	if r.at > end {
		return fmt.Errorf("%w: %d is asked for, the end is %d; reset the group's offsets if the topic was made anew", ErrBeyondEnd, r.at, end)
	}
	if r.at < start {
		r.c.log.Warn("records were deleted before they were read",
			"topic", r.tp.Topic, "partition", r.tp.Partition, "wanted", r.at, "oldest", start)
		r.at = start
	}
	return nil
}

func (r *Reader) named(err error) error {
	if errors.Is(err, ErrCorrupt) {
		return err
	}
	return fmt.Errorf("reading %s[%d] from %d: %w", r.tp.Topic, r.tp.Partition, r.at, err)
}
