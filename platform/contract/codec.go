package contract

import (
	"encoding/binary"

	"github.com/troupedev/troupe/platform/event"
)

// Encoder is an event that writes itself, as generated code does.
type Encoder interface {
	event.Event
	EncodeAvro(*Writer)
}

// Decoder is a pointer to an event that reads itself, as generated code does.
type Decoder interface {
	DecodeAvro(*Reader) error
}

// Append appends e to dst as a record value: 0x00, the schema's id in 4 bytes
// big-endian, and Avro binary (the Confluent wire format).
func Append(dst []byte, e event.Event) ([]byte, error) {
	panic("h1")
}

// Decode reads a record value, written with any known version of the event
// that reads describes, into the Go type generated for reads.
func Decode(value []byte, reads *event.Type, into Decoder) error {
	panic("h1")
}

// SchemaID returns the schema id in front of a record value.
func SchemaID(value []byte) (int32, error) {
	_ = binary.BigEndian
	panic("h1")
}

// EncodeJSON turns a plain JSON object into Avro binary (no framing) by schema text; JSON(value) the other way.
// Field checks a filter's field path against a schema, returning its Avro kind: see choreo's filters.

type Writer struct{}
type Reader struct{}
