package contract_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/hamba/avro/v2"

	"github.com/troupedev/troupe/platform/contract"
	"github.com/troupedev/troupe/platform/contract/internal/sample"
	"github.com/troupedev/troupe/platform/event"
)

// versions are the types of an event d.E with these schemas.
func versions(t testing.TB, schemas ...string) []*event.Type {
	t.Helper()
	types := make([]event.Type, len(schemas))
	for i, s := range schemas {
		types[i] = event.Type{Domain: "d", Name: "E", Version: i + 1, Schema: s, ID: contract.IDOf("d.E", parse(t, s))}
	}
	return event.Versions(types...)
}

func reads(t testing.TB, reader, writer string) []contract.Violation {
	t.Helper()
	r, w := &contract.Event{Domain: new(contract.Domain), Name: "E"}, parse(t, writer)
	return (&contract.Version{Event: r, Number: 2, Schema: parse(t, reader)}).Reads(&contract.Version{Event: r, Number: 1, Schema: w})
}

func TestNewerReadsOlder(t *testing.T) {
	var got sample.Evolved
	if err := contract.Decode(encode(t, evolvedV1()), got.EventType(), &got); err != nil {
		t.Fatal(err)
	}
	price := decimal("-0.01") // "\u00ff" is one byte, -1 in two's complement
	want := sample.Evolved{
		Urgent: true, Limit: new(int64(9)), ID: "e-1", State: sample.Closed, Tags: map[string]string{"origin": "v1"},
		Lines: []sample.Line{{SKU: "mug", Price: price, Count: 2}, {SKU: "lamp", Price: price, Count: 1}},
	}
	if len(got.Lines) != 2 || got.Lines[0].Price.Cmp(price) != 0 {
		t.Fatalf("lines %+v", got.Lines)
	}
	got.Lines = want.Lines
	if diff := differ(got, want); diff != "" {
		t.Errorf("%+v %s", got, diff)
	}
}

func TestOlderReadsNewer(t *testing.T) {
	e := sample.Evolved{
		Urgent: true, ID: "e-2", State: sample.Waiting, Tags: map[string]string{"a": "b"},
		Lines: []sample.Line{{SKU: "mug", Price: decimal("1.5"), Count: 3}},
	}
	var got sample.EvolvedV1
	if err := contract.Decode(encode(t, e), got.EventType(), &got); err != nil {
		t.Fatal(err)
	}
	want := sample.EvolvedV1{
		ID: "e-2", Note: "none", State: sample.StateV1Open, // waiting is unknown, and open the default
		Lines: []sample.LineV1{{SKU: "mug", Count: 3}},
	}
	if diff := differ(got, want); diff != "" {
		t.Errorf("%+v %s", got, diff)
	}
}

func TestPromotions(t *testing.T) {
	e := sample.RelaxedV1{ID: 1, A: -2, B: 1 << 40, C: 0.5, D: "d", E: []byte("é"), F: "f", Old: "o", I: 7}
	var got sample.Relaxed
	if err := contract.Decode(encode(t, e), got.EventType(), &got); err != nil {
		t.Fatal(err)
	}
	want := sample.Relaxed{ID: 1, A: -2, B: 1 << 40, C: 0.5, D: []byte("d"), E: "é", F: new("f"), Renamed: "o", I: 7}
	if diff := differ(got, want); diff != "" {
		t.Errorf("%+v %s", got, diff)
	}
	e.E = []byte{0xff}
	if err := contract.Decode(encode(t, e), got.EventType(), &got); !errors.Is(err, contract.ErrUTF8) {
		t.Errorf("bytes that are no text: %v", err)
	}
}

func TestUnreadableVersions(t *testing.T) {
	var old sample.RelaxedV1
	err := contract.Decode(encode(t, sample.Relaxed{}), old.EventType(), &old)
	unreadable, ok := errors.AsType[*contract.UnreadableError](err)
	if !ok || len(unreadable.Violations) == 0 || unreadable.Wrote.Version != 2 || unreadable.Reads.Version != 1 {
		t.Fatalf("error %v", err)
	}
	if !strings.Contains(err.Error(), "sample.Relaxed/v2 cannot be read as sample.Relaxed/v1: field a") {
		t.Errorf("error %q", err)
	}
}

func TestRetiredVersionsAreStillRead(t *testing.T) {
	family := sample.Retiring{}.EventType().Family()
	var got sample.Retiring
	if err := contract.Decode(value(family[0].ID, 2, 'r'), got.EventType(), &got); err != nil || got.ID != "r" || got.Size != 3 {
		t.Errorf("%+v, %v", got, err)
	}
}

// plainly reads a value of the first schema as the second, as JSON.
func plainly(t *testing.T, writer, reader, json string) (string, error) {
	t.Helper()
	types := versions(t, writer, reader)
	v, err := contract.EncodeJSON(types[0], []byte(json))
	if err != nil {
		t.Fatal(err)
	}
	out := &copied{}
	if err := contract.Decode(v, types[1], out); err != nil {
		return "", err
	}
	got, err := contract.DecodeJSON(types[1], value(types[1].ID, out.body...))
	return string(got), err
}

// copied is a Decoder that keeps the bytes that it is handed.
type copied struct{ body []byte }

func (c *copied) DecodeAvro(r *contract.Reader) error {
	c.body = contract.Drain(r)
	return r.Err()
}

func TestResolution(t *testing.T) {
	str := func(typ, more string) string { return record(`{"name":"f","doc":".","type":` + typ + more + `}`) }
	enum := func(symbols, more string) string {
		return `{"type":"enum","name":"X","doc":".","symbols":[` + symbols + `]` + more + `}`
	}
	for name, c := range map[string]struct{ writer, reader, in, want string }{
		"a union out of a plain type":   {str(`"int"`, ""), str(`["null","int"]`, ""), `{"f":1}`, `{"f":1}`},
		"a union out of a promoted one": {str(`"int"`, ""), str(`["null","long"]`, ""), `{"f":1}`, `{"f":1}`},
		"a plain type out of a union":   {str(`["null","int"]`, ""), str(`"int"`, ""), `{"f":1}`, `{"f":1}`},
		"a union in another order":      {str(`["null","int"]`, ""), str(`["int","null"]`, ""), `{"f":null}`, `{"f":null}`},
		"a field by its alias":          {str(`"int"`, ""), record(`{"name":"g","aliases":["f"],"type":"int","doc":"."}`), `{"f":1}`, `{"g":1}`},
		"a record by its alias": {
			str(`{"type":"record","name":"R","doc":".","fields":[{"name":"a","type":"int","doc":"."}]}`, ""),
			str(`{"type":"record","name":"S","aliases":["R"],"doc":".","fields":[{"name":"a","type":"int","doc":"."}]}`, ""), `{"f":{"a":1}}`, `{"f":{"a":1}}`},
		"an unknown symbol as the default": {str(enum(`"a","b"`, ""), ""), str(enum(`"a","c"`, `,"default":"c"`), ""), `{"f":"b"}`, `{"f":"c"}`},
		"symbols in another order":         {str(enum(`"a","b"`, ""), ""), str(enum(`"b","a"`, ""), ""), `{"f":"b"}`, `{"f":"b"}`},
		"an array of promoted items":       {str(`{"type":"array","items":"int"}`, ""), str(`{"type":"array","items":"double"}`, ""), `{"f":[1,2]}`, `{"f":[1,2]}`},
		"a map of promoted values":         {str(`{"type":"map","values":"float"}`, ""), str(`{"type":"map","values":"double"}`, ""), `{"f":{"a":0.5}}`, `{"f":{"a":0.5}}`},
		"a fixed":                          {str(`{"type":"fixed","name":"X","size":2}`, ""), str(`["null",{"type":"fixed","name":"X","size":2}]`, ""), `{"f":"AAE="}`, `{"f":"AAE="}`},
		"a default of a record":            {record(keyField), record(keyField + `,{"name":"r","doc":".","default":{"a":2},"type":{"type":"record","name":"R","doc":".","fields":[{"name":"a","type":"int","doc":"."},{"name":"b","type":"boolean","doc":".","default":true}]}}`), `{"id":"x"}`, `{"id":"x","r":{"a":2,"b":true}}`},
		"defaults of arrays and maps":      {record(keyField), record(`{"name":"a","doc":".","type":{"type":"array","items":"long"},"default":[1,2]},` + keyField + `,{"name":"m","doc":".","type":{"type":"map","values":"string"},"default":{"k":"v"}}`), `{"id":"x"}`, `{"a":[1,2],"id":"x","m":{"k":"v"}}`},
		"fields of all kinds skipped": {
			record(`{"name":"a","type":"boolean","doc":"."},{"name":"b","type":"double","doc":"."},{"name":"c","type":{"type":"array","items":{"type":"map","values":["null","bytes"]}},"doc":"."},{"name":"d","type":"float","doc":"."},{"name":"e","type":{"type":"fixed","name":"X","size":3},"doc":"."},` + keyField),
			record(keyField), `{"a":true,"b":1,"c":[{"x":null,"y":"AA=="}],"d":1,"e":"AAAA","id":"k"}`, `{"id":"k"}`},
	} {
		t.Run(name, func(t *testing.T) {
			if got, err := plainly(t, c.writer, c.reader, c.in); got != c.want || err != nil {
				t.Errorf("got %s, %v, want %s", got, err, c.want)
			}
		})
	}
}

func TestResolutionRefusesTheValueAlone(t *testing.T) {
	nullable, plain := typed(`["null","int"]`), typed(`"int"`)
	if _, err := plainly(t, nullable, plain, `{"id":"x","f":null}`); err == nil || !strings.Contains(err.Error(), "field f: null cannot be read as int") {
		t.Errorf("null as int: %v", err)
	}
	old, now := typed(`{"type":"enum","name":"X","symbols":["a","b"]}`), typed(`{"type":"enum","name":"X","symbols":["a"]}`)
	if _, err := plainly(t, old, now, `{"id":"x","f":"a"}`); err != nil {
		t.Errorf("a symbol that both have: %v", err)
	}
	_, err := plainly(t, old, now, `{"id":"x","f":"b"}`)
	if unreadable, ok := errors.AsType[*contract.UnreadableError](err); !ok || !strings.Contains(unreadable.Detail, "no symbol b") {
		t.Errorf("a symbol that the reader lacks: %v", err)
	}
}

// TestRulesAgreeWithHamba compares the rules of compatibility with those of
// hamba/avro, each asked with a checker of its own.
func TestRulesAgreeWithHamba(t *testing.T) {
	enum := func(symbols, more string) string {
		return typed(`{"type":"enum","name":"X","doc":".","symbols":[` + symbols + `]` + more + `}`)
	}
	nested := func(fields string) string {
		return typed(`{"type":"array","items":{"type":"record","name":"R","doc":".","fields":[` + fields + `]}}`)
	}
	for name, c := range map[string]struct {
		reader, writer string
		field          string        // of the violation
		rule           contract.Rule // empty where the reader can read
		ours           bool          // a rule that hamba/avro does not have
	}{
		"the same":                       {typed(`"int"`), typed(`"int"`), "", "", false},
		"int to long":                    {typed(`"long"`), typed(`"int"`), "", "", false},
		"long to int":                    {typed(`"int"`), typed(`"long"`), "f", contract.RuleType, false},
		"int to double":                  {typed(`"double"`), typed(`"int"`), "", "", false},
		"double to float":                {typed(`"float"`), typed(`"double"`), "f", contract.RuleType, false},
		"float to double":                {typed(`"double"`), typed(`"float"`), "", "", false},
		"long to float":                  {typed(`"float"`), typed(`"long"`), "", "", false},
		"string to bytes":                {typed(`"bytes"`), typed(`"string"`), "", "", false},
		"bytes to string":                {typed(`"string"`), typed(`"bytes"`), "", "", false},
		"int to string":                  {typed(`"string"`), typed(`"int"`), "f", contract.RuleType, false},
		"boolean to int":                 {typed(`"int"`), typed(`"boolean"`), "f", contract.RuleType, false},
		"a field with a default":         {record(keyField + `,{"name":"n","type":"int","doc":".","default":0}`), record(keyField), "", "", false},
		"a field without":                {record(keyField + `,{"name":"n","type":"int","doc":"."}`), record(keyField), "n", contract.RuleMissingDefault, false},
		"a field dropped":                {record(keyField), record(keyField + `,{"name":"n","type":"int","doc":"."}`), "", "", false},
		"a field renamed with an alias":  {record(`{"name":"x","aliases":["id"],"type":"string","doc":"."}`), record(keyField), "", "", false},
		"a field renamed without":        {record(`{"name":"x","type":"string","doc":"."}`), record(keyField), "x", contract.RuleMissingDefault, false},
		"a symbol more":                  {enum(`"a","b"`, ""), enum(`"a"`, ""), "", "", false},
		"a symbol less":                  {enum(`"a"`, ""), enum(`"a","b"`, ""), "f", contract.RuleEnumSymbols, false},
		"a symbol less, with a default":  {enum(`"a"`, `,"default":"a"`), enum(`"a","b"`, ""), "", "", false},
		"a plain type as a union":        {typed(`["null","int"]`), typed(`"int"`), "", "", false},
		"a union as a plain type":        {typed(`"int"`), typed(`["null","int"]`), "f", contract.RuleType, false},
		"a union in another order":       {typed(`["int","null"]`), typed(`["null","int"]`), "", "", false},
		"a union of another type":        {typed(`["null","string"]`), typed(`["null","boolean"]`), "f", contract.RuleUnionBranch, false},
		"a type that a union lacks":      {typed(`["null","string"]`), typed(`"int"`), "f", contract.RuleUnionBranch, false},
		"a fixed of another size":        {typed(`{"type":"fixed","name":"X","size":2}`), typed(`{"type":"fixed","name":"X","size":3}`), "f", contract.RuleFixedSize, false},
		"a fixed of another name":        {typed(`{"type":"fixed","name":"X","size":2}`), typed(`{"type":"fixed","name":"Y","size":2}`), "f", contract.RuleName, false},
		"an array of another type":       {typed(`{"type":"array","items":"int"}`), typed(`{"type":"array","items":"string"}`), "f[]", contract.RuleType, false},
		"a map of another type":          {typed(`{"type":"map","values":"int"}`), typed(`{"type":"map","values":"string"}`), "f[]", contract.RuleType, false},
		"an array as a map":              {typed(`{"type":"map","values":"int"}`), typed(`{"type":"array","items":"int"}`), "f", contract.RuleType, false},
		"deep in an array":               {nested(`{"name":"a","type":"int","doc":"."},{"name":"b","type":"int","doc":"."}`), nested(`{"name":"a","type":"int","doc":"."}`), "f[].b", contract.RuleMissingDefault, false},
		"milliseconds as microseconds":   {typed(`{"type":"long","logicalType":"timestamp-micros"}`), typed(`{"type":"long","logicalType":"timestamp-millis"}`), "f", contract.RuleLogicalType, true},
		"a decimal of another scale":     {typed(`{"type":"bytes","logicalType":"decimal","precision":4,"scale":1}`), typed(`{"type":"bytes","logicalType":"decimal","precision":4,"scale":2}`), "f", contract.RuleLogicalType, true},
		"a long that becomes a moment":   {typed(`{"type":"long","logicalType":"timestamp-micros"}`), typed(`"long"`), "f", contract.RuleLogicalType, true},
		"a record of another name":       {strings.ReplaceAll(nested(`{"name":"a","type":"int","doc":"."}`), `"R"`, `"S"`), nested(`{"name":"a","type":"int","doc":"."}`), "f[]", contract.RuleName, false},
		"a nested type with another doc": {nested(`{"name":"a","type":"int","doc":"!"}`), nested(`{"name":"a","type":"int","doc":"."}`), "", "", false},
	} {
		t.Run(name, func(t *testing.T) {
			found := reads(t, c.reader, c.writer)
			switch {
			case c.rule == "" && len(found) > 0:
				t.Errorf("violations %v, want none", found)
			case c.rule != "" && (len(found) != 1 || found[0].Rule != c.rule || found[0].Field != c.field):
				t.Errorf("violations %v, want %s of field %s", found, c.rule, c.field)
			}
			theirs := avro.NewSchemaCompatibility().Compatible(parsed(t, c.reader), parsed(t, c.writer))
			if !c.ours && (theirs == nil) != (c.rule == "") {
				t.Errorf("hamba/avro says %v", theirs)
			}
		})
	}
}

func TestViolationsFollowTheRule(t *testing.T) {
	files := map[string]string{
		"d/domain.yaml": domainYAML,
		"d/E/v1.avsc":   record(keyField + `,{"name":"a","type":"int","doc":"."}`),
		"d/E/v2.avsc":   record(keyField + `,{"name":"a","type":"int","doc":".","default":0}`),
		"d/E/v3.avsc":   record(keyField), // version 1 cannot read it, version 2 can
	}
	for rule, want := range map[string]int{
		"FULL_TRANSITIVE": 1, "FULL": 0, "BACKWARD_TRANSITIVE": 0, "BACKWARD": 0, "FORWARD_TRANSITIVE": 1, "FORWARD": 0, "NONE": 0,
	} {
		t.Run(rule, func(t *testing.T) {
			files["d/domain.yaml"] = domainYAML + "events: {E: {compatibility: " + rule + ", reason: a test}}\n"
			folder, err := contract.Load(folderOf(files), "schemas")
			if err != nil {
				t.Fatal(err)
			}
			found := folder.Find("d.E").Violations()
			if len(found) != want {
				t.Fatalf("%v, want %d violations", found, want)
			}
			for _, v := range found {
				if v.Reader != 1 || v.Writer != 3 || v.Field != "a" || v.Rule != contract.RuleMissingDefault || !v.Always {
					t.Errorf("violation %+v", v)
				}
			}
		})
	}
}
