package contract_test

import (
	"maps"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/troupedev/troupe/platform/contract"
)

// good is a folder without faults.
func good() map[string]string {
	return map[string]string{
		"d/domain.yaml": domainYAML,
		"d/E/v1.avsc":   record(keyField),
		"d/E/v2.avsc":   record(keyField + `,{"name":"n","type":"int","doc":".","default":0}`),
	}
}

func TestFaults(t *testing.T) {
	if got := faults(t, good()); got != "" {
		t.Fatalf("a good folder: %s", got)
	}
	one := func(schema string) map[string]string {
		return map[string]string{"d/E/v1.avsc": schema, "d/E/v2.avsc": ""}
	}
	for name, c := range map[string]struct {
		files map[string]string // put over the good ones; empty: removed
		want  string
	}{
		"a missing domain.yaml":         {map[string]string{"d/domain.yaml": ""}, "schemas/d/domain.yaml: is missing"},
		"a missing owner":               {map[string]string{"d/domain.yaml": "doc: x\n"}, "schemas/d/domain.yaml: owner is missing"},
		"a missing doc of a domain":     {map[string]string{"d/domain.yaml": "owner: x\n"}, "doc is missing"},
		"an unknown key":                {map[string]string{"d/domain.yaml": domainYAML + "partition: 3\n"}, "field partition not found"},
		"yaml that is none":             {map[string]string{"d/domain.yaml": "doc: a: b\n"}, "schemas/d/domain.yaml: yaml: "},
		"no partitions":                 {map[string]string{"d/domain.yaml": domainYAML + "partitions: 0\n"}, "partitions must be between 1"},
		"a retention of another form":   {map[string]string{"d/domain.yaml": domainYAML + "retention: 3 weeks\n"}, `retention "3 weeks"`},
		"a negative retention":          {map[string]string{"d/domain.yaml": domainYAML + "retention: -1h\n"}, `retention "-1h"`},
		"a retention of centuries":      {map[string]string{"d/domain.yaml": domainYAML + "retention: 999999d\n"}, "forever"},
		"an unknown event":              {map[string]string{"d/domain.yaml": domainYAML + "events: {X: {external: true}}\n"}, "events: X: there is no event"},
		"an unknown compatibility":      {map[string]string{"d/domain.yaml": domainYAML + "events: {E: {compatibility: SOME}}\n"}, `compatibility "SOME"`},
		"a rule relaxed without reason": {map[string]string{"d/domain.yaml": domainYAML + "events: {E: {compatibility: NONE}}\n"}, "needs a reason"},
		"the newest version retired":    {map[string]string{"d/domain.yaml": domainYAML + "events: {E: {retired: [2]}}\n"}, "v2 is not an older version"},
		"a version retired that is not": {map[string]string{"d/domain.yaml": domainYAML + "events: {E: {retired: [7]}}\n"}, "v7 is not an older version"},
		"a file that does not belong":   {map[string]string{"d/E/v1.json": "{}"}, "schemas/d/E/v1.json: does not belong"},
		"a file beside the domains":     {map[string]string{"README": "x"}, "schemas/README: does not belong"},
		"a gap between versions":        {map[string]string{"d/E/v1.avsc": ""}, "schemas/d/E: v1.avsc is missing"},
		"an event without versions":     {map[string]string{"d/F/.keep": "x"}, "schemas/d/F: has no version"},
		"a schema that is not JSON":     {one("{"), "schemas/d/E/v1.avsc: not JSON: the text ends too early"},
		"a schema that is no record":    {one(`"string"`), "must be a record"},
		"another name than its folder":  {one(strings.Replace(record(keyField), `"E"`, `"F"`, 1)), "its name is d.F, and its folder says d.E"},
		"another namespace":             {one(strings.Replace(record(keyField), `"d"`, `"c"`, 1)), "its name is c.E"},
		"a domain in capitals":          {map[string]string{"D/domain.yaml": domainYAML}, "schemas/D: a domain's name has small letters"},
		"a reserved domain":             {map[string]string{"retry/domain.yaml": domainYAML}, "no domain can be called retry"},
		"a domain that is Go's":         {map[string]string{"func/domain.yaml": domainYAML}, "no domain can be called func"},
		"an event in small letters":     {map[string]string{"d/e/v1.avsc": strings.Replace(record(keyField), `"E"`, `"e"`, 1)}, "schemas/d/e: an event's name is of the form"},
		"no key":                        {one(strings.ReplaceAll(record(keyField), `,"key":true`, "")), "schemas/d/E/v1.avsc: key is missing"},
		"two keys":                      {one(record(keyField + "," + strings.ReplaceAll(keyField, `"id"`, `"no"`))), "only one field can be the key, not id, no"},
		"a key that may be null":        {one(record(`{"name":"id","type":["null","string"],"doc":".","key":true}`)), "field id: a key must be"},
		"a key that is a moment":        {one(record(`{"name":"id","type":{"type":"long","logicalType":"timestamp-millis"},"doc":".","key":true}`)), "field id: a key must be"},
		"a key deep inside":             {one(typed(`{"type":"record","name":"R","doc":".","fields":[` + keyField + `]}`)), "field f.id: only a field of the event itself"},
		"a key that is no boolean":      {one(record(keyField + `,{"name":"n","type":"int","doc":".","key":"yes"}`)), "field n: key must be true or false"},
		"a missing doc of the record":   {one(strings.Replace(record(keyField), `"doc":"An event.",`, "", 1)), "doc of the record is missing"},
		"a missing doc of a field":      {one(record(keyField + `,{"name":"n","type":"int"}`)), "schemas/d/E/v1.avsc: field n: doc is missing"},
		"a missing doc deep inside":     {one(typed(`{"type":"array","items":{"type":"record","name":"R","doc":".","fields":[{"name":"a","type":"int"}]}}`)), "field f[].a: doc is missing"},
		"a missing doc of an enum":      {one(typed(`{"type":"enum","name":"X","symbols":["a"]}`)), "field f: doc of enum d.X is missing"},
		"recursion":                     {one(record(keyField + `,{"name":"n","type":["null","E"],"doc":"."}`)), "field n: d.E contains itself"},
		"a union of several types":      {one(typed(`["null","int","string"]`)), "field f: a union of null, int, string is not supported"},
		"a null alone":                  {one(typed(`"null"`)), "field f: a null alone"},
		"items that take no bytes":      {one(typed(`{"type":"array","items":"null"}`)), "field f: an item of array of null may take no bytes"},
		"a record of no bytes in one":   {one(typed(`{"type":"array","items":{"type":"record","name":"R","doc":".","fields":[]}}`)), "may take no bytes"},
		"a logical type on the field":   {one(record(keyField + `,{"name":"t","type":"long","logicalType":"timestamp-millis","doc":"."}`)), "field t: logicalType belongs into its type"},
		"an attribute that is none":     {one(strings.Replace(record(keyField), `"doc":"An`, `"outcom":"success","doc":"An`, 1)), "there is no attribute outcom; there are outcome and reply"},
		"a field's attribute":           {one(record(strings.Replace(keyField, `"key":true`, `"key":true,"pi":true`, 1))), "there is no attribute pi; there are key and pii and order"},
		"an outcome that is none":       {one(strings.Replace(record(keyField), `"doc":"An`, `"outcome":"good","doc":"An`, 1)), "outcome must be"},
		"a type of another domain":      {one(typed(`{"type":"enum","name":"x.X","doc":".","symbols":["a"]}`)), "field f: x.X must be of the namespace d"},
		"a type in small letters":       {one(typed(`{"type":"enum","name":"x","doc":".","symbols":["a"]}`)), "must be of the form OrderLine"},
		"a type named as an event":      {map[string]string{"d/F/v1.avsc": strings.Replace(typed(`{"type":"enum","name":"E","doc":".","symbols":["a"]}`), `"E","namespace"`, `"F","namespace"`, 1)}, "enum d.E has the name of an event"},
		"a type with two definitions": {map[string]string{
			"d/F/v1.avsc": strings.Replace(typed(`{"type":"enum","name":"X","doc":".","symbols":["a"]}`), `"E"`, `"F"`, 1),
			"d/G/v1.avsc": strings.Replace(typed(`{"type":"enum","name":"X","doc":".","symbols":["b"]}`), `"E"`, `"G"`, 1),
		}, "schemas/d/G/v1.avsc: enum d.X is defined otherwise in schemas/d/F/v1.avsc"},
		"versions that do not read each other": {map[string]string{"d/E/v2.avsc": record(keyField + `,{"name":"n","type":"int","doc":"."}`)},
			"d: v2 of E cannot read v1: field n: the writer has no such field, and it has no default (READER_FIELD_MISSING_DEFAULT_VALUE)"},
		"another key than before": {map[string]string{"d/E/v2.avsc": record(strings.Replace(keyField, `"id"`, `"no"`, 1) + `,{"name":"id","type":"string","doc":".","default":""}`)},
			"schemas/d/E/v2.avsc: field no: the key was id in v1"},
	} {
		t.Run(name, func(t *testing.T) {
			files := good()
			maps.Copy(files, c.files)
			maps.DeleteFunc(files, func(_, text string) bool { return text == "" })
			if got := faults(t, files); !strings.Contains(got, c.want) {
				t.Errorf("faults:\n%s\nwant one with:\n%s", got, c.want)
			}
		})
	}
}

// No fault hides another, even where a file cannot be taken as it is.
func TestAllFaultsAtOnce(t *testing.T) {
	tree := `{"type":"record","name":"Wrong","namespace":"zzz","fields":[
		{"name":"id","type":"bytes","key":true},
		{"name":"kids","type":{"type":"array","items":"Wrong"},"doc":"."},
		{"name":"color","type":"colour"},
		{"name":"0","type":{"type":"enum","name":"X","symbols":["a","a","b-c"]}},
		{"name":"when","type":{"type":"int","logicalType":"moon"},"default":"x"},
		{"type":"long"}]}`
	for name, c := range map[string]struct {
		files map[string]string
		want  []string
	}{
		"in several files": {map[string]string{
			"a/domain.yaml": "partitions: -1\n",
			"d/domain.yaml": domainYAML,
			"d/E/v1.avsc":   `{"type":"record","name":"F","namespace":"d","fields":[{"name":"a","type":"int"}]}`,
			"d/F/v1.avsc":   `{`,
		}, []string{"owner is missing", "doc is missing", "partitions", "folder says d.E", "doc of the record", "field a: doc", "key is missing", "not JSON"}},
		"in a schema that contains itself": {map[string]string{
			"d/domain.yaml": domainYAML, "d/Tree/v1.avsc": tree,
		}, []string{
			"field kids[]: zzz.Wrong contains itself", "its name is zzz.Wrong, and its folder says d.Tree", "doc of the record is missing",
			"field id: a key must be", "field id: doc is missing", "field color: type colour is not defined", "field color: doc is missing",
			"field 0: it has no name", "has the symbol a twice", `does not allow the symbol "b-c"`, "field 0: zzz.X must be of the namespace d", "doc of enum zzz.X",
			`field when: logical type "moon"`, `"x" is not a whole number`, "field #6: it has no name",
		}},
		"in a schema without a key that contains itself": {map[string]string{
			"d/domain.yaml": domainYAML, "d/e/v1.avsc": record(`{"name":"kids","type":"E","doc":"."}`),
		}, []string{"field kids: d.E contains itself", "key is missing", "its name is d.E, and its folder says d.e", "schemas/d/e: an event's name"}},
		"in what is no record by a slip": {map[string]string{
			"d/domain.yaml": domainYAML, "d/E/v1.avsc": `{"type":"recrod","name":"F","fields":[{"name":"a","type":"int"}]}`,
		}, []string{`without a "type" that Avro knows`, "its name is F", "key is missing", "field a: doc is missing"}},
		"in a domain.yaml with an unknown key": {map[string]string{
			"d/domain.yaml": "ownr: x\nowner: ''\npartitions: -1\nretention: banana\nevents: {E: {retird: [1], compatibility: SOME, retired: [9]}, F: {}}\n",
			"d/E/v1.avsc":   record(keyField),
		}, []string{
			"line 1: field ownr not found\n", "field retird not found\n", "owner is missing", "doc is missing", "partitions must be", `retention "banana"`,
			`events: E: compatibility "SOME"`, "events: E: retired: v9", "events: F: there is no event",
		}},
	} {
		t.Run(name, func(t *testing.T) {
			got := faults(t, c.files)
			for _, want := range c.want {
				if !strings.Contains(got, want) {
					t.Errorf("%q is not among the faults:\n%s", want, got)
				}
			}
		})
	}
}

// A file that does not parse is there all the same: nothing may be said of it
// that is true of a missing one alone.
func TestWhatDoesNotParseIsNotMissing(t *testing.T) {
	files := good()
	files["d/domain.yaml"] += "events: {E: {compatibility: BACKWARD, reason: x, retired: [1]}, F: {external: true}}\n"
	files["d/E/v1.avsc"] = "{"
	files["d/F/v1.avsc"] = "{"
	got := faults(t, files)
	if strings.Count(got, "\n") != 1 || !strings.Contains(got, "schemas/d/E/v1.avsc: not JSON") || !strings.Contains(got, "schemas/d/F/v1.avsc: not JSON") {
		t.Errorf("faults:\n%s\nwant just that two are not JSON", got)
	}
}

func TestDomainSettings(t *testing.T) {
	folder, err := contract.Load(os.DirFS("testdata/schemas"), "schemas")
	if err != nil {
		t.Fatal(err)
	}
	noted, retiring := folder.Find("external.Noted"), folder.Find("sample.Retiring")
	if !noted.External || noted.Domain.Topic.Retention != contract.Forever || noted.Domain.Topic.Partitions != 4 {
		t.Errorf("external: %+v %+v", noted, noted.Domain.Topic)
	}
	if d := retiring.Domain.Topic; d.Retention != 36*time.Hour || d.Partitions != 2 || d.Replication != 1 || d.Owner != "contract-team" {
		t.Errorf("sample: %+v", d)
	}
	if !retiring.Versions[0].IsRetired() || retiring.Newest().IsRetired() {
		t.Error("retired: want version 1 alone")
	}
}

func TestLock(t *testing.T) {
	load := func(files map[string]string) *contract.Folder {
		folder, err := contract.Load(folderOf(files), "schemas")
		if err != nil {
			t.Fatal(err)
		}
		return folder
	}
	files := good()
	drafts := load(files).CheckLocked()
	if drafts == nil || strings.Count(drafts.Error(), "is a draft; once it is final, run go tool schemas lock") != 2 {
		t.Errorf("drafts: %v", drafts)
	}
	files["d/schemas.lock"] = load(files).Domains[0].Locking().String()
	if err := load(files).CheckLocked(); err != nil {
		t.Fatal(err)
	}
	if again := load(files).Domains[0].Locking().String(); again != files["d/schemas.lock"] {
		t.Errorf("locking again gives\n%s\nwant\n%s", again, files["d/schemas.lock"])
	}
	if got := faults(t, files); got != "" {
		t.Fatal(got)
	}

	first := strings.SplitAfter(files["d/schemas.lock"], "\n")[1]
	for name, c := range map[string]struct {
		change func(map[string]string)
		want   string
	}{
		"a doc is mended": {func(f map[string]string) { f["d/E/v1.avsc"] = strings.Replace(f["d/E/v1.avsc"], "Key.", "The key.", 1) }, ""},
		"a version is added": {func(f map[string]string) {
			f["d/E/v3.avsc"] = record(keyField + `,{"name":"m","type":"int","doc":".","default":0}`)
		}, ""},
		"a version was changed": {func(f map[string]string) {
			f["d/E/v1.avsc"] = strings.Replace(f["d/E/v1.avsc"], `"string"`, `"bytes"`, 1)
		}, "d: v1 of E is locked and was changed; add v3.avsc"},
		"a version does not parse any more": {func(f map[string]string) { f["d/E/v1.avsc"] = "{" },
			"d: v1 of E is locked and was changed: it does not parse any more; restore v1.avsc"},
		"no version does any more": {func(f map[string]string) { f["d/E/v1.avsc"], f["d/E/v2.avsc"] = "{", "{" },
			"d: v2 of E is locked and was changed: it does not parse any more; restore v2.avsc"},
		"a version was deleted": {func(f map[string]string) { delete(f, "d/E/v2.avsc") }, "d: v2 of E is locked and was deleted; restore v2.avsc"},
		"an event was deleted":  {func(f map[string]string) { delete(f, "d/E/v1.avsc"); delete(f, "d/E/v2.avsc") }, "d: v1 of E is locked and was deleted"},
		"an id was changed": {func(f map[string]string) {
			f["d/schemas.lock"] = "7" + f["d/schemas.lock"][strings.Index(f["d/schemas.lock"], " d.E"):]
		}, "has id"},
		"a line of another one":  {func(f map[string]string) { f["d/schemas.lock"] += "9 x.E 1 ff\n" }, "x.E is of another domain"},
		"a line twice":           {func(f map[string]string) { f["d/schemas.lock"] += first }, "d.E v1 is there twice"},
		"a line that is no line": {func(f map[string]string) { f["d/schemas.lock"] += "hello\n" }, "schemas/d/schemas.lock: line 4: expected an id"},
		"an id that is none":     {func(f map[string]string) { f["d/schemas.lock"] += "-4 d.E 9 ff\n" }, "numbers from 1"},
	} {
		t.Run(name, func(t *testing.T) {
			changed := maps.Clone(files)
			c.change(changed)
			got := faults(t, changed)
			if c.want == "" && got != "" || !strings.Contains(got, c.want) {
				t.Errorf("faults:\n%s\nwant %q", got, c.want)
			}
			if strings.Contains(got, "deleted") != strings.Contains(name, "deleted") {
				t.Errorf("faults:\n%s\nwant one to say that a version was deleted exactly if one was", got)
			}
		})
	}
}

// Two schemas whose hashes begin alike cannot both be on the wire.
func TestTwoSchemasOfOneID(t *testing.T) {
	folder, err := contract.Load(folderOf(good()), "schemas")
	if err != nil {
		t.Fatal(err)
	}
	e := folder.Find("d.E")
	e.Versions[1].ID = e.Versions[0].ID
	if err := folder.Check(); err == nil || !strings.Contains(err.Error(), "schemas/d/E/v2.avsc: its id") || !strings.Contains(err.Error(), "that of schemas/d/E/v1.avsc too") {
		t.Errorf("error %v", err)
	}
}
