package kafka

import (
	"context"
	"errors"
	"fmt"
	"net"

	kgo "github.com/segmentio/kafka-go"
)

// Errors that callers tell apart with errors.Is.
var (
	// ErrFenced: the session's generation is over; another member may own its
	// partitions already. Nothing can be committed under it any more.
	ErrFenced = errors.New("this member's generation of the group is over")

	// ErrClosed: the Client, Producer or Reader was closed.
	ErrClosed = errors.New("closed")

	// ErrTooLarge: a record is larger than the producer or the broker allows.
	ErrTooLarge = errors.New("record too large")

	// ErrMetadataTooLarge: the broker refuses an offset's metadata for its
	// length; the offset can be committed without it.
	ErrMetadataTooLarge = errors.New("offset metadata too large")

	// ErrBeyondEnd: a Reader was asked for an offset that the partition has not
	// reached. The log may have been made anew, or lost its end.
	ErrBeyondEnd = errors.New("offset beyond the end of the partition")

	// ErrCorrupt: what a broker sent as records cannot be read.
	ErrCorrupt = errors.New("unreadable records")
)

// codeError is the error for a code in a broker's answer, nil for 0.
func codeError(code int16, detail *string) error {
	switch {
	case code == 0:
		return nil
	case detail != nil && *detail != "":
		return fmt.Errorf("%w: %s", kgo.Error(code), *detail)
	default:
		return kgo.Error(code)
	}
}

// retriable tells whether a call may succeed when it is made again. Whatever
// happened on the way to a broker may; what the broker itself refused may only
// if the refusal is one of those that pass.
func retriable(err error) bool {
	switch {
	case errors.Is(err, ErrClosed), errors.Is(err, ErrCorrupt), errors.Is(err, ErrFenced),
		errors.Is(err, ErrTooLarge), errors.Is(err, ErrBeyondEnd):
		return false
	}
	code, ok := errors.AsType[kgo.Error](err)
	if !ok {
		return true
	}
	switch code {
	case kgo.BrokerNotAvailable, kgo.ReplicaNotAvailable, kgo.StaleControllerEpoch, kgo.RebalanceInProgress:
		return true
	}
	return code.Temporary()
}

// reason is the part of a network error that a person wants to read.
func reason(err error) string {
	if errors.Is(err, context.DeadlineExceeded) {
		return "no answer in time"
	}
	if dns, ok := errors.AsType[*net.DNSError](err); ok {
		return dns.Error()
	}
	for {
		inner := errors.Unwrap(err)
		if inner == nil {
			return err.Error()
		}
		err = inner
	}
}

// kgoCode is the code that a broker refused with, if it did.
func kgoCode(err error) (kgo.Error, bool) { return errors.AsType[kgo.Error](err) }
