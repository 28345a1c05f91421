package main

import (
	"encoding/json"
	"fmt"
	"time"

	"github.com/troupedev/troupe/platform/contract"
)

// coder writes the statements that encode and decode a value.
type coder struct {
	types   *typeSet
	imports imports
}

// plain are the kinds that Writer and Reader treat alike, by the method's name.
var plain = map[contract.Kind]string{
	contract.KindBoolean: "Bool", contract.KindInt: "Int", contract.KindLong: "Long", contract.KindFloat: "Float",
	contract.KindDouble: "Double", contract.KindBytes: "Bytes",
}

// write is the statement that writes value, which is a field of that name.
func (c *coder) write(field, value string, s *contract.Schema, fallback json.RawMessage) string {
	if inner, nullFirst, ok := s.Nullable(); ok {
		present := value
		if !nilable(inner) && inner.Kind != contract.KindFixed {
			present = "*" + value
		}
		return fmt.Sprintf("if w.%s(%s != nil) {\n%s\n}", optional(nullFirst), value, c.write(field, present, inner, nil))
	}
	if s.Logical != "" {
		return c.writeLogical(field, value, s)
	}
	switch s.Kind {
	case contract.KindString:
		return fmt.Sprintf("w.String(%q, %s)", field, value)
	case contract.KindFixed:
		return fmt.Sprintf("w.Fixed(%s[:])", value)
	case contract.KindEnum:
		return fmt.Sprintf("w.Enum(%q, %s, %s)", field, enumVar(c.types.bySpec[s]), c.enumText(value, s, fallback))
	case contract.KindRecord:
		return fmt.Sprintf("write%s(w, %s)", c.types.bySpec[s].goName, value)
	case contract.KindArray:
		return fmt.Sprintf("contract.WriteSlice(w, %s, %s)", value, c.writer(field, s.Items))
	case contract.KindMap:
		return fmt.Sprintf("contract.WriteMap(w, %q, %s, %s)", field, value, c.writer(field, s.Items))
	}
	return fmt.Sprintf("w.%s(%s)", plain[s.Kind], value)
}

func optional(nullFirst bool) string {
	if nullFirst {
		return "Optional"
	}
	return "OptionalLast"
}

func (c *coder) writeLogical(field, value string, s *contract.Schema) string {
	switch s.Logical {
	case contract.LogicalDecimal:
		if s.Kind == contract.KindFixed {
			return fmt.Sprintf("w.FixedDecimal(%q, %d, %d, %d, %s)", field, s.Size, s.Precision, s.Scale, value)
		}
		return fmt.Sprintf("w.Decimal(%q, %d, %d, %s)", field, s.Precision, s.Scale, value)
	case contract.LogicalUUID, contract.LogicalDate, contract.LogicalTimeMillis, contract.LogicalTimeMicros:
		return fmt.Sprintf("w.%s(%q, %s)", logicalMethods[s.Logical], field, value)
	}
	c.imports["time"] = true
	return fmt.Sprintf("w.%s(%q, %s, %s)", logicalMethods[s.Logical], field, unit(s), value)
}

var logicalMethods = map[string]string{
	contract.LogicalUUID:                 "UUID",
	contract.LogicalDate:                 "Date",
	contract.LogicalTimeMillis:           "TimeMillis",
	contract.LogicalTimeMicros:           "TimeMicros",
	contract.LogicalTimestampMillis:      "Timestamp",
	contract.LogicalTimestampMicros:      "Timestamp",
	contract.LogicalTimestampNanos:       "Timestamp",
	contract.LogicalLocalTimestampMillis: "LocalTimestamp",
	contract.LogicalLocalTimestampMicros: "LocalTimestamp",
	contract.LogicalLocalTimestampNanos:  "LocalTimestamp",
}

func unit(s *contract.Schema) string {
	switch s.Unit() {
	case time.Millisecond:
		return "time.Millisecond"
	case time.Microsecond:
		return "time.Microsecond"
	}
	return "time.Nanosecond"
}

// enumText is an enum's value as text, where the empty one is the default.
func (c *coder) enumText(value string, s *contract.Schema, fallback json.RawMessage) string {
	symbol := s.Default
	if fallback != nil {
		_ = json.Unmarshal(fallback, &symbol) // it was checked to be a symbol
	}
	t := c.types.bySpec[s]
	for i, known := range s.Symbols {
		if known == symbol {
			c.imports["cmp"] = true
			return fmt.Sprintf("string(cmp.Or(%s, %s))", value, t.symbols[i])
		}
	}
	return fmt.Sprintf("string(%s)", value)
}

func enumVar(t *namedType) string { return "enum" + t.goName }

// writer is a function that writes one item.
func (c *coder) writer(field string, s *contract.Schema) string {
	switch method := plain[s.Kind]; {
	case s.Logical == "" && method != "":
		return "(*contract.Writer)." + method
	case s.Kind == contract.KindRecord:
		return "write" + c.types.bySpec[s].goName
	}
	goType := c.types.goType(s)
	c.imports.uses(goType)
	statement := c.write(field, "v", s, nil)
	if short(statement) {
		return fmt.Sprintf("func(w *contract.Writer, v %s) { %s }", goType, statement)
	}
	return fmt.Sprintf("func(w *contract.Writer, v %s) {\n%s\n}", goType, statement)
}

func short(statement string) bool {
	for _, c := range statement {
		if c == '\n' {
			return false
		}
	}
	return true
}

// read is the statement that reads a value into target, which is zero.
func (c *coder) read(target string, s *contract.Schema) string {
	inner, nullFirst, ok := s.Nullable()
	if !ok {
		if s.Kind == contract.KindFixed && s.Logical == "" {
			return fmt.Sprintf("r.Fixed(%s[:])", target)
		}
		return target + " = " + c.value(s)
	}
	var body string
	switch {
	case inner.Kind == contract.KindFixed && inner.Logical == "":
		body = fmt.Sprintf("%s = new(%s)\nr.Fixed(%s[:])", target, c.types.goType(inner), target)
	case inner.Logical == contract.LogicalDecimal:
		body = target + " = " + c.value(inner)
	case nilable(inner):
		body = fmt.Sprintf("if %s = %s; %s == nil {\n%s = %s{} // empty, not null\n}",
			target, c.value(inner), target, target, c.types.goType(inner))
	default:
		body = fmt.Sprintf("%s = new(%s)", target, c.value(inner))
	}
	return fmt.Sprintf("if r.%s() {\n%s\n}", optional(nullFirst), body)
}

// value is the expression that reads a value.
func (c *coder) value(s *contract.Schema) string {
	if s.Logical != "" {
		return c.logicalValue(s)
	}
	switch s.Kind {
	case contract.KindString:
		return "r.String()"
	case contract.KindEnum:
		t := c.types.bySpec[s]
		return fmt.Sprintf("%s(r.Enum(%s))", t.goName, enumVar(t))
	case contract.KindRecord:
		return fmt.Sprintf("read%s(r)", c.types.bySpec[s].goName)
	case contract.KindArray:
		return fmt.Sprintf("contract.ReadSlice(r, %s)", c.reader(s.Items))
	case contract.KindMap:
		return fmt.Sprintf("contract.ReadMap(r, %s)", c.reader(s.Items))
	}
	return fmt.Sprintf("r.%s()", plain[s.Kind])
}

func (c *coder) logicalValue(s *contract.Schema) string {
	switch s.Logical {
	case contract.LogicalDecimal:
		if s.Kind == contract.KindFixed {
			return fmt.Sprintf("r.FixedDecimal(%d, %d, %d)", s.Size, s.Precision, s.Scale)
		}
		return fmt.Sprintf("r.Decimal(%d, %d)", s.Precision, s.Scale)
	case contract.LogicalUUID:
		return "r.String()"
	case contract.LogicalDate, contract.LogicalTimeMillis, contract.LogicalTimeMicros:
		return fmt.Sprintf("r.%s()", logicalMethods[s.Logical])
	}
	c.imports["time"] = true
	return fmt.Sprintf("r.%s(%s)", logicalMethods[s.Logical], unit(s))
}

// reader is a function that reads one item.
func (c *coder) reader(s *contract.Schema) string {
	_, _, nullable := s.Nullable()
	switch method := plain[s.Kind]; {
	case s.Logical == contract.LogicalUUID, s.Kind == contract.KindString:
		return "(*contract.Reader).String"
	case s.Logical == contract.LogicalDate, s.Logical == contract.LogicalTimeMillis, s.Logical == contract.LogicalTimeMicros:
		return "(*contract.Reader)." + logicalMethods[s.Logical]
	case s.Logical == "" && method != "":
		return "(*contract.Reader)." + method
	case s.Kind == contract.KindRecord:
		return "read" + c.types.bySpec[s].goName
	case nullable || s.Kind == contract.KindFixed && s.Logical == "":
		goType := c.types.goType(s)
		c.imports.uses(goType)
		return fmt.Sprintf("func(r *contract.Reader) (v %s) {\n%s\nreturn v\n}", goType, c.read("v", s))
	}
	goType := c.types.goType(s)
	c.imports.uses(goType)
	return fmt.Sprintf("func(r *contract.Reader) %s { return %s }", goType, c.value(s))
}
