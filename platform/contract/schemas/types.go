package main

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/troupedev/troupe/platform/contract"
)

// namedType is a record or enum that is generated once for a whole domain.
type namedType struct {
	goName  string
	schema  *contract.Schema
	symbols []string // Go names of an enum's symbols
	older   bool     // only older versions use it
}

// typeSet is the records and enums of a domain.
type typeSet struct {
	types  []*namedType
	bySpec map[*contract.Schema]*namedType
}

// namedTypes finds the records and enums that a domain's events use. The
// newest versions share theirs by name; where an older version defines a name
// otherwise, its type gets the version as a suffix.
func namedTypes(d *contract.Domain) (*typeSet, error) {
	set := &typeSet{bySpec: map[*contract.Schema]*namedType{}}
	taken := map[string]string{} // Go name: what has it
	var faults []error
	for _, e := range d.Events {
		for _, v := range e.Versions {
			if !v.IsRetired() {
				taken[v.GoName()] = v.String()
			}
		}
	}
	for _, older := range []bool{false, true} {
		for _, e := range d.Events {
			for _, v := range e.Versions {
				if v.IsRetired() || older == (v == e.Newest()) {
					continue
				}
				for _, s := range v.Schema.Named() {
					if err := set.add(s, v, older, taken); err != nil {
						faults = append(faults, fmt.Errorf("%s: %w", v.Path, err))
					}
				}
			}
		}
	}
	slices.SortFunc(set.types, func(a, b *namedType) int { return strings.Compare(a.goName, b.goName) })
	faults = append(faults, set.nameSymbols(d, taken)...)
	return set, errors.Join(faults...)
}

func (set *typeSet) add(s *contract.Schema, v *contract.Version, older bool, taken map[string]string) error {
	if s.Kind == contract.KindFixed {
		return nil // [N]byte needs no name
	}
	for _, t := range set.types {
		if t.schema.Name == s.Name && t.schema.Same(s) {
			set.bySpec[s] = t
			return nil
		}
	}
	name := s.SimpleName()
	if older && taken[name] != "" {
		name = fmt.Sprintf("%sV%d", s.SimpleName(), v.Number)
	}
	if older && taken[name] != "" {
		name = v.GoName() + s.SimpleName()
	}
	if by := taken[name]; by != "" {
		return fmt.Errorf("type %s would be the Go type %s, which %s is already", s.Name, name, by)
	}
	taken[name] = s.Name
	t := &namedType{goName: name, schema: s, older: older}
	set.types = append(set.types, t)
	set.bySpec[s] = t
	return nil
}

// nameSymbols names the constants of enums: after the symbol alone where that
// is free and no other enum has it too, else with the type's name in front.
func (set *typeSet) nameSymbols(d *contract.Domain, taken map[string]string) (faults []error) {
	uses := map[string]int{}
	for _, t := range set.types {
		for _, symbol := range t.schema.Symbols {
			if !t.older {
				uses[goName(symbol)]++
			}
		}
	}
	for _, t := range set.types {
		for _, symbol := range t.schema.Symbols {
			name := goName(symbol)
			if t.older || uses[name] > 1 || taken[name] != "" {
				name = t.goName + name
			}
			if by := taken[name]; by != "" {
				faults = append(faults, fmt.Errorf("%s: symbol %s of %s would be the Go name %s, which %s is already",
					d.Topic.Name, symbol, t.schema.Name, name, by))
			}
			taken[name] = "symbol " + symbol
			t.symbols = append(t.symbols, name)
		}
	}
	return faults
}

// goFields names the fields of a record, each of another name.
func goFields(s *contract.Schema, name func(string) string) ([]string, error) {
	out := make([]string, len(s.Fields))
	seen := map[string]string{}
	for i, f := range s.Fields {
		out[i] = name(f.Name)
		if other, ok := seen[out[i]]; ok {
			return nil, fmt.Errorf("fields %s and %s of %s would both be the Go field %s", other, f.Name, s.Name, out[i])
		}
		seen[out[i]] = f.Name
	}
	return out, nil
}

// goType is the Go type of a schema.
func (set *typeSet) goType(s *contract.Schema) string {
	if inner, _, ok := s.Nullable(); ok {
		if nilable(inner) {
			return set.goType(inner)
		}
		return "*" + set.goType(inner)
	}
	switch s.Logical {
	case contract.LogicalDecimal:
		return "*big.Rat"
	case contract.LogicalTimeMillis, contract.LogicalTimeMicros:
		return "time.Duration"
	case contract.LogicalUUID, "":
	default:
		return "time.Time"
	}
	switch s.Kind {
	case contract.KindRecord, contract.KindEnum:
		return set.bySpec[s].goName
	case contract.KindFixed:
		return fmt.Sprintf("[%d]byte", s.Size)
	case contract.KindArray:
		return "[]" + set.goType(s.Items)
	case contract.KindMap:
		return "map[string]" + set.goType(s.Items)
	}
	return goPrimitives[s.Kind]
}

var goPrimitives = map[contract.Kind]string{
	contract.KindBoolean: "bool", contract.KindInt: "int32", contract.KindLong: "int64", contract.KindFloat: "float32",
	contract.KindDouble: "float64", contract.KindBytes: "[]byte", contract.KindString: "string",
}

// nilable reports whether nil can stand for null in the Go type as it is.
func nilable(s *contract.Schema) bool {
	switch s.Kind {
	case contract.KindBytes, contract.KindArray, contract.KindMap:
		return true
	}
	return s.Logical == contract.LogicalDecimal
}

// imports are the packages that a generated file uses.
type imports map[string]bool

// uses notes what the Go types of s need.
func (i imports) uses(goType string) {
	if strings.Contains(goType, "time.") {
		i["time"] = true
	}
	if strings.Contains(goType, "big.") {
		i["math/big"] = true
	}
}

func (i imports) String() string {
	if len(i) == 1 {
		for path := range i {
			return fmt.Sprintf("import %q\n\n", path)
		}
	}
	var std, own strings.Builder
	for _, path := range slices.Sorted(maps.Keys(i)) {
		b := &std
		if strings.Contains(path, ".") {
			b = &own
		}
		fmt.Fprintf(b, "\t%q\n", path)
	}
	gap := ""
	if std.Len() > 0 && own.Len() > 0 {
		gap = "\n"
	}
	return "import (\n" + std.String() + gap + own.String() + ")\n\n"
}
