package contract

import (
	"encoding/binary"
	"fmt"
	"sync"

	"github.com/troupedev/troupe/platform/event"
)

// Encoder is an event that writes itself, as generated code does. It must not
// keep the Writer, which is gone once it returns.
type Encoder interface {
	event.Event
	EncodeAvro(*Writer)
}

// Decoder is a pointer to an event that reads itself, as generated code does.
// It must not keep the Reader, which is gone once it returns.
type Decoder interface {
	DecodeAvro(*Reader) error
}

// A record value is framed as Confluent's clients do it, so that outside tools
// can read it: a zero byte, the schema's id in 4 bytes big-endian, Avro binary.
const (
	magic      = 0
	headerSize = 5
)

// Append appends e to dst as a record value. The error is a [FieldError] where
// a field of e holds what its type cannot, and dst is returned as it was.
func Append(dst []byte, e event.Event) ([]byte, error) {
	t := e.EventType()
	encoder, ok := e.(Encoder)
	if !ok {
		return dst, fmt.Errorf("encode %s: %T was not generated from a schema", t, e)
	}
	w := Writer{out: appendHeader(dst, t.ID)}
	encoder.EncodeAvro(onStack(&w))
	switch {
	case w.err != nil:
		return dst, fmt.Errorf("encode %s: %w", t, w.err)
	case len(w.out)-len(dst) > MaxSize:
		return dst, fmt.Errorf("encode %s: %w", t, ErrTooLarge)
	}
	return w.out, nil
}

func appendHeader(dst []byte, id int32) []byte {
	return binary.BigEndian.AppendUint32(append(dst, magic), uint32(id))
}

// Decode reads a record value, written with any known version of the event
// that reads describes, into the Go type generated for reads. A value of
// another version is resolved by Avro's rules. The error wraps one of this
// package's, which say what is wrong; into is then of no use.
func Decode(value []byte, reads *event.Type, into Decoder) error {
	id, body, err := unframe(value)
	if err != nil {
		return err
	}
	if id == reads.ID {
		return decodeBody(body, reads, into)
	}
	wrote := version(reads, id)
	if wrote == nil {
		return &UnknownSchemaError{ID: id, Reads: reads}
	}
	return decodeResolved(body, wrote, reads, into)
}

func decodeBody(body []byte, t *event.Type, into Decoder) error {
	r := readerOf(body)
	err := into.DecodeAvro(onStack(&r))
	if err == nil {
		err = r.end()
	}
	if err != nil {
		return fmt.Errorf("decode %s: %w", t, err)
	}
	return nil
}

// SchemaID returns the schema id in front of a record value, and [ErrEmpty],
// [ErrMagic], [ErrTruncated] or [ErrTooLarge] where there is none.
func SchemaID(value []byte) (int32, error) {
	id, _, err := unframe(value)
	return id, err
}

func unframe(value []byte) (id int32, body []byte, err error) {
	switch {
	case len(value) == 0:
		return 0, nil, ErrEmpty
	case value[0] != magic:
		return 0, nil, ErrMagic
	case len(value) < headerSize:
		return 0, nil, fmt.Errorf("schema id: %w", ErrTruncated)
	case len(value) > MaxSize:
		return 0, nil, fmt.Errorf("%w: %d bytes", ErrTooLarge, len(value))
	}
	return int32(binary.BigEndian.Uint32(value[1:])), value[headerSize:], nil
}

// version finds the version of t's event that has that id, nil if there is none.
func version(t *event.Type, id int32) *event.Type {
	for _, v := range t.Family() {
		if v.ID == id {
			return v
		}
	}
	return nil
}

// Index knows several events by their schema ids.
type Index struct{ byID map[int32]*event.Type }

// NewIndex makes an index of the types given, with all versions of each.
func NewIndex(types ...*event.Type) *Index {
	x := &Index{map[int32]*event.Type{}}
	for _, t := range types {
		for _, v := range t.Family() {
			x.byID[v.ID] = v
		}
	}
	return x
}

// TypeOf says which version of which event a record value is. An id that the
// index lacks is an [UnknownSchemaError].
func (x *Index) TypeOf(value []byte) (*event.Type, error) {
	id, err := SchemaID(value)
	if err != nil {
		return nil, err
	}
	if t := x.byID[id]; t != nil {
		return t, nil
	}
	return nil, &UnknownSchemaError{ID: id}
}

// Decode is [Decode], with an [OtherEventError] where the value is another
// event that the index knows.
func (x *Index) Decode(value []byte, reads *event.Type, into Decoder) error {
	if t, err := x.TypeOf(value); err == nil && t.FullName() != reads.FullName() {
		return &OtherEventError{Wrote: t, Reads: reads}
	}
	return Decode(value, reads, into)
}

// schemas caches the parsed schema of each type, by pointer: generated types
// live as long as the program.
var schemas sync.Map

// SchemaOf is the parsed schema of a type. It panics where the type's text is
// not a schema, which generated code rules out.
func SchemaOf(t *event.Type) *Schema {
	if s, ok := schemas.Load(t); ok {
		return s.(*Schema)
	}
	s, err := Parse([]byte(t.Schema))
	if err != nil {
		panic(fmt.Sprintf("contract: schema of %s: %v", t, err))
	}
	schemas.Store(t, s)
	return s
}
