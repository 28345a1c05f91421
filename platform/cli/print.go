package cli

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"
	"unicode"

	"github.com/troupedev/troupe/platform/contract"
	"github.com/troupedev/troupe/platform/event"
	"github.com/troupedev/troupe/platform/kafka"
	"github.com/troupedev/troupe/platform/runtime"
)

// printer prints records, decoded where that can be done: what lies in a topic
// may be anything.
type printer struct {
	out   io.Writer
	json  bool
	types *contract.Index
}

// tailed is a record as `troupe tail --json` prints it.
type tailed struct {
	Topic     string            `json:"topic"`
	Partition int32             `json:"partition"`
	Offset    int64             `json:"offset"`
	Time      time.Time         `json:"time"`
	Key       *string           `json:"key"`            // null: the record has none
	Type      string            `json:"type,omitempty"` // with its version, as the value's schema says
	ID        string            `json:"id,omitempty"`
	Flow      string            `json:"flow,omitempty"`
	Cause     string            `json:"cause,omitempty"`
	Headers   map[string]string `json:"headers"`
	Event     json.RawMessage   `json:"event,omitempty"` // the value, decoded
	Value     *string           `json:"value,omitempty"` // base64; only of a value that cannot be decoded
	Error     string            `json:"error,omitempty"` // why it cannot

	size int // of the value, in bytes
}

func (p *printer) describe(r *kafka.Record) tailed {
	t := tailed{
		Topic: r.Topic, Partition: r.Partition, Offset: r.Offset, Time: r.Time.UTC(),
		Headers: make(map[string]string, len(r.Headers)), size: len(r.Value),
	}
	if r.Key != nil {
		t.Key = new(string(r.Key))
	}
	for _, h := range r.Headers {
		t.Headers[h.Key] = string(h.Value)
	}
	t.ID, t.Cause, t.Type = t.Headers[event.HeaderID], t.Headers[event.HeaderCausationID], t.Headers[event.HeaderType]
	if t.Flow = t.Headers[event.HeaderCorrelationID]; t.Flow == "" {
		t.Flow = t.ID
	}
	text, wrote, err := p.decode(r.Value)
	if err != nil {
		t.Error = err.Error()
		if r.Value != nil {
			t.Value = new(base64.StdEncoding.EncodeToString(r.Value))
		}
		return t
	}
	t.Event, t.Type = text, wrote.String()
	return t
}

func (p *printer) decode(value []byte) (json.RawMessage, *event.Type, error) {
	wrote, err := p.types.TypeOf(value)
	if err != nil {
		return nil, nil, err
	}
	text, err := contract.DecodeJSON(wrote, value)
	return text, wrote, err
}

// print writes one line.
func (p *printer) print(r *kafka.Record) error {
	t := p.describe(r)
	if p.json {
		enc := json.NewEncoder(p.out)
		enc.SetEscapeHTML(false)
		return enc.Encode(t)
	}
	_, err := fmt.Fprintln(p.out, t.line())
	return err
}

// line is the record for a person to read.
func (t *tailed) line() string {
	var out strings.Builder
	fmt.Fprintf(&out, "%s %d@%d", t.Time.Local().Format("15:04:05.000"), t.Partition, t.Offset)
	if t.Type != "" {
		out.WriteString(" " + plain(t.Type))
	}
	if t.Key != nil {
		out.WriteString(" key=" + plain(*t.Key))
	}
	if t.Flow != "" {
		out.WriteString(" flow=" + plain(t.Flow))
	}
	if cause := t.Headers[runtime.HeaderCause]; cause != "" {
		fmt.Fprintf(&out, " dead=%s: %s", plain(cause), strconv.Quote(t.Headers[runtime.HeaderError]))
	}
	switch {
	case t.Event != nil:
		out.WriteString(" " + escaped(string(t.Event)))
	case t.Value == nil:
		out.WriteString(" (tombstone)")
	default:
		fmt.Fprintf(&out, " (%s; %d bytes)", escaped(t.Error), t.size)
	}
	return out.String()
}

// plain is s, quoted where it holds what would break the line or move the
// terminal's cursor.
func plain(s string) string {
	if s == "" || strings.ContainsFunc(s, func(r rune) bool { return !unicode.IsPrint(r) || r == ' ' || r == unicode.ReplacementChar }) {
		return strconv.Quote(s)
	}
	return s
}

// escaped is text with what does not print replaced: JSON leaves some of it as it is.
func escaped(text string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) {
			return r
		}
		return unicode.ReplacementChar
	}, text)
}
