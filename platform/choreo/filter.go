package choreo

import (
	"errors"
	"fmt"
	"math"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"github.com/troupedev/troupe/platform/contract"
	"github.com/troupedev/troupe/platform/event"
)

// Filter is a list of terms that must all hold. It is data, so that the
// topology can show it and Validate can check it against the schema.
type Filter []Term

// Term is one condition on one field, or a list of alternatives of which one
// must hold.
type Term struct {
	Field     string    `json:"field,omitempty"` // path within the event, in the schema's names: "channel", "address.city"
	Condition Condition `json:"condition,omitzero"`
	Either    []Filter  `json:"either,omitempty"`
}

// Condition is what a field must satisfy. [Is], [IsNot], [Prefix], [Suffix],
// [Between] and [Exists] make it.
type Condition struct {
	Op   string `json:"op"`
	Args []any  `json:"args,omitempty"` // string, int64, float64 or bool
}

// value are the types that a field can be compared with.
type value interface {
	~string | ~int | ~int32 | ~int64 | ~float64 | ~bool
}

// Operators of a [Condition].
const (
	opIs      = "is"
	opIsNot   = "is not"
	opPrefix  = "prefix"
	opSuffix  = "suffix"
	opBetween = "between"
	opExists  = "exists"
)

// Where lets through events whose field satisfies c. Several must all hold.
func Where(field string, c Condition) Option {
	return Option{func(o *options) { o.filter = append(o.filter, Term{Field: field, Condition: c}) }}
}

// Either lets through events for which at least one of the alternatives, each
// made by [Where], holds.
func Either(alternatives ...Option) Option {
	return Option{func(o *options) {
		var term Term
		for _, a := range alternatives {
			inner := collect([]Option{a})
			if len(inner.filter) == 0 {
				o.faults = append(o.faults, fmt.Errorf("an alternative of Either is not a Where"))
				continue
			}
			term.Either = append(term.Either, inner.filter)
		}
		o.filter = append(o.filter, term)
	}}
}

// Is holds for any of the values.
func Is[T value](anyOf ...T) Condition { return Condition{opIs, plain(anyOf)} }

// IsNot holds for everything but the values, also for null.
func IsNot[T value](noneOf ...T) Condition { return Condition{opIsNot, plain(noneOf)} }

// Prefix holds for texts that begin with one of the given.
func Prefix(anyOf ...string) Condition { return Condition{opPrefix, plain(anyOf)} }

// Suffix holds for texts that end with one of the given.
func Suffix(anyOf ...string) Condition { return Condition{opSuffix, plain(anyOf)} }

// Between holds from low to high, both included.
func Between[T ~int | ~int32 | ~int64 | ~float64](low, high T) Condition {
	return Condition{opBetween, plain([]T{low, high})}
}

// Exists holds for a field that is not null.
func Exists() Condition { return Condition{Op: opExists} }

func plain[T value](values []T) []any {
	out := make([]any, len(values))
	for i, v := range values {
		out[i], _ = normal(reflect.ValueOf(v))
	}
	return out
}

// normal is v as one of string, int64, float64 and bool, or nil where it is
// none of them; false for null.
func normal(v reflect.Value) (any, bool) {
	for v.Kind() == reflect.Pointer {
		if v.IsNil() {
			return nil, false
		}
		v = v.Elem()
	}
	switch v.Kind() {
	case reflect.String:
		return v.String(), true
	case reflect.Int, reflect.Int32, reflect.Int64:
		return v.Int(), true
	case reflect.Float32:
		return widened(float32(v.Float())), true
	case reflect.Float64:
		return v.Float(), true
	case reflect.Bool:
		return v.Bool(), true
	}
	return nil, true // a record, a time, a list: there, but nothing to compare with
}

// widened is the float64 that reads the same as f: a plain conversion would
// make 1.1 something that no filter says.
func widened(f float32) float64 {
	d, _ := strconv.ParseFloat(strconv.FormatFloat(float64(f), 'g', -1, 32), 64) // what was formatted can be parsed
	return d
}

// String is the filter as a person would write it, for the topology's pages.
func (f Filter) String() string {
	terms := make([]string, len(f))
	for i, t := range f {
		terms[i] = t.String()
	}
	return strings.Join(terms, " and ")
}

// isEither tells alternatives from a condition on a field.
func (t Term) isEither() bool { return t.Field == "" }

// String is the term as a person would write it.
func (t Term) String() string {
	if !t.isEither() {
		return t.Field + " " + t.Condition.String()
	}
	alternatives := make([]string, len(t.Either))
	for i, f := range t.Either {
		alternatives[i] = f.String()
	}
	return "(" + strings.Join(alternatives, " or ") + ")"
}

// String is the condition as a person would write it.
func (c Condition) String() string {
	args := make([]string, len(c.Args))
	for i, a := range c.Args {
		args[i] = fmt.Sprint(a)
		if s, ok := a.(string); ok && (s == "" || strings.ContainsAny(s, " ,")) {
			args[i] = strconv.Quote(s)
		}
	}
	switch {
	case c.Op == opExists:
		return c.Op
	case c.Op == opBetween:
		return c.Op + " " + strings.Join(args, " and ")
	default:
		return c.Op + " " + strings.Join(args, " or ")
	}
}

// fits says why the filter cannot work on events of type t, if so.
func (f Filter) fits(t *event.Type) (faults []error) {
	for _, term := range f {
		if term.isEither() {
			if len(term.Either) == 0 {
				faults = append(faults, errors.New("a filter without a field, or an Either without alternatives"))
			}
			for _, inner := range term.Either {
				faults = append(faults, inner.fits(t)...)
			}
			continue
		}
		field, err := contract.FieldOf(t, term.Field)
		if err == nil {
			err = term.Condition.fits(field)
		}
		if err != nil {
			faults = append(faults, fmt.Errorf("filter on %s: %w", term.Field, err))
		}
	}
	return faults
}

func (c Condition) fits(field contract.Field) error {
	if c.Op == opExists {
		if !field.Nullable {
			return fmt.Errorf("%s is never null, so it always exists", field.Kind)
		}
		return nil
	}
	if field.Logical != "" && field.Logical != "uuid" {
		return fmt.Errorf("a %s cannot be compared, only asked whether it exists", field.Logical)
	}
	for _, a := range c.Args {
		if err := fitsKind(a, field); err != nil {
			return err
		}
	}
	return c.holdsForSome(field)
}

// fitsKind says why a field cannot be compared with arg, if so.
func fitsKind(arg any, field contract.Field) error {
	ok := false
	switch arg := arg.(type) {
	case string:
		ok = field.Kind == contract.KindString || field.Kind == contract.KindEnum
	case int64:
		ok = field.Kind == contract.KindLong || field.Kind == contract.KindInt && int64(int32(arg)) == arg
	case float64:
		ok = (field.Kind == contract.KindFloat || field.Kind == contract.KindDouble) && !math.IsNaN(arg)
	case bool:
		ok = field.Kind == contract.KindBoolean
	}
	if !ok {
		return fmt.Errorf("a %s cannot be compared with %v (%T)", field.Kind, arg, arg)
	}
	return nil
}

// holdsForSome says why the condition can never hold, if so.
func (c Condition) holdsForSome(field contract.Field) error {
	switch c.Op {
	case opIs, opIsNot, opPrefix, opSuffix:
		if len(c.Args) == 0 {
			return fmt.Errorf("%q needs a value", c.Op)
		}
		return c.symbolsFit(field)
	case opBetween:
		if len(c.Args) != 2 || !c.between(c.Args[0]) {
			return fmt.Errorf("nothing is between %v", c.Args)
		}
		return nil
	}
	return fmt.Errorf("there is no condition %q", c.Op)
}

// symbolsFit says which value no symbol of an enum can match.
func (c Condition) symbolsFit(field contract.Field) error {
	for _, a := range c.Args {
		one := Condition{Op: c.Op, Args: []any{a}}
		if c.Op == opIsNot {
			one.Op = opIs // it excludes what is not there
		}
		matches := func(symbol string) bool { return one.holds(symbol, true) }
		if field.Kind == contract.KindEnum && !slices.ContainsFunc(field.Symbols, matches) {
			return fmt.Errorf("%q is not among its symbols %v", a, field.Symbols)
		}
	}
	return nil
}

// Accepts reports whether the reaction's filter lets e through.
func (r *Reaction) Accepts(e event.Event) bool {
	return len(r.options.filter) == 0 || r.options.filter.accepts(reflect.ValueOf(e))
}

func (f Filter) accepts(e reflect.Value) bool {
	for _, t := range f {
		if !t.accepts(e) {
			return false
		}
	}
	return true
}

func (t Term) accepts(e reflect.Value) bool {
	if !t.isEither() {
		v, exists := lookup(e, t.Field)
		return t.Condition.holds(v, exists)
	}
	for _, f := range t.Either {
		if f.accepts(e) {
			return true
		}
	}
	return false
}

// lookup finds a field by its path of schema names, which generated structs
// carry as avro tags.
func lookup(v reflect.Value, path string) (any, bool) {
	for name := range strings.SplitSeq(path, ".") {
		for v.Kind() == reflect.Pointer {
			if v.IsNil() {
				return nil, false
			}
			v = v.Elem()
		}
		if v.Kind() != reflect.Struct {
			return nil, false
		}
		i, ok := fieldIndex(v.Type(), name)
		if !ok {
			return nil, false
		}
		v = v.Field(i)
	}
	return normal(v)
}

func fieldIndex(t reflect.Type, name string) (int, bool) {
	for i := range t.NumField() {
		if t.Field(i).Tag.Get("avro") == name {
			return i, true
		}
	}
	return 0, false
}

func (c Condition) holds(v any, exists bool) bool {
	switch c.Op {
	case opExists:
		return exists
	case opIsNot:
		return !exists || !c.any(v, func(v, arg any) bool { return v == arg })
	case opIs:
		return exists && c.any(v, func(v, arg any) bool { return v == arg })
	case opPrefix:
		return exists && c.any(v, func(v, arg any) bool { return hasAffix(strings.HasPrefix, v, arg) })
	case opSuffix:
		return exists && c.any(v, func(v, arg any) bool { return hasAffix(strings.HasSuffix, v, arg) })
	case opBetween:
		return exists && c.between(v)
	}
	return false
}

func (c Condition) any(v any, match func(v, arg any) bool) bool {
	for _, arg := range c.Args {
		if match(v, arg) {
			return true
		}
	}
	return false
}

func hasAffix(has func(s, affix string) bool, v, arg any) bool {
	s, ok := v.(string)
	affix, also := arg.(string)
	return ok && also && has(s, affix)
}

func (c Condition) between(v any) bool {
	switch v := v.(type) {
	case int64:
		return within(v, c.Args)
	case float64:
		return within(v, c.Args)
	}
	return false
}

func within[T int64 | float64](v T, ends []any) bool {
	low, isLow := ends[0].(T)
	high, isHigh := ends[1].(T)
	return isLow && isHigh && low <= v && v <= high
}
