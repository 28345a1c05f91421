package contract

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"maps"
	"strconv"
)

// Canonical is the schema's text in one form: no whitespace, attributes in
// order, names in full. Docs are left out, so that mending one is no new
// version; defaults, aliases, logical types and attributes that Avro does not
// know are kept, unlike in Avro's own canonical form, since they change what a
// reader sees.
func (s *Schema) Canonical() string { return s.text(map[*Schema]bool{}) }

// text writes the schema; a named type in written is a reference. A nil map
// writes every type out, each time.
func (s *Schema) text(written map[*Schema]bool) string {
	b, err := json.Marshal(s.tree(written)) // sorts an object's keys
	if err != nil {
		panic(err) // the tree was made of decoded JSON
	}
	return string(b)
}

func (s *Schema) tree(written map[*Schema]bool) any {
	if s.Name != "" && written != nil {
		if written[s] {
			return s.Name
		}
		written[s] = true
	}
	m := maps.Clone(s.Props)
	if m == nil {
		m = map[string]any{}
	}
	s.attributes(m)
	switch s.Kind {
	case KindRecord:
		fields := make([]any, len(s.Fields))
		for i, f := range s.Fields {
			fields[i] = f.tree(written)
		}
		m["fields"] = fields
	case KindEnum:
		m["symbols"] = s.Symbols
	case KindFixed:
		m["size"] = s.Size
	case KindArray:
		m["items"] = s.Items.tree(written)
	case KindMap:
		m["values"] = s.Items.tree(written)
	case KindUnion:
		branches := make([]any, len(s.Branches))
		for i, b := range s.Branches {
			branches[i] = b.tree(written)
		}
		return branches
	}
	if len(m) == 0 {
		return string(s.Kind)
	}
	m["type"] = string(s.Kind)
	return m
}

// attributes adds what is not the same for all schemas of a kind.
func (s *Schema) attributes(m map[string]any) {
	if s.Name != "" {
		m["name"] = s.Name
	}
	if len(s.Aliases) > 0 {
		m["aliases"] = s.Aliases
	}
	if s.Logical != "" {
		m["logicalType"] = s.Logical
	}
	if s.Logical == LogicalDecimal {
		m["precision"], m["scale"] = s.Precision, s.Scale
	}
	if s.Default != "" {
		m["default"] = s.Default
	}
}

func (f *SchemaField) tree(written map[*Schema]bool) any {
	m := maps.Clone(f.Props)
	if m == nil {
		m = map[string]any{}
	}
	m["name"], m["type"] = f.Name, f.Type.tree(written)
	if len(f.Aliases) > 0 {
		m["aliases"] = f.Aliases
	}
	if f.Default != nil {
		m["default"] = f.Default
	}
	return m
}

// Same reports whether two schemas say the same, docs aside.
func (s *Schema) Same(other *Schema) bool { return s.text(nil) == other.text(nil) }

// Fingerprint is what the lock remembers of a version: the first 16 bytes, in
// hex, of the SHA-256 over the subject and the canonical schema.
func Fingerprint(subject string, s *Schema) string {
	sum := digest(subject, s)
	return hex.EncodeToString(sum[:16])
}

// IDOf is the schema id on the wire: 31 bits, never 0, of the same hash, so
// that branches and teams need no counter. Two schemas of one id are refused
// when they are locked.
func IDOf(subject string, s *Schema) int32 {
	sum := digest(subject, s)
	for i := 0; i+4 <= len(sum); i += 4 {
		if id := int32(binary.BigEndian.Uint32(sum[i:]) & 0x7fffffff); id != 0 {
			return id
		}
	}
	return 1
}

func digest(subject string, s *Schema) [sha256.Size]byte {
	return sha256.Sum256([]byte(subject + "\n" + s.Canonical()))
}

func itoa(n int) string { return strconv.Itoa(n) }
