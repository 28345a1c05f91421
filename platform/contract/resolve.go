package contract

import (
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/troupedev/troupe/platform/event"
)

// Rule names what makes one schema unable to read another, in the words of
// Apache Avro's own checker.
type Rule string

// Rules.
const (
	RuleType           Rule = "TYPE_MISMATCH"
	RuleName           Rule = "NAME_MISMATCH"
	RuleFixedSize      Rule = "FIXED_SIZE_MISMATCH"
	RuleEnumSymbols    Rule = "MISSING_ENUM_SYMBOLS"
	RuleMissingDefault Rule = "READER_FIELD_MISSING_DEFAULT_VALUE"
	RuleUnionBranch    Rule = "MISSING_UNION_BRANCH"
	RuleLogicalType    Rule = "LOGICAL_TYPE_MISMATCH" // ours: Avro reads milliseconds as microseconds without a word
)

// difference is one reason why what a writer wrote cannot be read by a reader.
type difference struct {
	field  string // path, empty for the event as a whole
	rule   Rule
	detail string
}

// step reads one value as its writer wrote it, and writes it as its reader
// wants it.
type step func(*transcoder)

// transcoder runs steps over a message.
type transcoder struct {
	r       *Reader
	w       *Writer
	refused string // what this value has that the reader cannot take
}

func (t *transcoder) refuse(format string, args ...any) {
	if !t.r.failed() {
		t.refused = fmt.Sprintf(format, args...)
		t.r.fail(ErrMalformed)
	}
}

// plan is how values of one version are read as another.
type plan struct {
	run         step // nil where no value can be
	differences []difference
}

// plans caches a plan for each pair of types: resolving two schemas costs more
// than a thousand messages.
var plans sync.Map

func planOf(wrote, reads *event.Type) *plan {
	key := [2]*event.Type{wrote, reads}
	if p, ok := plans.Load(key); ok {
		return p.(*plan)
	}
	p := compile(SchemaOf(wrote), SchemaOf(reads))
	plans.Store(key, p)
	return p
}

// decodeResolved reads a body of another version.
func decodeResolved(body []byte, wrote, reads *event.Type, into Decoder) error {
	p := planOf(wrote, reads)
	if p.run == nil {
		return &UnreadableError{Wrote: wrote, Reads: reads, Violations: violations(wrote, reads, p)}
	}
	w := newWriter()
	defer w.release()
	r := readerOf(body)
	t := transcoder{r: &r, w: w}
	p.run(&t)
	err := r.end()
	switch {
	case t.refused != "":
		return &UnreadableError{Wrote: wrote, Reads: reads, Detail: t.refused}
	case err != nil:
		return fmt.Errorf("decode %s: %w", wrote, err)
	case w.err != nil:
		return fmt.Errorf("read %s as %s: %w", wrote, reads, w.err)
	}
	return decodeBody(w.out, reads, into)
}

// compile finds out how what w wrote is read as r, by Avro's rules of
// resolution, and what stands in the way.
func compile(w, r *Schema) *plan {
	c := compiler{}
	run := c.step("", w, r)
	return &plan{run, c.differences}
}

type compiler struct{ differences []difference }

func (c *compiler) differ(field string, rule Rule, format string, args ...any) {
	c.differences = append(c.differences, difference{field, rule, fmt.Sprintf(format, args...)})
}

// step compiles one value; nil means that no value can be read.
func (c *compiler) step(path string, w, r *Schema) step {
	switch {
	case w.Kind == KindUnion:
		return c.fromUnion(path, w, r)
	case r.Kind == KindUnion:
		return c.intoUnion(path, w, r)
	case w.Kind != r.Kind && !promotes(w.Kind, r.Kind):
		c.differ(path, RuleType, "%s cannot be read as %s", w, r)
		return nil
	case w.Logical != r.Logical || w.Precision != r.Precision || w.Scale != r.Scale:
		c.differ(path, RuleLogicalType, "%s cannot be read as %s", w, r)
		return nil
	case w.Name != "" && !sameName(w, r):
		c.differ(path, RuleName, "%s cannot be read as %s, which has no alias for it", w.Name, r.Name)
		return nil
	}
	switch w.Kind {
	case KindRecord:
		return c.record(path, w, r)
	case KindEnum:
		return c.enum(path, w, r)
	case KindArray, KindMap:
		return c.block(path, w, r)
	case KindFixed:
		if w.Size != r.Size {
			c.differ(path, RuleFixedSize, "%d bytes cannot be read as %d", w.Size, r.Size)
			return nil
		}
		return func(t *transcoder) { t.w.raw(t.r.take(int64(w.Size))) }
	}
	return primitive(w.Kind, r.Kind)
}

// promotes reports whether Avro reads a value of the kind w as one of the kind r.
func promotes(w, r Kind) bool {
	switch w {
	case KindInt:
		return r == KindLong || r == KindFloat || r == KindDouble
	case KindLong:
		return r == KindFloat || r == KindDouble
	case KindFloat:
		return r == KindDouble
	case KindString:
		return r == KindBytes
	case KindBytes:
		return r == KindString
	}
	return false
}

// sameName compares names without their namespace, as Avro does, and the
// reader's aliases.
func sameName(w, r *Schema) bool {
	return w.SimpleName() == r.SimpleName() ||
		slices.ContainsFunc(r.Aliases, func(alias string) bool { return alias == w.Name })
}

func primitive(w, r Kind) step {
	switch w {
	case KindNull:
		return func(*transcoder) {}
	case KindBoolean:
		return func(t *transcoder) { t.w.Bool(t.r.Bool()) }
	case KindFloat:
		if r == KindDouble {
			return func(t *transcoder) { t.w.Double(float64(t.r.Float())) }
		}
		return func(t *transcoder) { t.w.Float(t.r.Float()) }
	case KindDouble:
		return func(t *transcoder) { t.w.Double(t.r.Double()) }
	case KindBytes, KindString:
		if r == KindString {
			return func(t *transcoder) { t.w.Bytes(t.r.utf8()) }
		}
		return func(t *transcoder) { t.w.Bytes(t.r.take(t.r.Long())) }
	}
	return number(w, r)
}

func number(w, r Kind) step {
	read := (*Reader).Long
	if w == KindInt {
		read = func(r *Reader) int64 { return int64(r.Int()) }
	}
	switch r {
	case KindFloat:
		return func(t *transcoder) { t.w.Float(float32(read(t.r))) }
	case KindDouble:
		return func(t *transcoder) { t.w.Double(float64(read(t.r))) }
	}
	return func(t *transcoder) { t.w.Long(read(t.r)) }
}

// fromUnion reads each of the writer's branches as r, whether r is a union too
// or not. A branch that cannot be is refused when a value has it.
func (c *compiler) fromUnion(path string, w, r *Schema) step {
	steps := make([]step, len(w.Branches))
	readable := false
	for i, b := range w.Branches {
		steps[i] = c.step(path, b, r)
		readable = readable || steps[i] != nil
	}
	if !readable {
		return nil
	}
	return func(t *transcoder) {
		i := t.r.Long()
		switch {
		case t.r.failed():
		case i < 0 || i >= int64(len(steps)):
			t.r.fail(fmt.Errorf("%w: no branch %d in a union of %d", ErrMalformed, i, len(steps)))
		case steps[i] == nil:
			t.refuse("field %s: %s cannot be read as %s", path, w.Branches[i], r)
		default:
			steps[i](t)
		}
	}
}

// intoUnion takes the reader's branch of the same type, or else the first that
// the value can be promoted to.
func (c *compiler) intoUnion(path string, w, r *Schema) step {
	at := slices.IndexFunc(r.Branches, func(b *Schema) bool {
		return b.Kind == w.Kind && (w.Name == "" || sameName(w, b))
	})
	if at < 0 {
		at = slices.IndexFunc(r.Branches, func(b *Schema) bool { return promotes(w.Kind, b.Kind) })
	}
	if at < 0 {
		c.differ(path, RuleUnionBranch, "%s cannot be read as %s", w, r)
		return nil
	}
	inner := c.step(path, w, r.Branches[at])
	if inner == nil {
		return nil
	}
	return func(t *transcoder) {
		t.w.Long(int64(at))
		inner(t)
	}
}

func (c *compiler) enum(path string, w, r *Schema) step {
	indices := make([]int, len(w.Symbols))
	var missing []string
	for i, symbol := range w.Symbols {
		indices[i] = slices.Index(r.Symbols, symbol)
		if indices[i] < 0 && r.Default != "" {
			indices[i] = slices.Index(r.Symbols, r.Default)
		}
		if indices[i] < 0 {
			missing = append(missing, symbol)
		}
	}
	if len(missing) > 0 {
		c.differ(path, RuleEnumSymbols, "%s lacks the symbol %s, and has no default for it", r.Name, strings.Join(missing, ", "))
	}
	return func(t *transcoder) {
		i := t.r.Long()
		switch {
		case t.r.failed():
		case i < 0 || i >= int64(len(indices)):
			t.r.fail(fmt.Errorf("%w: %d of %s", ErrEnumIndex, i, w.Name))
		case indices[i] < 0:
			t.refuse("field %s: %s has no symbol %s", path, r.Name, w.Symbols[i])
		default:
			t.w.Long(int64(indices[i]))
		}
	}
}

func (c *compiler) block(path string, w, r *Schema) step {
	item := c.step(path+"[]", w.Items, r.Items)
	if item == nil {
		return nil
	}
	keyed := w.Kind == KindMap
	return func(t *transcoder) {
		for n := t.r.block(); n > 0; n = t.r.block() {
			t.w.Long(int64(n))
			for ; n > 0 && !t.r.failed(); n-- {
				if keyed {
					t.w.Bytes(t.r.utf8())
				}
				item(t)
				if len(t.w.out) > MaxSize { // defaults may make much of little
					t.r.fail(ErrTooLarge)
				}
			}
		}
		t.w.Long(0)
	}
}
