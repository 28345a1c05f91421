package contract

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/troupedev/troupe/platform/event"
)

// maxJSON is the most bytes of JSON that are made of a value.
const maxJSON = 8 * MaxSize

// DecodeJSON turns a record value into plain JSON as [EncodeJSON] takes it, on
// one line, the fields in the order of the schema that it was written with:
// t, or any other version of its event. A timestamp whose year RFC 3339 cannot
// show is the number that it is on the wire.
func DecodeJSON(t *event.Type, value []byte) ([]byte, error) {
	wrote, r, err := open(t, value)
	if err != nil {
		return nil, err
	}
	d := jsonDecoder{r: &r}
	d.value(SchemaOf(wrote))
	if err := r.end(); err != nil {
		return nil, fmt.Errorf("decode %s: %w", wrote, err)
	}
	return d.out, nil
}

// open finds the version that a value was written with.
func open(t *event.Type, value []byte) (*event.Type, Reader, error) {
	id, body, err := unframe(value)
	if err != nil {
		return nil, Reader{}, err
	}
	wrote := version(t, id)
	if wrote == nil {
		return nil, Reader{}, &UnknownSchemaError{ID: id, Reads: t}
	}
	return wrote, readerOf(body), nil
}

// KeyOf is the text of a record value's key field, as the generated method Key
// gives it: empty where its schema marks no field as key.
func KeyOf(t *event.Type, value []byte) (string, error) {
	wrote, r, err := open(t, value)
	if err != nil {
		return "", err
	}
	key := ""
	for _, f := range SchemaOf(wrote).Fields {
		if !f.IsKey {
			r.skipValue(f.Type)
			continue
		}
		switch f.Type.Kind {
		case KindInt, KindLong:
			key = strconv.FormatInt(r.Long(), 10)
		case KindEnum:
			key = r.Enum(&Enum{f.Type.Name, f.Type.Symbols})
		default:
			key = string(r.utf8())
		}
	}
	if err := r.end(); err != nil {
		return "", fmt.Errorf("decode %s: %w", wrote, err)
	}
	return key, nil
}

// skipValue reads a value and drops it.
func (r *Reader) skipValue(s *Schema) {
	switch s.Kind {
	case KindNull:
	case KindBoolean:
		r.Bool()
	case KindInt, KindLong, KindEnum:
		r.Long()
	case KindFloat, KindDouble, KindFixed:
		r.take(int64(s.minSize()))
	case KindBytes, KindString:
		r.take(r.Long())
	case KindRecord:
		for _, f := range s.Fields {
			r.skipValue(f.Type)
		}
	case KindUnion:
		if b := r.unionBranch(s); b != nil {
			r.skipValue(b)
		}
	case KindArray, KindMap:
		for n := r.block(); n > 0; n = r.block() {
			for ; n > 0 && !r.failed(); n-- {
				if s.Kind == KindMap {
					r.take(r.Long())
				}
				r.skipValue(s.Items)
			}
		}
	}
}

// unionBranch reads which branch of a union follows, nil after a fault.
func (r *Reader) unionBranch(s *Schema) *Schema {
	i := r.Long()
	if r.failed() {
		return nil
	}
	if i < 0 || i >= int64(len(s.Branches)) {
		r.fail(fmt.Errorf("%w: no branch %d in a union of %d", ErrMalformed, i, len(s.Branches)))
		return nil
	}
	return s.Branches[i]
}

// jsonDecoder writes Avro as plain JSON.
type jsonDecoder struct {
	r   *Reader
	out []byte
}

func (d *jsonDecoder) value(s *Schema) {
	switch s.Kind {
	case KindNull:
		d.out = append(d.out, "null"...)
	case KindBoolean:
		d.out = strconv.AppendBool(d.out, d.r.Bool())
	case KindInt:
		d.integer(s, int64(d.r.Int()))
	case KindLong:
		d.integer(s, d.r.Long())
	case KindFloat:
		d.float(float64(d.r.Float()), 32)
	case KindDouble:
		d.float(d.r.Double(), 64)
	case KindString:
		d.quote(d.r.String())
	case KindEnum:
		d.quote(d.r.Enum(&Enum{s.Name, s.Symbols}))
	case KindBytes, KindFixed:
		d.bytes(s)
	case KindRecord:
		d.record(s)
	case KindUnion:
		if b := d.r.unionBranch(s); b != nil {
			d.value(b)
		}
	case KindArray:
		d.block('[', ']', func() { d.value(s.Items) })
	case KindMap:
		d.block('{', '}', func() {
			d.quote(d.r.String())
			d.out = append(d.out, ':')
			d.value(s.Items)
		})
	}
}

func (d *jsonDecoder) record(s *Schema) {
	d.out = append(d.out, '{')
	for i, f := range s.Fields {
		if i > 0 {
			d.out = append(d.out, ',')
		}
		d.quote(f.Name)
		d.out = append(d.out, ':')
		d.value(f.Type)
	}
	d.out = append(d.out, '}')
}

func (d *jsonDecoder) block(open, end byte, item func()) {
	d.out = append(d.out, open)
	first := true
	for n := d.r.block(); n > 0; n = d.r.block() {
		for ; n > 0 && !d.r.failed(); n-- {
			if !first {
				d.out = append(d.out, ',')
			}
			first = false
			item()
			if len(d.out) > maxJSON { // names of fields make much of little
				d.r.fail(ErrTooLarge)
			}
		}
	}
	d.out = append(d.out, end)
}

func (d *jsonDecoder) integer(s *Schema, v int64) {
	layout := layoutOf(s.Logical)
	if layout == "" {
		d.out = strconv.AppendInt(d.out, v, 10)
		return
	}
	var t time.Time
	if s.Logical == LogicalDate {
		t = dateOf(int32(v))
	} else {
		t = momentOf(v, s.Unit())
	}
	if year := t.Year(); year < 0 || year > 9999 || strings.HasPrefix(s.Logical, "time-") && (v < 0 || t.Unix() >= int64(day/time.Second)) {
		d.out = strconv.AppendInt(d.out, v, 10)
		return
	}
	d.out = append(d.out, '"')
	d.out = t.AppendFormat(d.out, layout)
	d.out = append(d.out, '"')
}

func (d *jsonDecoder) float(v float64, bits int) {
	switch {
	case math.IsNaN(v):
		d.quote("NaN")
	case math.IsInf(v, 1):
		d.quote("Infinity")
	case math.IsInf(v, -1):
		d.quote("-Infinity")
	default:
		d.out = strconv.AppendFloat(d.out, v, 'g', -1, bits)
	}
}

func (d *jsonDecoder) bytes(s *Schema) {
	var b []byte
	if s.Kind == KindFixed {
		b = d.r.take(int64(s.Size))
	} else {
		b = d.r.take(d.r.Long())
	}
	if s.Logical == LogicalDecimal {
		d.quote(d.r.decimal(b, s.Precision, s.Scale).FloatString(s.Scale))
		return
	}
	d.out = append(d.out, '"')
	d.out = base64.StdEncoding.AppendEncode(d.out, b)
	d.out = append(d.out, '"')
}

// quote appends a JSON string, with <, > and & as they are: a terminal reads it.
func (d *jsonDecoder) quote(s string) {
	b := bytes.NewBuffer(d.out)
	e := json.NewEncoder(b)
	e.SetEscapeHTML(false)
	_ = e.Encode(s) // a string always encodes
	d.out = bytes.TrimSuffix(b.Bytes(), []byte("\n"))
}
