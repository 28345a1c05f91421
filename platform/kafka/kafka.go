// Package kafka is Troupe's broker: records produced and fetched, membership
// in consumer groups, topics brought into being. Everything else knows Kafka
// by the types of this package alone.
//
// It takes the Transport of kafka-go for what is dull and easily got wrong
// (connections, who leads which partition, who coordinates which group), and
// writes and reads the requests itself, with kmsg for their bodies: a broken
// record is then an error that names its offset, a compacted batch is passed,
// heartbeats go on while a member finishes what it has in hand, and a member
// keeps its place when its broker restarts.
//
// It does not know events, schemas or dead letters, and it keeps no position
// for anybody: who reads says from where, who is done commits.
//
// Start reading at Client; then Producer (produce.go), Reader (read.go), Join
// (group.go) and Provision (topics.go).
package kafka

import (
	"time"

	"github.com/troupedev/troupe/platform/event"
)

// Header is one header of a record.
type Header = event.Header

// Record is one record, to be produced or fetched.
type Record struct {
	Topic     string
	Partition int32     // of a record to be produced: set by the producer, from the key
	Offset    int64     // of a fetched record
	Time      time.Time // kept in milliseconds; zero in a record to be produced: now
	Key       []byte    // nil: no key; empty is a key
	Value     []byte    // nil: a tombstone; empty is a value
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
	Metadata string // at most 4,096 bytes by a broker's default
}

// Batch is what one fetch brought: it covers the offsets From up to Next
// without a gap, though not each of them need have a record (compaction,
// control records, aborted transactions). Its records share memory: a record
// that is kept keeps the bytes of the whole batch.
type Batch struct {
	TopicPartition
	From, Next    int64
	HighWatermark int64 // the end of the partition when the batch was fetched
	Records       []Record
}
