package contract

import (
	"errors"
	"fmt"
	"go/token"
	"maps"
	"path"
	"regexp"
	"slices"
	"strings"
)

// Check judges what was loaded: names, docs, keys, types, versions, the locks,
// and that versions can read each other. Its error joins all faults, each
// naming the file, and the field where there is one.
func (f *Folder) Check() error {
	c := checker{ids: map[int32]*Version{}}
	for _, d := range f.Domains {
		c.domain(d)
	}
	return errors.Join(c.faults...)
}

// CheckLocked finds versions that are still drafts.
func (f *Folder) CheckLocked() error {
	var faults []error
	for _, d := range f.Domains {
		for _, e := range d.all() {
			for _, v := range slices.Concat(e.Versions, e.broken) {
				if !v.Locked() {
					faults = append(faults, fmt.Errorf("%s: %s is a draft; once it is final, run go tool schemas lock", d.Topic.Name, v))
				}
			}
		}
	}
	return errors.Join(faults...)
}

type checker struct {
	ids    map[int32]*Version
	faults []error
}

func (c *checker) fault(file, format string, args ...any) {
	c.faults = append(c.faults, fmt.Errorf("%s: "+format, append([]any{file}, args...)...))
}

var (
	domainName = regexp.MustCompile(`^[a-z][a-z0-9]*$`)
	typeName   = regexp.MustCompile(`^[A-Z][A-Za-z0-9]*$`)
	// reserved cannot be domains: the first three are topics of the platform's
	// own, the others mean something to Go as a folder's name.
	reserved = []string{"retry", "dlq", "troupe", "internal", "vendor", "testdata", "main"}
)

func (c *checker) domain(d *Domain) {
	file := path.Join(d.folder.Name, d.Topic.Name)
	switch name := d.Topic.Name; {
	case !domainName.MatchString(name):
		c.fault(file, "a domain's name has small letters and digits only")
	case slices.Contains(reserved, name) || token.IsKeyword(name):
		c.fault(file, "no domain can be called %s: the name is reserved", name)
	}
	for _, e := range d.all() {
		c.event(e)
	}
	c.sharedTypes(d)
	c.faults = append(c.faults, d.checkLock()...)
}

func (c *checker) event(e *Event) {
	folder := path.Join(e.Domain.folder.Name, e.Domain.Topic.Name, e.Name)
	if !typeName.MatchString(e.Name) {
		c.fault(folder, "an event's name is of the form OrderPlaced")
	}
	for i, number := range e.numbers() {
		if number != i+1 {
			c.fault(folder, "v%d.avsc is missing: versions count from 1 without a gap", i+1)
			break
		}
	}
	for _, v := range e.Versions {
		c.id(v)
	}
	for _, v := range slices.Concat(e.Versions, e.broken) {
		if v.Schema != nil {
			c.version(v)
		}
	}
	for _, violation := range e.Violations() {
		c.fault(e.Domain.Topic.Name, "v%d of %s cannot read v%d: %s; an incompatible change is a new event",
			violation.Reader, e.Name, violation.Writer, violation.reason())
	}
}

func (c *checker) id(v *Version) {
	if other := c.ids[v.ID]; other != nil {
		c.fault(v.Path, "its id %d is that of %s too; change an attribute of the draft", v.ID, other.Path)
	}
	c.ids[v.ID] = v
}

// version judges a schema, or what could be made out of one that does not
// parse: a type of no kind has been found fault with.
func (c *checker) version(v *Version) {
	s, want := v.Schema, v.Event.Subject()
	if s.Kind != KindRecord {
		if s.Kind != "" {
			c.fault(v.Path, "an event must be a record, not %s", s)
		}
		return
	}
	if s.Name != want {
		c.fault(v.Path, "its name is %s, and its folder says %s", s.Name, want)
	}
	c.key(v)
	c.attributes(v)
	if s.Doc == "" {
		c.fault(v.Path, "doc of the record is missing")
	}
	s.walk("", func(at string, s *Schema) { c.schema(v, at, s) })
}

func (c *checker) key(v *Version) {
	var keys []string
	for _, f := range v.Schema.Fields {
		if !f.IsKey {
			continue
		}
		keys = append(keys, f.Name)
		switch t := f.Type; {
		case t.Kind == "", t.Kind == KindString, t.Kind == KindEnum, t.Kind == KindInt && t.Logical == "", t.Kind == KindLong && t.Logical == "":
		default:
			c.fault(v.Path, "field %s: a key must be a string, uuid, int, long or enum, not %s", f.Name, t)
		}
	}
	c.keyBefore(v)
	switch len(keys) {
	case 0:
		c.fault(v.Path, `key is missing: mark one field with "key": true`)
	case 1:
	default:
		c.fault(v.Path, "only one field can be the key, not %s", strings.Join(keys, ", "))
	}
}

// keyBefore compares a version's key with that of the version before: another
// one would put the same things into other partitions, out of their order.
func (c *checker) keyBefore(v *Version) {
	previous := v.Event.Domain.version(v.Event.Name, v.Number-1)
	if previous == nil || previous.Schema.Key() == nil || v.Schema.Key() == nil {
		return
	}
	was, is := previous.Schema.Key(), v.Schema.Key()
	if is.Name != was.Name && !slices.Contains(is.Aliases, was.Name) {
		c.fault(v.Path, "field %s: the key was %s in v%d; with another key the order of events is lost", is.Name, was.Name, previous.Number)
	}
}

// unknown finds attributes that nobody knows: a misspelt one would be locked
// with the version, without a word. Those of other tools have a dot or a dash
// in their names: "connect.name", "x-team".
func (c *checker) unknown(path, at string, props map[string]any, known ...string) {
	for _, name := range slices.Sorted(maps.Keys(props)) {
		if !slices.Contains(known, name) && !strings.ContainsAny(name, ".-") {
			c.fault(path, "%sthere is no attribute %s; there are %s, and other tools' with a dot or dash in their names", at, name, strings.Join(known, " and "))
		}
	}
}

// attributes checks those of Troupe's own.
func (c *checker) attributes(v *Version) {
	c.unknown(v.Path, "", v.Schema.Props, "outcome", "reply")
	if outcome, ok := v.Schema.Props["outcome"]; ok && outcome != "success" && outcome != "failure" {
		c.fault(v.Path, `outcome must be "success" or "failure", not %s`, show(outcome))
	}
	if reply, ok := v.Schema.Props["reply"]; ok {
		name, _ := reply.(string)
		if !slices.ContainsFunc(v.Event.Domain.Events, func(e *Event) bool { return e.Name == name }) {
			c.fault(v.Path, "reply must be the name of an event of this domain, not %s", show(reply))
		}
	}
}

// misplaced belong to a field's type: on the field itself Avro passes them
// over without a word.
var misplaced = []string{"logicalType", "precision", "scale", "symbols", "items", "values", "size", "fields"}

func (c *checker) schema(v *Version, at string, s *Schema) {
	switch s.Kind {
	case KindUnion:
		if _, _, ok := s.Nullable(); !ok {
			c.fault(v.Path, "field %s: a %s is not supported: only one type and null can be a union", at, s)
		}
	case KindNull:
		if !strings.Contains(at, ".") && v.Schema.Field(at) != nil && v.Schema.Field(at).Type.Kind == KindNull {
			c.fault(v.Path, "field %s: a null alone says nothing", at)
		}
	case KindArray, KindMap:
		if s.Kind == KindArray && s.Items.minSize() == 0 {
			c.fault(v.Path, "field %s: an item of %s may take no bytes, so nothing would bound their number", at, s)
		}
	case KindRecord, KindEnum, KindFixed:
		c.named(v, at, s)
	}
	for _, f := range s.Fields {
		c.field(v, join(at, f.Name), f, s == v.Schema)
	}
}

func (c *checker) field(v *Version, at string, f *SchemaField, top bool) {
	if f.Doc == "" {
		c.fault(v.Path, "field %s: doc is missing", at)
	}
	if f.IsKey && !top {
		c.fault(v.Path, "field %s: only a field of the event itself can be the key", at)
	}
	c.unknown(v.Path, "field "+at+": ", f.Props, "key", "pii", "order")
	for _, name := range []string{"key", "pii"} {
		if value, ok := f.Props[name]; ok && value != true && value != false {
			c.fault(v.Path, "field %s: %s must be true or false, not %s", at, name, show(value))
		}
	}
	for _, name := range f.misplaced {
		c.fault(v.Path, `field %s: %s belongs into its type, as in "type": {"type": "long", "logicalType": "timestamp-millis"}`, at, name)
	}
}

func (c *checker) named(v *Version, at string, s *Schema) {
	if s == v.Schema {
		return
	}
	domain := v.Event.Domain.Topic.Name
	if s.Name != domain+"."+s.SimpleName() {
		c.fault(v.Path, "field %s: %s must be of the namespace %s", at, s.Name, domain)
	}
	if !typeName.MatchString(s.SimpleName()) {
		c.fault(v.Path, "field %s: the name of %s must be of the form OrderLine", at, s)
	}
	if s.Doc == "" && s.Kind != KindFixed { // Avro has no doc for a fixed
		c.fault(v.Path, "field %s: doc of %s is missing", at, s)
	}
	if slices.ContainsFunc(v.Event.Domain.all(), func(e *Event) bool { return e.Name == s.SimpleName() }) {
		c.fault(v.Path, "field %s: %s has the name of an event", at, s)
	}
}

// sharedTypes finds types that newest versions define differently under one
// name: they are one Go type.
func (c *checker) sharedTypes(d *Domain) {
	type definition struct {
		schema *Schema
		path   string
	}
	first := map[string]definition{}
	for _, e := range d.Events {
		v := e.Newest()
		for _, s := range v.Schema.Named() {
			known, ok := first[s.Name]
			if !ok {
				first[s.Name] = definition{s, v.Path}
			} else if !known.schema.Same(s) {
				c.fault(v.Path, "%s is defined otherwise in %s: events of one domain share their types", s, known.path)
			}
		}
	}
}
