package contract

import "github.com/troupedev/troupe/platform/event"

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
	panic("h1")
}
