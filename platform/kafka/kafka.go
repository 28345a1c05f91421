package kafka

import (
	"context"
	"time"

	"github.com/troupedev/troupe/platform/event"
)

// Header is one header of a record.
type Header = event.Header

// Record is one record, to be produced or fetched.
type Record struct {
	Topic     string
	Partition int32 // of a record to be produced: set by the producer, from the key
	Offset    int64 // of a fetched record
	Time      time.Time
	Key       []byte // nil: no key
	Value     []byte // nil: a tombstone
	Headers   []Header
}

// TopicPartition names one partition of one topic.
type TopicPartition struct {
	Topic     string
	Partition int32
}

// Offset is a position to be committed: the next offset to read.
type Offset struct {
	At       int64
	Metadata string
}

// Batch is what one fetch brought: it covers the offsets From up to Next
// without a gap, though not each of them need have a record (compaction,
// control records).
type Batch struct {
	TopicPartition
	From, Next    int64
	HighWatermark int64
	Records       []Record
}

// ---- everything below: signatures to be implemented ----

type Config struct{ Brokers []string }
type Client struct{}

func New(cfg Config) (*Client, error)            { panic("h2") }
func (c *Client) Ping(ctx context.Context) error { panic("h2") }
func (c *Client) Close() error                   { panic("h2") }

// Producer: one per process is enough. acks=all, batches per partition, one request in flight per partition, retried for 2 minutes by default.
type ProducerConfig struct{}
type Producer struct{}

func (c *Client) Producer(cfg ProducerConfig) (*Producer, error) { panic("h2") }

// Produce returns when all records are acknowledged, or one has finally failed.
func (p *Producer) Produce(ctx context.Context, records ...Record) error { panic("h2") }

// Send queues records and calls done once, from a goroutine of the producer, when all are acknowledged or one has finally failed. Blocks (ctx) only while the producer's memory is full.
func (p *Producer) Send(ctx context.Context, records []Record, done func(error)) { panic("h2") }
func (p *Producer) Close() error                                                 { panic("h2") } // flushes what was queued

// Reader reads one partition from an offset on, in order; pull-only: what is not asked for is not held beyond one prefetched batch.
type Reader struct{}

func (c *Client) Read(tp TopicPartition, from int64) *Reader { panic("h2") }

// Next waits for the next batch: retries what can be retried (leader moves, broker away) for as long as ctx lasts.
func (r *Reader) Next(ctx context.Context) (Batch, error) { panic("h2") }

// Groups.
type GroupConfig struct {
	ID     string
	Topics []string
}

// Assignment is one partition handed to this member, with the offset that its group has committed.
type Assignment struct {
	TopicPartition
	Committed Offset // At -1: nothing is committed; Read starts at 0 then
}

// Session is a membership in one generation.
type Session struct{}

// Commit commits under the session's member id and generation; a commit of a former generation is ErrFenced.
func (s *Session) Commit(ctx context.Context, offsets map[TopicPartition]Offset) error { panic("h2") }

// GroupHandler is told what this member owns. Calls come one after another from one goroutine.
type GroupHandler interface {
	// Assigned: partitions are this member's from now on.
	Assigned(s *Session, partitions []Assignment)
	// Revoked: partitions go to somebody else. Blocks until what is in hand is finished and committed; ctx ends when the broker will wait no longer.
	Revoked(ctx context.Context, s *Session, partitions []TopicPartition)
	// Lost: partitions have gone already; nothing about them can be committed.
	Lost(partitions []TopicPartition)
}

// Join is a member of a group until ctx ends, rejoining as needed; on ctx's end partitions are Revoked, and the member leaves. Errors only for what cannot heal.
func (c *Client) Join(ctx context.Context, cfg GroupConfig, h GroupHandler) error { panic("h2") }

// Topics.
type TopicConfig struct {
	Name        string
	Partitions  int
	Replication int               // 0: broker default
	Settings    map[string]string // retention.ms, max.message.bytes, cleanup.policy...
}

// Provision creates topics that are missing and brings settings in line; never raises partitions or deletes. Returns every difference it could not mend, joined.
func (c *Client) Provision(ctx context.Context, topics []TopicConfig) error { panic("h2") }

// StartAtEnd commits the ends of the topics' partitions for a group that has never committed anything on them; once, before it first joins.
func (c *Client) StartAtEnd(ctx context.Context, group string, topics []string) error { panic("h2") }
