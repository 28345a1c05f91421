package contract

import (
	"errors"
	"fmt"

	"github.com/troupedev/troupe/platform/event"
)

// What may be wrong with a record value. Each is found by [errors.Is] in what
// [Decode], [DecodeJSON] and [KeyOf] return; all but ErrUnknownSchema and
// ErrOtherEvent are the record's own fault and never pass.
var (
	ErrEmpty         = errors.New("value is empty")                               // also a tombstone's
	ErrMagic         = errors.New("value does not begin with 0x00")               // plain Avro, JSON, text
	ErrUnknownSchema = errors.New("unknown schema id")                            // see [UnknownSchemaError]
	ErrOtherEvent    = errors.New("value is another event")                       // see [OtherEventError]
	ErrTruncated     = errors.New("value ends too early")                         //
	ErrTrailing      = errors.New("value goes on after the event's end")          //
	ErrHostile       = errors.New("value claims more than it can hold")           // a length or count
	ErrTooLarge      = errors.New("value is too large")                           // above [MaxSize]
	ErrMalformed     = errors.New("value is not what its schema says")            // not a boolean, no such union branch, a number too long
	ErrEnumIndex     = errors.New("value has an enum symbol that does not exist") // by its index
	ErrUTF8          = errors.New("value has text that is not UTF-8")             //
)

// UnknownSchemaError is an id that none of the event's versions has, in this
// binary: the record was written by a newer version of the contracts, or is
// none of ours. It is an [ErrUnknownSchema].
type UnknownSchemaError struct {
	ID    int32       // as it was read
	Reads *event.Type // what was to be read, nil where any event was
}

func (e *UnknownSchemaError) Error() string {
	if e.Reads == nil {
		return fmt.Sprintf("unknown schema id %d", e.ID)
	}
	return fmt.Sprintf("unknown schema id %d: no version of %s known here has it", e.ID, e.Reads.FullName())
}

// Is reports whether target is [ErrUnknownSchema].
func (e *UnknownSchemaError) Is(target error) bool { return target == ErrUnknownSchema }

// OtherEventError is a known id, of an event that is not the one to be read.
// Only an [Index] can tell. It is an [ErrOtherEvent].
type OtherEventError struct {
	Wrote *event.Type // what the value is
	Reads *event.Type // what was to be read
}

func (e *OtherEventError) Error() string {
	return fmt.Sprintf("value is %s, not %s", e.Wrote, e.Reads.FullName())
}

// Is reports whether target is [ErrOtherEvent].
func (e *OtherEventError) Is(target error) bool { return target == ErrOtherEvent }

// UnreadableError is a value that its schema allows, and that the version to
// be read into cannot take: the two versions are not compatible.
type UnreadableError struct {
	Wrote, Reads *event.Type
	Violations   []Violation // all that is known, if the versions as such do not go together
	Detail       string      // what of this value does not, if only it
}

func (e *UnreadableError) Error() string {
	what := e.Detail
	if len(e.Violations) > 0 {
		what = e.Violations[0].reason()
	}
	return fmt.Sprintf("%s cannot be read as %s: %s", e.Wrote, e.Reads, what)
}

// FieldError is a Go value or a JSON text that its field's type cannot hold.
type FieldError struct {
	Field string // path, such as "items[0].quantity"; in an event that is encoded, of the innermost record
	Why   string
}

func (e *FieldError) Error() string { return fmt.Sprintf("field %s: %s", e.Field, e.Why) }
