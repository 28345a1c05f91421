package contract

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math"
	"math/big"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/troupedev/troupe/platform/event"
)

// EncodeJSON turns a plain JSON object into a record value of type t, framed.
//
// Plain means that it is not Avro's JSON encoding: a value that may be null
// stands for itself, an enum is its symbol, bytes are base64, a decimal is a
// string or number, a uuid a string, a date "2006-01-02", a time of day
// "15:04:05.999", a timestamp RFC 3339, a local timestamp the same without its
// zone, a float may be "NaN", "Infinity" or "-Infinity". A field that is left
// out takes its default. The error joins a [FieldError] for each fault.
func EncodeJSON(t *event.Type, text []byte) ([]byte, error) {
	tree, err := decodeTree(text)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", t, err)
	}
	w := newWriter()
	defer w.release()
	e := jsonEncoder{w: w, plain: true}
	e.value("", SchemaOf(t), tree)
	if err := errors.Join(e.faults...); err != nil {
		return nil, fmt.Errorf("%s: %w", t, err)
	}
	if headerSize+len(w.out) > MaxSize {
		return nil, fmt.Errorf("%s: %w", t, ErrTooLarge)
	}
	return append(appendHeader(nil, t.ID), w.out...), nil
}

// encodeDefault is a field's default in Avro binary. Avro writes defaults in a
// JSON of its own: bytes as Latin-1, logical types as what they stand on, a
// union as its first branch.
func encodeDefault(f *SchemaField) ([]byte, error) {
	tree, err := decodeTree(f.Default)
	if err != nil {
		return nil, err
	}
	w := newWriter()
	defer w.release()
	e := jsonEncoder{w: w}
	e.value("default", f.Type, tree)
	if err := errors.Join(e.faults...); err != nil {
		return nil, err
	}
	return slices.Clone(w.out), nil
}

// checkDefaults finds a default that is not of its field's type, and enums
// whose default is not a symbol.
func checkDefaults(s *Schema) (faults []error) {
	s.walk("", func(path string, s *Schema) {
		if s.Kind == KindEnum && s.Default != "" && !slices.Contains(s.Symbols, s.Default) {
			faults = append(faults, fmt.Errorf("field %s: enum %s: its default %q is not a symbol", path, s.Name, s.Default))
		}
		for _, f := range s.Fields {
			if f.Default == nil {
				continue
			}
			if _, err := encodeDefault(f); err != nil {
				faults = append(faults, fmt.Errorf("field %s: %w", join(path, f.Name), err))
			}
		}
	})
	return faults
}

// jsonEncoder writes decoded JSON as Avro, and collects what does not fit.
type jsonEncoder struct {
	w      *Writer
	plain  bool // as [EncodeJSON] says, otherwise as a schema's defaults
	faults []error
}

func (e *jsonEncoder) fault(path, format string, args ...any) {
	if path == "" {
		path = "(the event)"
	}
	e.faults = append(e.faults, &FieldError{path, fmt.Sprintf(format, args...)})
}

func (e *jsonEncoder) value(path string, s *Schema, v any) {
	switch s.Kind {
	case KindNull:
		if v != nil {
			e.fault(path, "%s is not null", show(v))
		}
	case KindBoolean:
		b, ok := v.(bool)
		if !ok {
			e.fault(path, "%s is not true or false", show(v))
		}
		e.w.Bool(b)
	case KindInt, KindLong:
		e.integer(path, s, v)
	case KindFloat:
		e.w.Float(float32(e.float(path, v, 32)))
	case KindDouble:
		e.w.Double(e.float(path, v, 64))
	case KindString, KindEnum:
		e.text(path, s, v)
	case KindBytes, KindFixed:
		e.bytes(path, s, v)
	case KindArray:
		e.array(path, s, v)
	case KindMap:
		e.object(path, s, v)
	case KindUnion:
		e.union(path, s, v)
	case KindRecord:
		e.record(path, s, v)
	}
}

// show is a value as a message quotes it.
func show(v any) string {
	b, _ := json.Marshal(v)
	if len(b) > 60 {
		return string(b[:60]) + "…"
	}
	return string(b)
}

func (e *jsonEncoder) integer(path string, s *Schema, v any) {
	if text, ok := v.(string); ok && e.plain && s.Logical != "" {
		e.moment(path, s, text)
		return
	}
	bits := 64
	if s.Kind == KindInt {
		bits = 32
	}
	number, _ := v.(json.Number)
	n, err := strconv.ParseInt(number.String(), 10, bits)
	if err != nil {
		e.fault(path, "%s is not a whole number of %d bits%s", show(v), bits, expected(s))
	}
	e.w.Long(n) // of an int, the same bytes
}

func expected(s *Schema) string {
	if layout := layoutOf(s.Logical); layout != "" {
		return " or of the form " + layout
	}
	return ""
}

// layoutOf is how plain JSON shows a logical type.
func layoutOf(logical string) string {
	switch {
	case logical == LogicalDate:
		return time.DateOnly
	case strings.HasPrefix(logical, "time-"):
		return "15:04:05.999999999"
	case strings.HasPrefix(logical, "timestamp-"):
		return time.RFC3339Nano
	case strings.HasPrefix(logical, "local-timestamp-"):
		return "2006-01-02T15:04:05.999999999"
	}
	return ""
}

func (e *jsonEncoder) moment(path string, s *Schema, text string) {
	t, err := time.Parse(layoutOf(s.Logical), text)
	if err != nil {
		e.fault(path, "%q is not of the form %s", text, layoutOf(s.Logical))
		return
	}
	before := e.w.err
	switch s.Logical {
	case LogicalDate:
		e.w.Date(path, t)
	case LogicalTimeMillis:
		e.w.TimeMillis(path, sinceMidnight(t))
	case LogicalTimeMicros:
		e.w.TimeMicros(path, sinceMidnight(t))
	default: // a local timestamp was parsed as if in UTC
		e.w.Timestamp(path, s.Unit(), t)
	}
	e.collect(before)
}

// collect takes over what the Writer refused.
func (e *jsonEncoder) collect(before error) {
	if e.w.err != nil && before == nil {
		e.faults = append(e.faults, e.w.err)
		e.w.err = nil
	}
}

func sinceMidnight(t time.Time) time.Duration {
	return t.Sub(time.Date(t.Year(), t.Month(), t.Day(), 0, 0, 0, 0, t.Location()))
}

func (e *jsonEncoder) float(path string, v any, bits int) float64 {
	switch v := v.(type) {
	case json.Number:
		if f, err := strconv.ParseFloat(v.String(), bits); err == nil {
			return f
		}
	case string:
		switch {
		case !e.plain:
		case v == "NaN":
			return math.NaN()
		case v == "Infinity":
			return math.Inf(1)
		case v == "-Infinity":
			return math.Inf(-1)
		}
	}
	e.fault(path, "%s is not a number of %d bits", show(v), bits)
	return 0
}

func (e *jsonEncoder) text(path string, s *Schema, v any) {
	text, ok := v.(string)
	if !ok {
		e.fault(path, "%s is not a string", show(v))
		return
	}
	before := e.w.err
	switch {
	case s.Kind == KindEnum:
		e.w.Enum(path, &Enum{s.Name, s.Symbols}, text)
	case s.Logical == LogicalUUID:
		e.w.UUID(path, text)
	default:
		e.w.String(path, text)
	}
	e.collect(before)
}

func (e *jsonEncoder) bytes(path string, s *Schema, v any) {
	if e.plain && s.Logical == LogicalDecimal {
		e.decimal(path, s, v)
		return
	}
	text, ok := v.(string)
	var b []byte
	var err error
	if e.plain {
		b, err = base64.StdEncoding.DecodeString(text)
	} else {
		b, err = latin1(text)
	}
	switch {
	case !ok || err != nil:
		e.fault(path, "%s is not bytes: %s", show(v), map[bool]string{true: "expected base64", false: "expected text of U+0000 to U+00FF"}[e.plain])
	case s.Kind == KindBytes:
		e.w.Bytes(b)
	case len(b) != s.Size:
		e.fault(path, "%s has %d bytes, not %d", show(v), len(b), s.Size)
	default:
		e.w.Fixed(b)
	}
}

func latin1(text string) ([]byte, error) {
	b := make([]byte, 0, len(text))
	for _, r := range text {
		if r > 0xff {
			return nil, fmt.Errorf("%q is above U+00FF", r)
		}
		b = append(b, byte(r))
	}
	return b, nil
}

func (e *jsonEncoder) decimal(path string, s *Schema, v any) {
	text, ok := v.(string)
	if n, isNumber := v.(json.Number); isNumber {
		text, ok = n.String(), true
	}
	// Digits and a point alone: an exponent makes numbers without bounds.
	var d *big.Rat
	if ok = ok && len(text) <= 2*maxPrecision && !strings.ContainsAny(text, "eEpP/xX_"); ok {
		d, ok = new(big.Rat).SetString(text)
	}
	if !ok {
		e.fault(path, `%s is not a decimal: expected digits such as "12.50"`, show(v))
		return
	}
	before := e.w.err
	if s.Kind == KindFixed {
		e.w.FixedDecimal(path, s.Size, s.Precision, s.Scale, d)
	} else {
		e.w.Decimal(path, s.Precision, s.Scale, d)
	}
	e.collect(before)
}

func (e *jsonEncoder) array(path string, s *Schema, v any) {
	items, ok := v.([]any)
	if !ok {
		e.fault(path, "%s is not a list", show(v))
	}
	if len(items) > 0 {
		e.w.Long(int64(len(items)))
		for i, item := range items {
			e.value(fmt.Sprintf("%s[%d]", path, i), s.Items, item)
		}
	}
	e.w.Long(0)
}

func (e *jsonEncoder) object(path string, s *Schema, v any) {
	items, ok := v.(map[string]any)
	if !ok {
		e.fault(path, "%s is not an object", show(v))
	}
	if len(items) > 0 {
		e.w.Long(int64(len(items)))
		for _, key := range slices.Sorted(maps.Keys(items)) {
			e.w.String(path, key)
			e.value(fmt.Sprintf("%s[%q]", path, key), s.Items, items[key])
		}
	}
	e.w.Long(0)
}

func (e *jsonEncoder) union(path string, s *Schema, v any) {
	inner, nullFirst, ok := s.Nullable()
	switch {
	case !e.plain:
		e.w.Long(0)
		e.value(path, s.Branches[0], v)
	case !ok:
		e.fault(path, "a %s is not supported", s)
	case v == nil:
		e.w.branch(!nullFirst)
	default:
		e.w.branch(nullFirst)
		e.value(path, inner, v)
	}
}

func (e *jsonEncoder) record(path string, s *Schema, v any) {
	object, ok := v.(map[string]any)
	if !ok {
		e.fault(path, "%s is not an object", show(v))
		return
	}
	for _, f := range s.Fields {
		at := join(path, f.Name)
		if member, ok := object[f.Name]; ok {
			e.value(at, f.Type, member)
			continue
		}
		if f.Default == nil {
			e.fault(at, "is missing, and has no default")
			continue
		}
		b, err := encodeDefault(f)
		if err != nil {
			e.fault(at, "%s", err)
		}
		e.w.raw(b)
	}
	for _, name := range slices.Sorted(maps.Keys(object)) {
		if s.Field(name) == nil {
			e.fault(join(path, name), "is unknown: %s has %s", s.Name, fieldNames(s))
		}
	}
}
