package contract

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"

	"github.com/hamba/avro/v2"
)

// Parse reads the text of one Avro schema. The text stands for itself: names
// that it uses must be defined in it. A schema that contains itself is refused.
func Parse(text []byte) (*Schema, error) {
	tree, err := decodeTree(text)
	if err != nil {
		return nil, err
	}
	p := parser{defined: map[string]*Schema{}}
	// Recursion is looked for first: it overflows the stack in hamba/avro.
	schema, err := p.schema(tree, "")
	if err != nil {
		return nil, err
	}
	if err := checkDefaults(schema); err != nil {
		return nil, err
	}
	// A cache of its own for each text, since the shared one mixes versions up.
	if _, err := avro.ParseBytesWithCache(text, "", &avro.SchemaCache{}); err != nil {
		return nil, errors.New(strings.TrimPrefix(err.Error(), "avro: "))
	}
	return schema, nil
}

// decodeTree decodes JSON with its numbers as they are written.
func decodeTree(text []byte) (any, error) {
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber()
	var tree any
	if err := d.Decode(&tree); err != nil {
		if syntax, ok := errors.AsType[*json.SyntaxError](err); ok {
			line := 1 + bytes.Count(text[:min(int(syntax.Offset), len(text))], []byte("\n"))
			return nil, fmt.Errorf("line %d: not JSON: %w", line, err)
		}
		return nil, errors.New("not JSON: the text ends too early")
	}
	if _, err := d.Token(); err != io.EOF {
		return nil, errors.New("not JSON: there is text after the schema's end")
	}
	return tree, nil
}

// parser builds a [Schema] out of decoded JSON.
type parser struct {
	defined map[string]*Schema // by full name; nil while the definition is being read
}

var primitives = []Kind{
	KindNull, KindBoolean, KindInt, KindLong, KindFloat, KindDouble, KindBytes, KindString,
}

func (p *parser) schema(tree any, namespace string) (*Schema, error) {
	switch t := tree.(type) {
	case string:
		return p.named(t, namespace)
	case []any:
		return p.union(t, namespace)
	case map[string]any:
		return p.complex(t, namespace)
	}
	return nil, fmt.Errorf("%v is not a schema: expected a name, an object or a list", tree)
}

func (p *parser) named(name, namespace string) (*Schema, error) {
	if slices.Contains(primitives, Kind(name)) {
		return &Schema{Kind: Kind(name)}, nil
	}
	full := fullName(name, namespace)
	s, ok := p.defined[full]
	switch {
	case !ok:
		return nil, fmt.Errorf("type %s is not defined in this file", name)
	case s == nil:
		return nil, fmt.Errorf("%s contains itself: recursive schemas are not supported", full)
	}
	return s, nil
}

func fullName(name, namespace string) string {
	if namespace == "" || strings.Contains(name, ".") {
		return name
	}
	return namespace + "." + name
}

func (p *parser) union(branches []any, namespace string) (*Schema, error) {
	s := &Schema{Kind: KindUnion}
	for _, b := range branches {
		branch, err := p.schema(b, namespace)
		if err != nil {
			return nil, err
		}
		s.Branches = append(s.Branches, branch)
	}
	return s, nil
}

// known lists the attributes of an object that Avro knows; all others are
// kept as properties.
var known = []string{
	"type", "name", "namespace", "doc", "aliases", "fields", "symbols", "default", "items", "values", "size",
	"logicalType", "precision", "scale",
}

func props(m map[string]any) map[string]any {
	var out map[string]any
	for k, v := range m {
		if slices.Contains(known, k) {
			continue
		}
		if out == nil {
			out = map[string]any{}
		}
		out[k] = v
	}
	return out
}

func (p *parser) complex(m map[string]any, namespace string) (*Schema, error) {
	kind, ok := m["type"].(string)
	if !ok {
		return nil, errors.New(`an object without a "type" that is a string is not a schema`)
	}
	s := &Schema{Kind: Kind(kind), Props: props(m)}
	s.Doc, _ = m["doc"].(string)
	var err error
	switch s.Kind {
	case KindRecord, KindEnum, KindFixed:
		err = p.definition(s, m, namespace)
	case KindArray:
		s.Items, err = p.schema(m["items"], namespace)
	case KindMap:
		s.Items, err = p.schema(m["values"], namespace)
	default:
		if !slices.Contains(primitives, s.Kind) {
			return p.named(kind, namespace)
		}
	}
	if err != nil {
		return nil, err
	}
	return s, s.setLogical(m)
}

func (s *Schema) setLogical(m map[string]any) error {
	s.Logical, _ = m["logicalType"].(string)
	if s.Logical == "" {
		return nil
	}
	kinds, ok := logicalTypes[s.Logical]
	if !ok {
		return fmt.Errorf("logical type %q is not supported", s.Logical)
	}
	if !slices.Contains(kinds, s.Kind) {
		return fmt.Errorf("logical type %s cannot stand on %s", s.Logical, s.Kind)
	}
	if s.Logical != LogicalDecimal {
		return nil
	}
	var err1, err2 error
	s.Precision, err1 = integer(m["precision"])
	if m["scale"] != nil {
		s.Scale, err2 = integer(m["scale"])
	}
	switch {
	case err1 != nil || err2 != nil || s.Precision < 1:
		return errors.New("a decimal needs a precision of at least 1, and a scale that is a number or absent")
	case s.Scale < 0 || s.Scale > s.Precision:
		return fmt.Errorf("a decimal's scale must be between 0 and its precision, not %d", s.Scale)
	case s.Precision > maxPrecision:
		return fmt.Errorf("a decimal's precision must be at most %d", maxPrecision)
	case s.Kind == KindFixed && s.Precision > fixedDigits(s.Size):
		return fmt.Errorf("a decimal of precision %d does not fit into a fixed of %d bytes", s.Precision, s.Size)
	}
	return nil
}

// maxPrecision bounds decimals, so that no message makes arithmetic expensive.
const maxPrecision = 1000

func integer(v any) (int, error) {
	n, ok := v.(json.Number)
	if !ok {
		return 0, fmt.Errorf("%v is not a number", v)
	}
	return strconv.Atoi(n.String())
}

func (p *parser) definition(s *Schema, m map[string]any, namespace string) error {
	name, _ := m["name"].(string)
	if ns, _ := m["namespace"].(string); ns != "" {
		namespace = ns
	}
	s.Name = fullName(name, namespace)
	if i := strings.LastIndexByte(s.Name, '.'); i >= 0 {
		namespace = s.Name[:i]
	}
	if _, again := p.defined[s.Name]; again {
		return fmt.Errorf("%s is defined twice, or contains itself: recursive schemas are not supported", s.Name)
	}
	for _, a := range texts(m["aliases"]) {
		s.Aliases = append(s.Aliases, fullName(a, namespace))
	}
	p.defined[s.Name] = nil
	var err error
	switch s.Kind {
	case KindRecord:
		err = p.fields(s, m, namespace)
	case KindEnum:
		s.Symbols = texts(m["symbols"])
		s.Default, _ = m["default"].(string)
		if len(s.Symbols) == 0 {
			err = fmt.Errorf("enum %s has no symbols", s.Name)
		}
	case KindFixed:
		s.Size, err = integer(m["size"])
		if err == nil && (s.Size < 1 || s.Size > maxFixed) {
			err = fmt.Errorf("fixed %s must have between 1 and %d bytes", s.Name, maxFixed)
		}
	}
	p.defined[s.Name] = s
	return err
}

// maxFixed bounds fixeds, which are reserved before they are read.
const maxFixed = 64 << 10

func texts(v any) []string {
	list, _ := v.([]any)
	var out []string
	for _, item := range list {
		if s, ok := item.(string); ok {
			out = append(out, s)
		}
	}
	return out
}

func (p *parser) fields(s *Schema, m map[string]any, namespace string) error {
	list, ok := m["fields"].([]any)
	if !ok {
		return fmt.Errorf("record %s has no list of fields", s.Name)
	}
	for _, item := range list {
		fm, ok := item.(map[string]any)
		if !ok {
			return fmt.Errorf("record %s: a field must be an object, not %v", s.Name, item)
		}
		f := &SchemaField{Aliases: texts(fm["aliases"]), Props: props(fm)}
		f.Name, _ = fm["name"].(string)
		f.Doc, _ = fm["doc"].(string)
		f.IsKey = fm["key"] == true
		f.PII = fm["pii"] == true
		for _, name := range misplaced {
			if _, ok := fm[name]; ok {
				f.misplaced = append(f.misplaced, name)
			}
		}
		if def, ok := fm["default"]; ok {
			f.Default, _ = json.Marshal(def) // it was decoded from JSON just now
		}
		var err error
		if f.Type, err = p.schema(fm["type"], namespace); err != nil {
			return fmt.Errorf("field %s: %w", f.Name, err)
		}
		s.Fields = append(s.Fields, f)
	}
	return nil
}
