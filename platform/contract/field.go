package contract

import (
	"fmt"
	"strings"

	"github.com/troupedev/troupe/platform/event"
)

// Kind is the kind of an Avro type, as the specification names it.
type Kind string

// Kinds of Avro types.
const (
	KindNull    Kind = "null"
	KindBoolean Kind = "boolean"
	KindInt     Kind = "int"
	KindLong    Kind = "long"
	KindFloat   Kind = "float"
	KindDouble  Kind = "double"
	KindBytes   Kind = "bytes"
	KindString  Kind = "string"
	KindRecord  Kind = "record"
	KindEnum    Kind = "enum"
	KindArray   Kind = "array"
	KindMap     Kind = "map"
	KindFixed   Kind = "fixed"
	KindUnion   Kind = "union"
)

// Field is what a schema says of one field, a union with null taken apart.
type Field struct {
	Kind     Kind
	Logical  string   // logical type, if any: "timestamp-millis"
	Nullable bool     // the field is a union with null
	Symbols  []string // of an enum
}

// Has reports whether symbol is one of an enum's symbols.
func (f Field) Has(symbol string) bool {
	for _, s := range f.Symbols {
		if s == symbol {
			return true
		}
	}
	return false
}

// FieldOf finds a field of an event by its path: "channel", "address.city".
// The error says which part of the path the schema lacks, and what it has.
func FieldOf(t *event.Type, path string) (Field, error) {
	at := SchemaOf(t)
	out := Field{Kind: KindRecord}
	for name := range strings.SplitSeq(path, ".") {
		if at.Kind != KindRecord {
			return Field{}, fmt.Errorf("%s has no field %s: what comes before %q is of type %s", t, path, name, at)
		}
		f := at.Field(name)
		if f == nil {
			return Field{}, fmt.Errorf("%s has no field %s: there is no %q among %s", t, path, name, fieldNames(at))
		}
		at = f.Type
		if inner, _, ok := at.Nullable(); ok {
			at, out.Nullable = inner, true // null anywhere on the way is null at its end
		}
	}
	out.Kind, out.Logical, out.Symbols = at.Kind, at.Logical, at.Symbols
	return out, nil
}

func fieldNames(s *Schema) string {
	names := make([]string, len(s.Fields))
	for i, f := range s.Fields {
		names[i] = f.Name
	}
	return strings.Join(names, ", ")
}
