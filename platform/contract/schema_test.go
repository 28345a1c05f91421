package contract_test

import (
	"encoding/binary"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/troupedev/troupe/platform/contract"
)

const (
	domainYAML = "owner: us\ndoc: Things.\n"
	keyField   = `{"name":"id","type":"string","doc":"Key.","key":true}`
)

// record is the schema of an event d.E with these fields.
func record(fields string) string {
	return `{"type":"record","name":"E","namespace":"d","doc":"An event.","fields":[` + fields + `]}`
}

// typed is an event with a field of that type.
func typed(typ string) string { return record(keyField + `,{"name":"f","doc":".","type":` + typ + `}`) }

func parse(t testing.TB, text string) *contract.Schema {
	t.Helper()
	s, err := contract.Parse([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func appendLong(b []byte, v int64) []byte { return binary.AppendVarint(b, v) }

func folderOf(files map[string]string) fstest.MapFS {
	fsys := fstest.MapFS{}
	for name, text := range files {
		fsys[name] = &fstest.MapFile{Data: []byte(text)}
	}
	return fsys
}

// faults loads and checks a folder.
func faults(t testing.TB, files map[string]string) string {
	t.Helper()
	folder, err := contract.Load(folderOf(files), "schemas")
	var out []string
	for _, e := range []error{err, folder.Check()} {
		if e != nil {
			out = append(out, e.Error())
		}
	}
	return strings.Join(out, "\n")
}

func TestParseRefuses(t *testing.T) {
	for name, c := range map[string]struct{ text, want string }{
		"what is not JSON":            {"{\n \"type\": record }", "line 2"},
		"text behind the schema":      {`"int" "long"`, "after the schema"},
		"a number":                    {`3`, "not a schema"},
		"an unknown type":             {typed(`"strin"`), "strin is not defined"},
		"a record without fields":     {`{"type":"record","name":"E"}`, "no list of fields"},
		"an enum without symbols":     {typed(`{"type":"enum","name":"X","symbols":[]}`), "no symbols"},
		"an enum's symbol twice":      {typed(`{"type":"enum","name":"X","symbols":["a","a"]}`), "a"},
		"an enum's default":           {typed(`{"type":"enum","name":"X","symbols":["a"],"default":"b"}`), "b"},
		"a fixed without a size":      {typed(`{"type":"fixed","name":"X"}`), "between 1 and 65536 bytes, not null"},
		"a fixed of no bytes":         {typed(`{"type":"fixed","name":"X","size":0}`), "between 1"},
		"a fixed too large":           {typed(`{"type":"fixed","name":"X","size":1000000000}`), "between 1"},
		"a duration":                  {typed(`{"type":"fixed","name":"X","size":12,"logicalType":"duration"}`), "duration"},
		"a logical type unheard of":   {typed(`{"type":"long","logicalType":"moon"}`), "moon"},
		"a logical type misplaced":    {typed(`{"type":"string","logicalType":"date"}`), "cannot stand on string"},
		"a decimal without precision": {typed(`{"type":"bytes","logicalType":"decimal"}`), "precision"},
		"a decimal of too much scale": {typed(`{"type":"bytes","logicalType":"decimal","precision":2,"scale":3}`), "scale"},
		"a decimal without end":       {typed(`{"type":"bytes","logicalType":"decimal","precision":100000}`), "at most"},
		"a decimal too large for its fixed": {typed(`{"type":"fixed","name":"X","size":2,"logicalType":"decimal","precision":5}`),
			"does not fit"},
		"a default of another type":   {record(`{"name":"a","type":"int","doc":".","default":"x"}`), "a"},
		"a default with a fraction":   {record(`{"name":"a","type":"int","doc":".","default":1.5}`), "whole number"},
		"a default out of range":      {record(`{"name":"a","type":"int","doc":".","default":3000000000}`), "32 bits"},
		"a default of no symbol":      {record(`{"name":"a","type":{"type":"enum","name":"X","symbols":["s"]},"doc":".","default":"t"}`), "a"},
		"a default of second branch":  {record(`{"name":"a","type":["null","int"],"doc":".","default":1}`), "a"},
		"a default that lacks fields": {record(`{"name":"a","doc":".","default":{},"type":{"type":"record","name":"R","fields":[{"name":"b","type":"int"}]}}`), "b"},
		"a default of a wrong size":   {record(`{"name":"a","type":{"type":"fixed","name":"X","size":2},"doc":".","default":"abc"}`), "a"},
		"a field twice":               {record(`{"name":"a","type":"int","doc":"."},{"name":"a","type":"int","doc":"."}`), "two fields of this name"},
		"a union of the same twice":   {typed(`["int","int"]`), "union"},
		"a name that is none":         {typed(`{"type":"enum","name":"0x","symbols":["a"]}`), "0x"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := contract.Parse([]byte(c.text))
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("error %v, want one with %q", err, c.want)
			}
		})
	}
}

// What a reader cannot see is no new version; what it can, is.
func TestCanonical(t *testing.T) {
	base := record(keyField + `,{"name":"f","doc":".","type":{"type":"enum","name":"X","doc":".","symbols":["a","b"]},"default":"a"}`)
	same := map[string]string{
		"whitespace": strings.ReplaceAll(base, ",", " ,\n"),
		"docs":       strings.ReplaceAll(strings.ReplaceAll(base, `"doc":"."`, `"doc":"Better."`), "An event.", "The event."),
		"order of attributes": `{"namespace":"d","fields":[{"key":true,"doc":"Key.","type":{"type":"string"},"name":"id"},
			{"default":"a","name":"f","doc":".","type":{"symbols":["a","b"],"namespace":"d","name":"X","type":"enum","doc":"."}}],"name":"E","type":"record"}`,
		"full names": strings.ReplaceAll(strings.Replace(base, `"namespace":"d",`, "", 1), `"name":"E"`, `"name":"d.E"`),
	}
	other := map[string]string{
		"a default":         strings.Replace(base, `"default":"a"`, `"default":"b"`, 1),
		"no default":        strings.Replace(base, `,"default":"a"`, "", 1),
		"an enum's default": strings.Replace(base, `"symbols":`, `"default":"a","symbols":`, 1),
		"symbols' order":    strings.Replace(base, `["a","b"]`, `["b","a"]`, 1),
		"an alias":          strings.Replace(base, `"name":"f"`, `"name":"f","aliases":["g"]`, 1),
		"an attribute":      strings.Replace(base, `"name":"f"`, `"name":"f","pii":true`, 1),
		"an outcome":        strings.Replace(base, `"name":"E"`, `"name":"E","outcome":"success"`, 1),
		"a logical type":    strings.Replace(base, `"type":"string"`, `"type":{"type":"string","logicalType":"uuid"}`, 1),
		"a name":            strings.Replace(base, `"name":"X"`, `"name":"Y"`, 1),
	}
	want := parse(t, base)
	for name, text := range same {
		s := parse(t, text)
		if s.Canonical() != want.Canonical() {
			t.Errorf("%s: another canonical form:\n%s\n%s", name, s.Canonical(), want.Canonical())
		}
	}
	for name, text := range other {
		s := parse(t, text)
		if contract.Fingerprint("d.E", s) == contract.Fingerprint("d.E", want) || contract.IDOf("d.E", s) == contract.IDOf("d.E", want) {
			t.Errorf("%s: the same fingerprint", name)
		}
	}
	if contract.IDOf("d.E", want) == contract.IDOf("d.F", want) {
		t.Error("two subjects have one id for the same schema")
	}
}

// Ids travel on the wire and lie in locks: they must never come out otherwise.
func TestIDsDoNotChange(t *testing.T) {
	s := parse(t, record(keyField))
	if id, print := contract.IDOf("d.E", s), contract.Fingerprint("d.E", s); id != 1184772274 || print != "469e30b2feb5d343dbd6d8ba2ee54fc1" {
		t.Errorf("id %d, fingerprint %s of %s", id, print, s.Canonical())
	}
}
