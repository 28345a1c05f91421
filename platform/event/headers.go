package event

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// Header is one header of a record.
type Header struct {
	Key   string
	Value []byte
}

// Names of the headers, CloudEvents 1.0 in the Kafka binding's binary mode
// (https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/bindings/kafka-protocol-binding.md),
// and Troupe's extension attributes among them.
const (
	HeaderSpecVersion = "ce_specversion"
	HeaderID          = "ce_id"
	HeaderType        = "ce_type"
	HeaderSource      = "ce_source"
	HeaderTime        = "ce_time"
	HeaderSubject     = "ce_subject"
	HeaderDataSchema  = "ce_dataschema"
	HeaderContentType = "content-type"

	HeaderCorrelationID = "ce_correlationid" // the flow: id of its first event
	HeaderCausationID   = "ce_causationid"   // the event that led to this one
	HeaderReaction      = "ce_reaction"      // the reaction that emitted it
	HeaderEmit          = "ce_emit"          // i/n: the i-th of the n events that the reaction emitted
	HeaderHop           = "ce_hop"           // events between the flow's first and this one
	HeaderExpiryTime    = "ce_expirytime"    // not handled after it
	HeaderReplyTo       = "ce_replyto"       // the topic that a reply to this request goes to
	HeaderExpects       = "ce_expects"       // services that are to answer, with commas between
	HeaderTraceParent   = "traceparent"      // W3C Trace Context
)

const (
	specVersion = "1.0"
	contentType = "application/avro"
)

// Envelope is what travels in an event's headers.
type Envelope struct {
	ID          string
	Type        string // full name: "orders.OrderPlaced"
	Source      string // "/services/orders"
	Time        time.Time
	Subject     string // the key
	DataSchema  string // "orders.OrderPlaced/v1"
	Flow        string
	Cause       string
	Reaction    string
	EmitIndex   int // from 1; 0: not emitted by a reaction
	EmitCount   int
	Hop         int
	Expiry      time.Time // zero: never
	ReplyTo     string    // of a request: topic for the reply; empty: that of the reply's domain
	Expects     []string  // of an event whose answers are gathered: who is to answer
	TraceParent string
}

// AppendHeaders appends e's headers to dst; attributes without a value are left out.
func (e *Envelope) AppendHeaders(dst []Header) []Header {
	add := func(key, value string) {
		if value != "" {
			dst = append(dst, Header{key, []byte(value)})
		}
	}
	add(HeaderSpecVersion, specVersion)
	add(HeaderID, e.ID)
	add(HeaderType, e.Type)
	add(HeaderSource, e.Source)
	add(HeaderTime, formatTime(e.Time))
	add(HeaderSubject, e.Subject)
	add(HeaderDataSchema, e.DataSchema)
	add(HeaderContentType, contentType)
	add(HeaderCorrelationID, e.Flow)
	add(HeaderCausationID, e.Cause)
	add(HeaderReaction, e.Reaction)
	if e.EmitCount > 0 {
		add(HeaderEmit, strconv.Itoa(e.EmitIndex)+"/"+strconv.Itoa(e.EmitCount))
	}
	add(HeaderHop, strconv.Itoa(e.Hop))
	add(HeaderExpiryTime, formatTime(e.Expiry))
	add(HeaderReplyTo, e.ReplyTo)
	if e.Expects != nil { // an empty list says that nobody is to answer
		dst = append(dst, Header{HeaderExpects, []byte(strings.Join(e.Expects, ","))})
	}
	add(HeaderTraceParent, e.TraceParent)
	return dst
}

func formatTime(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format(time.RFC3339Nano)
}

// ErrNotCloudEvent is wrapped by the error of [ParseHeaders] where ce_id or
// ce_type is missing: the record is not one of ours.
var ErrNotCloudEvent = errors.New("not a CloudEvent")

// ParseHeaders reads headers as other producers may write them: only ce_id and
// ce_type are required, ce_correlationid defaults to ce_id, an unknown header
// is passed over, the last of a repeated one counts. A header that cannot be
// read is an error that names it.
func ParseHeaders(headers []Header) (Envelope, error) {
	var e Envelope
	for _, h := range headers {
		if err := e.set(h.Key, string(h.Value)); err != nil {
			return Envelope{}, fmt.Errorf("header %s: %w", h.Key, err)
		}
	}
	switch {
	case e.ID == "":
		return Envelope{}, fmt.Errorf("header %s is missing: %w", HeaderID, ErrNotCloudEvent)
	case e.Type == "":
		return Envelope{}, fmt.Errorf("header %s is missing: %w", HeaderType, ErrNotCloudEvent)
	}
	if e.Flow == "" {
		e.Flow = e.ID
	}
	return e, nil
}

func (e *Envelope) set(key, value string) (err error) {
	switch key {
	case HeaderSpecVersion:
		if value != specVersion {
			return fmt.Errorf("CloudEvents version %.20q, want %s: %w", value, specVersion, ErrNotCloudEvent)
		}
	case HeaderID:
		e.ID = value
	case HeaderType:
		e.Type = value
	case HeaderSource:
		e.Source = value
	case HeaderTime:
		e.Time, err = time.Parse(time.RFC3339Nano, value)
	case HeaderSubject:
		e.Subject = value
	case HeaderDataSchema:
		e.DataSchema = value
	case HeaderCorrelationID:
		e.Flow = value
	case HeaderCausationID:
		e.Cause = value
	case HeaderReaction:
		e.Reaction = value
	case HeaderEmit:
		e.EmitIndex, e.EmitCount, err = parseEmit(value)
	case HeaderHop:
		e.Hop, err = parseCount(value)
	case HeaderExpiryTime:
		e.Expiry, err = time.Parse(time.RFC3339Nano, value)
	case HeaderReplyTo:
		e.ReplyTo = value
	case HeaderExpects:
		e.Expects = strings.FieldsFunc(value, func(c rune) bool { return c == ',' })
	case HeaderTraceParent:
		e.TraceParent = value
	}
	return err
}

func parseEmit(s string) (i, n int, err error) {
	first, second, ok := strings.Cut(s, "/")
	if !ok {
		return 0, 0, fmt.Errorf("%.20q is not of the form i/n", s)
	}
	if i, err = parseCount(first); err != nil {
		return 0, 0, err
	}
	if n, err = parseCount(second); err != nil {
		return 0, 0, err
	}
	if i < 1 || i > n {
		return 0, 0, fmt.Errorf("%.20q: i is not within 1 to n", s)
	}
	return i, n, nil
}

func parseCount(s string) (int, error) {
	n, err := strconv.ParseUint(s, 10, 31)
	if err != nil {
		return 0, fmt.Errorf("%.20q is not a count", s)
	}
	return int(n), nil
}

// Meta is e as a handler sees it.
func (e *Envelope) Meta(attempt int) Meta {
	return Meta{
		ID: e.ID, Flow: e.Flow, Cause: e.Cause, Source: e.Source, Key: e.Subject, Expects: e.Expects,
		Attempt: attempt, Hop: e.Hop, Time: e.Time, Trace: e.TraceParent,
	}
}
