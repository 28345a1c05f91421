package runtime

import (
	"errors"

	"github.com/troupedev/troupe/platform/contract"
)

// Cause says in one word why a record became a dead letter. It travels in the
// header [HeaderCause], so a cause is never renamed.
type Cause string

// Causes that lie in the record itself: no handler has seen it.
const (
	CauseNotAnEvent    Cause = "not-an-event"   // the CloudEvents headers are missing or cannot be read
	CauseTombstone     Cause = "tombstone"      // there is no value (null)
	CauseEmpty         Cause = "empty"          // the value has no bytes
	CauseBadMagic      Cause = "bad-magic"      // the value does not begin with 0x00: plain Avro, JSON, text
	CauseUnknownSchema Cause = "unknown-schema" // no schema here has the value's id
	CauseTypeMismatch  Cause = "type-mismatch"  // the value's schema is another event's than ce_type says
	CauseTruncated     Cause = "truncated"      // the value ends too early
	CauseTrailingBytes Cause = "trailing-bytes" // the value goes on after the event's end
	CauseHostile       Cause = "hostile"        // a length or count that the value cannot hold
	CauseUndecodable   Cause = "undecodable"    // whatever else the schema does not allow
	CauseHopLimit      Cause = "hop-limit"      // the flow is so deep that it must be a loop
	CauseReplyTopic    Cause = "reply-topic"    // a request wants its reply where no replies go
)

// Causes that lie in the handling.
const (
	CausePermanent  Cause = "permanent"       // the handler said that no retry will mend it
	CauseAttempts   Cause = "attempts"        // every attempt ended in an error
	CausePanic      Cause = "panic"           // every attempt failed, the last one by a panic
	CauseUndeclared Cause = "undeclared-emit" // the handler emitted an event that it does not declare
	CauseRefused    Cause = "refused-emit"    // the broker will never take what the handler emitted
)

// decodeCauses tells the codec's errors apart.
var decodeCauses = []struct {
	err   error
	cause Cause
}{
	{contract.ErrMagic, CauseBadMagic},
	{contract.ErrUnknownSchema, CauseUnknownSchema},
	{contract.ErrTruncated, CauseTruncated},
	{contract.ErrTrailing, CauseTrailingBytes},
	{contract.ErrOtherEvent, CauseTypeMismatch},
	{contract.ErrEmpty, CauseEmpty},
	{contract.ErrTooLarge, CauseHostile},
	{contract.ErrHostile, CauseHostile},
}

// decodeCause is the cause for a value that the codec refused with err.
func decodeCause(value []byte, err error) Cause {
	if value == nil {
		return CauseTombstone
	}
	for _, d := range decodeCauses {
		if errors.Is(err, d.err) {
			return d.cause
		}
	}
	return CauseUndecodable
}
