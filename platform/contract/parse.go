package contract

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/hamba/avro/v2"
)

// Parse reads the text of one Avro schema. The text stands for itself: names
// that it uses must be defined in it. A schema that contains itself is refused.
// The error joins all faults.
func Parse(text []byte) (*Schema, error) {
	schema, err := parseAll(text)
	if err != nil {
		return nil, err
	}
	return schema, nil
}

// parseAll is [Parse], and returns together with the faults as much of the
// schema as could be made out, nil if the text is not JSON: types that have no
// meaning are of no kind in it.
func parseAll(text []byte) (*Schema, error) {
	tree, err := decodeTree(text)
	if err != nil {
		return nil, err
	}
	p := parser{defined: map[string]*Schema{}}
	schema := p.schema("", tree, "")
	if faults := append(p.faults, checkDefaults(schema)...); len(faults) > 0 {
		return schema, errors.Join(faults...) // hamba/avro would overflow the stack if the schema contains itself
	}
	// A cache of its own for each text, since the shared one mixes versions up.
	if _, err := avro.ParseBytesWithCache(text, "", &avro.SchemaCache{}); err != nil {
		return schema, errors.New(strings.TrimPrefix(err.Error(), "avro: "))
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

// parser builds a [Schema] out of decoded JSON. It goes on after a fault, so
// that all are found at once.
type parser struct {
	defined map[string]*Schema // by full name; nil while the definition is being read
	faults  []error
}

// fault says what is wrong at a path of fields, empty for the schema as a whole.
func (p *parser) fault(at, format string, args ...any) {
	err := fmt.Errorf(format, args...)
	if at != "" {
		err = fmt.Errorf("field %s: %w", at, err)
	}
	p.faults = append(p.faults, err)
}

var primitives = []Kind{
	KindNull, KindBoolean, KindInt, KindLong, KindFloat, KindDouble, KindBytes, KindString,
}

func (p *parser) schema(at string, tree any, namespace string) *Schema {
	switch t := tree.(type) {
	case string:
		return p.named(at, t, namespace)
	case []any:
		s := &Schema{Kind: KindUnion}
		for _, branch := range t {
			s.Branches = append(s.Branches, p.schema(at, branch, namespace))
		}
		return s
	case map[string]any:
		return p.complex(at, t, namespace)
	case nil:
		p.fault(at, "its type is missing")
	default:
		p.fault(at, "%v is not a schema: expected a name, an object or a list", tree)
	}
	return &Schema{}
}

func (p *parser) named(at, name, namespace string) *Schema {
	if slices.Contains(primitives, Kind(name)) {
		return &Schema{Kind: Kind(name)}
	}
	full := fullName(name, namespace)
	s, ok := p.defined[full]
	switch {
	case !ok:
		p.fault(at, "type %s is not defined in this file", name)
	case s == nil:
		p.fault(at, "%s contains itself: recursive schemas are not supported", full)
	default:
		return s
	}
	return &Schema{}
}

func fullName(name, namespace string) string {
	if namespace == "" || strings.Contains(name, ".") {
		return name
	}
	return namespace + "." + name
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

func (p *parser) complex(at string, m map[string]any, namespace string) *Schema {
	kind, ok := m["type"].(string)
	_, hasFields := m["fields"]
	s := &Schema{Kind: Kind(kind), Props: props(m)}
	s.Doc, _ = m["doc"].(string)
	switch {
	case s.Kind == KindRecord, s.Kind == KindEnum, s.Kind == KindFixed:
		p.definition(at, s, m, namespace)
	case s.Kind == KindArray:
		s.Items = p.schema(at+"[]", m["items"], namespace)
	case s.Kind == KindMap:
		s.Items = p.schema(at+"[]", m["values"], namespace)
	case slices.Contains(primitives, s.Kind):
	case ok && !hasFields:
		return p.named(at, kind, namespace)
	default:
		p.fault(at, `an object without a "type" that Avro knows is not a schema`)
		if !hasFields {
			return &Schema{}
		}
		s.Kind = KindRecord // what else has fields
		p.definition(at, s, m, namespace)
	}
	if err := s.setLogical(m); err != nil {
		p.fault(at, "%w", err)
		s.Logical, s.Precision, s.Scale = "", 0, 0
	}
	return s
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

// avroName is how names and symbols must be spelt.
var avroName = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)

func (p *parser) definition(at string, s *Schema, m map[string]any, namespace string) {
	name, _ := m["name"].(string)
	if ns, _ := m["namespace"].(string); ns != "" {
		namespace = ns
	}
	s.Name = fullName(name, namespace)
	if i := strings.LastIndexByte(s.Name, '.'); i >= 0 {
		namespace = s.Name[:i]
	}
	if !avroName.MatchString(s.SimpleName()) {
		p.fault(at, "%s has a name that Avro does not allow: %q", s.Kind, s.SimpleName())
	}
	for _, a := range texts(m["aliases"]) {
		s.Aliases = append(s.Aliases, fullName(a, namespace))
	}
	if _, again := p.defined[s.Name]; again {
		p.fault(at, "%s is defined twice, or contains itself: recursive schemas are not supported", s.Name)
	} else {
		p.defined[s.Name] = nil
		defer func() { p.defined[s.Name] = s }()
	}
	switch s.Kind {
	case KindRecord:
		p.fields(at, s, m, namespace)
	case KindEnum:
		p.symbols(at, s, m)
	case KindFixed:
		var err error
		s.Size, err = integer(m["size"])
		if err != nil || s.Size < 1 || s.Size > maxFixed {
			p.fault(at, "fixed %s must have between 1 and %d bytes, not %s", s.Name, maxFixed, show(m["size"]))
			s.Size = maxFixed
		}
	}
}

// maxFixed bounds fixeds, which are reserved before they are read.
const maxFixed = 64 << 10

func (p *parser) symbols(at string, s *Schema, m map[string]any) {
	s.Symbols = texts(m["symbols"])
	s.Default, _ = m["default"].(string)
	if len(s.Symbols) == 0 {
		p.fault(at, "enum %s has no symbols", s.Name)
		s.Default = ""
	}
	for i, symbol := range s.Symbols {
		if !avroName.MatchString(symbol) {
			p.fault(at, "enum %s: Avro does not allow the symbol %q", s.Name, symbol)
		}
		if slices.Contains(s.Symbols[:i], symbol) {
			p.fault(at, "enum %s has the symbol %s twice", s.Name, symbol)
		}
	}
}

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

func (p *parser) fields(at string, s *Schema, m map[string]any, namespace string) {
	list, ok := m["fields"].([]any)
	if !ok {
		p.fault(at, "record %s has no list of fields", s.Name)
	}
	for i, item := range list {
		fm, ok := item.(map[string]any)
		if !ok {
			p.fault(at, "record %s: a field must be an object, not %v", s.Name, item)
			continue
		}
		f := newField(fm)
		if f.Name == "" {
			f.Name = "#" + itoa(i+1) // by its place, in messages
		}
		path := join(at, f.Name)
		switch {
		case !avroName.MatchString(f.Name):
			p.fault(path, "it has no name, or one that Avro does not allow")
		case s.Field(f.Name) != nil:
			p.fault(path, "record %s has two fields of this name", s.Name)
		}
		f.Type = p.schema(path, fm["type"], namespace)
		s.Fields = append(s.Fields, f)
	}
}

// newField is a field without its type.
func newField(m map[string]any) *SchemaField {
	f := &SchemaField{Aliases: texts(m["aliases"]), Props: props(m)}
	f.Name, _ = m["name"].(string)
	f.Doc, _ = m["doc"].(string)
	f.IsKey = m["key"] == true
	f.PII = m["pii"] == true
	for _, name := range misplaced {
		if _, ok := m[name]; ok {
			f.misplaced = append(f.misplaced, name)
		}
	}
	if def, ok := m["default"]; ok {
		f.Default, _ = json.Marshal(def) // it was decoded from JSON just now
	}
	return f
}
