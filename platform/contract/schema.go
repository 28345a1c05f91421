package contract

import (
	"encoding/json"
	"slices"
	"strings"
)

// Logical types that the codec and the generator know.
const (
	LogicalDecimal              = "decimal"
	LogicalUUID                 = "uuid"
	LogicalDate                 = "date"
	LogicalTimeMillis           = "time-millis"
	LogicalTimeMicros           = "time-micros"
	LogicalTimestampMillis      = "timestamp-millis"
	LogicalTimestampMicros      = "timestamp-micros"
	LogicalTimestampNanos       = "timestamp-nanos"
	LogicalLocalTimestampMillis = "local-timestamp-millis"
	LogicalLocalTimestampMicros = "local-timestamp-micros"
	LogicalLocalTimestampNanos  = "local-timestamp-nanos"
)

// logicalTypes says which kinds a logical type may stand on.
var logicalTypes = map[string][]Kind{
	LogicalDecimal:              {KindBytes, KindFixed},
	LogicalUUID:                 {KindString},
	LogicalDate:                 {KindInt},
	LogicalTimeMillis:           {KindInt},
	LogicalTimeMicros:           {KindLong},
	LogicalTimestampMillis:      {KindLong},
	LogicalTimestampMicros:      {KindLong},
	LogicalTimestampNanos:       {KindLong},
	LogicalLocalTimestampMillis: {KindLong},
	LogicalLocalTimestampMicros: {KindLong},
	LogicalLocalTimestampNanos:  {KindLong},
}

// Schema is an Avro schema, parsed: a tree, in which a name that is used again
// is the same node again. It is not changed once it is made.
type Schema struct {
	Kind      Kind
	Logical   string   // logical type, empty for none
	Precision int      // of a decimal: digits in all
	Scale     int      // of a decimal: digits after the point
	Name      string   // full name of a record, enum or fixed: "orders.Item"
	Aliases   []string // full names
	Doc       string

	Fields   []*SchemaField // of a record
	Symbols  []string       // of an enum
	Default  string         // of an enum: what a reader takes for a symbol that it does not know
	Size     int            // of a fixed, in bytes
	Items    *Schema        // of an array, or the values of a map
	Branches []*Schema      // of a union

	Props map[string]any // attributes that Avro does not know, such as "outcome"
}

// SchemaField is a field of a record.
type SchemaField struct {
	Name    string
	Aliases []string
	Doc     string
	Type    *Schema
	Default json.RawMessage // JSON of the default, nil for none
	IsKey   bool            // "key": true
	PII     bool            // "pii": true, personal data
	Props   map[string]any  // all attributes that Avro does not know

	misplaced []string // attributes that belong into its type
}

// Nullable takes a union with null apart: the other branch, and which of the
// two comes first. Its last result is false for everything else.
func (s *Schema) Nullable() (inner *Schema, nullFirst, ok bool) {
	if s.Kind != KindUnion || len(s.Branches) != 2 {
		return nil, false, false
	}
	switch {
	case s.Branches[0].Kind == KindNull && s.Branches[1].Kind != KindNull:
		return s.Branches[1], true, true
	case s.Branches[1].Kind == KindNull && s.Branches[0].Kind != KindNull:
		return s.Branches[0], false, true
	}
	return nil, false, false
}

// Field finds a record's field by name, nil if there is none.
func (s *Schema) Field(name string) *SchemaField {
	for _, f := range s.Fields {
		if f.Name == name {
			return f
		}
	}
	return nil
}

// Key is the field marked as key, nil if there is none.
func (s *Schema) Key() *SchemaField {
	for _, f := range s.Fields {
		if f.IsKey {
			return f
		}
	}
	return nil
}

// SimpleName is the name without its namespace.
func (s *Schema) SimpleName() string { return simpleName(s.Name) }

func simpleName(full string) string { return full[strings.LastIndexByte(full, '.')+1:] }

// String describes the type in a few words, for messages: "timestamp-millis",
// "array of orders.Item".
func (s *Schema) String() string {
	switch {
	case s.Kind == "":
		return "an unknown type"
	case s.Logical == LogicalDecimal:
		return "decimal(" + itoa(s.Precision) + "," + itoa(s.Scale) + ")"
	case s.Logical != "":
		return s.Logical
	case s.Name != "":
		return string(s.Kind) + " " + s.Name
	case s.Kind == KindArray || s.Kind == KindMap:
		return string(s.Kind) + " of " + s.Items.String()
	case s.Kind == KindUnion:
		names := make([]string, len(s.Branches))
		for i, b := range s.Branches {
			names[i] = b.String()
		}
		return "union of " + strings.Join(names, ", ")
	}
	return string(s.Kind)
}

// minSize is the least number of bytes that a value takes, 0 where a value may
// take none. It does not count past 1 what lies behind a union or a block.
func (s *Schema) minSize() int {
	switch s.Kind {
	case KindNull:
		return 0
	case KindFloat:
		return 4
	case KindDouble:
		return 8
	case KindFixed:
		return s.Size
	case KindRecord:
		n := 0
		for _, f := range s.Fields {
			n += f.Type.minSize()
		}
		return n
	}
	return 1
}

// walk calls f for s and for everything in it, once for each place where it is
// used, with the path of fields that leads there.
func (s *Schema) walk(path string, f func(path string, s *Schema)) {
	f(path, s)
	switch s.Kind {
	case KindRecord:
		for _, field := range s.Fields {
			field.Type.walk(join(path, field.Name), f)
		}
	case KindArray, KindMap:
		s.Items.walk(path+"[]", f)
	case KindUnion:
		for _, b := range s.Branches {
			b.walk(path, f)
		}
	}
}

func join(path, name string) string {
	if path == "" {
		return name
	}
	return path + "." + name
}

// Named lists the records, enums and fixeds in s, each once, those that are
// used by others before them; s itself is not among them.
func (s *Schema) Named() []*Schema {
	var out []*Schema
	var visit func(*Schema)
	visit = func(n *Schema) {
		if n != s && slices.Contains(out, n) {
			return
		}
		for _, f := range n.Fields {
			visit(f.Type)
		}
		if n.Items != nil {
			visit(n.Items)
		}
		for _, b := range n.Branches {
			visit(b)
		}
		if n != s && n.Name != "" {
			out = append(out, n)
		}
	}
	visit(s)
	return out
}
