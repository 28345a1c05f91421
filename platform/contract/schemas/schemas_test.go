package main

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/troupedev/troupe/platform/contract"
)

const (
	domainYAML = "owner: us\ndoc: Things.\n"
	keyField   = `{"name":"id","type":"string","doc":"Key.","key":true}`
)

// eventSchema is the schema of an event d.<name> with these fields.
func eventSchema(name, fields string) string {
	return `{"type":"record","name":"` + name + `","namespace":"d","doc":"An event.","fields":[` + fields + `]}`
}

// project is a folder with a go.mod, and schemas with one event of one version.
func project(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	put(t, dir, "go.mod", "module example.com/x\n")
	put(t, dir, "schemas/d/domain.yaml", domainYAML)
	put(t, dir, "schemas/d/Done/v1.avsc", eventSchema("Done", keyField))
	return dir
}

func put(t *testing.T, dir, name, text string) {
	t.Helper()
	file := filepath.Join(dir, name)
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

// run runs the command in a project, and returns what it prints and fails with.
func run(t *testing.T, dir string, args ...string) (string, error) {
	t.Helper()
	var out bytes.Buffer
	cmd := command(&out)
	cmd.SetArgs(append(args, "--dir", filepath.Join(dir, "schemas"), "--out", filepath.Join(dir, "events")))
	err := cmd.Execute()
	return out.String(), err
}

func must(t *testing.T, dir string, args ...string) string {
	t.Helper()
	out, err := run(t, dir, args...)
	if err != nil {
		t.Fatalf("%s: %v", strings.Join(args, " "), err)
	}
	return out
}

func wantError(t *testing.T, err error, parts ...string) {
	t.Helper()
	for _, part := range parts {
		if err == nil || !strings.Contains(err.Error(), part) {
			t.Errorf("error:\n%v\nwant one with %q", err, part)
		}
	}
}

// The package of the codec's tests is what the generator makes of its schemas.
func TestSampleIsGenerated(t *testing.T) {
	folder, err := contract.Load(os.DirFS("../testdata/schemas"), "schemas")
	if err != nil {
		t.Fatal(err)
	}
	files, err := generate(folder)
	if err != nil {
		t.Fatal(err)
	}
	if err := drift("../internal", files); err != nil {
		t.Errorf("%v (here: go tool schemas generate --dir testdata/schemas --out internal)", err)
	}
}

func TestGenerate(t *testing.T) {
	dir := project(t)
	_, err := run(t, dir, "generate", "--check")
	wantError(t, err, "events/d/done.go is missing; run go generate ./events")
	must(t, dir, "generate")
	must(t, dir, "generate", "--check")

	put(t, dir, "schemas/d/Done/v1.avsc", eventSchema("Done", strings.Replace(keyField, "Key.", "Another doc.", 1)))
	_, err = run(t, dir, "generate", "--check")
	wantError(t, err, "events/d/done.go is not what the schemas say")

	put(t, dir, "events/d/byhand.go", "package d\n")
	if err := os.RemoveAll(filepath.Join(dir, "schemas/d/Done")); err != nil {
		t.Fatal(err)
	}
	put(t, dir, "schemas/d/Gone/v1.avsc", eventSchema("Gone", keyField))
	_, err = run(t, dir, "generate", "--check")
	wantError(t, err, "events/d/done.go is of an event or domain that the schemas do not have", "events/d/gone.go is missing")
	must(t, dir, "generate")
	for name, want := range map[string]bool{"done.go": false, "gone.go": true, "byhand.go": true} {
		if _, err := os.Stat(filepath.Join(dir, "events/d", name)); (err == nil) != want {
			t.Errorf("%s: %v, want it there: %t", name, err, want)
		}
	}
}

func TestGenerateRefusesNamesThatCollide(t *testing.T) {
	enum := func(name, symbols string) string {
		return `{"name":"` + strings.ToLower(name) + `","doc":".","type":{"type":"enum","name":"` + name + `","doc":".","symbols":[` + symbols + `]}}`
	}
	for name, c := range map[string]struct{ fields, want string }{
		"two fields":       {keyField + `,{"name":"a_b","type":"int","doc":"."},{"name":"aB","type":"int","doc":"."}`, "fields a_b and aB of d.Done would both be the Go field AB"},
		"two symbols":      {keyField + "," + enum("X", `"a_b","aB"`), "symbol"},
		"an older version": {keyField + "," + enum("DoneV1", `"a"`), "Go type DoneV1"},
	} {
		t.Run(name, func(t *testing.T) {
			dir := project(t)
			put(t, dir, "schemas/d/Done/v2.avsc", eventSchema("Done", c.fields))
			put(t, dir, "schemas/d/domain.yaml", domainYAML+"events: {Done: {compatibility: NONE, reason: a test}}\n")
			_, err := run(t, dir, "check")
			wantError(t, err, c.want)
		})
	}
	dir := project(t)
	put(t, dir, "schemas/d/Types/v1.avsc", eventSchema("Types", keyField))
	_, err := run(t, dir, "check")
	wantError(t, err, "d: event Types cannot be generated: its file types.go is taken")
}

func TestCheckAndLock(t *testing.T) {
	dir := project(t)
	must(t, dir, "check")
	_, err := run(t, dir, "check", "--locked")
	wantError(t, err, "d: v1 of Done is a draft; once it is final, run go tool schemas lock")
	if out := must(t, dir, "lock"); !strings.Contains(out, "d.Done v1 is final, with id") {
		t.Errorf("lock prints %q", out)
	}
	if out := must(t, dir, "lock"); out != "" {
		t.Errorf("lock prints %q the second time", out)
	}
	must(t, dir, "check", "--locked")

	put(t, dir, "schemas/d/Done/v1.avsc", eventSchema("Done", strings.Replace(keyField, "string", "long", 1)))
	for _, args := range [][]string{{"check"}, {"generate"}, {"lock"}} {
		_, err := run(t, dir, args...)
		wantError(t, err, "d: v1 of Done is locked and was changed; add v2.avsc")
	}
}

// repository is a project whose schemas are locked and committed on main.
func repository(t *testing.T) string {
	t.Helper()
	dir := project(t)
	must(t, dir, "lock")
	for _, args := range [][]string{
		{"init", "-q", "-b", "main"}, {"add", "."},
		{"-c", "user.name=x", "-c", "user.email=x@example.com", "commit", "-q", "-m", "first"},
	} {
		cmd := exec.CommandContext(t.Context(), "git", args...)
		cmd.Dir = dir
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("git %v: %v: %s", args, err, out)
		}
	}
	return dir
}

func TestDiff(t *testing.T) {
	dir := repository(t)
	if out := must(t, dir, "diff"); out != "" {
		t.Errorf("nothing changed, and diff prints %q", out)
	}
	put(t, dir, "schemas/d/Done/v2.avsc", eventSchema("Done", keyField+`,{"name":"n","type":["null","int"],"doc":".","default":null},
		{"name":"l","doc":".","default":[],"type":{"type":"array","items":{"type":"record","name":"L","doc":".","fields":[{"name":"a","type":"int","doc":"."}]}}}`))
	put(t, dir, "schemas/d/domain.yaml", domainYAML+"partitions: 8\n")
	put(t, dir, "schemas/e/domain.yaml", domainYAML)
	put(t, dir, "schemas/e/Fresh/v1.avsc", strings.Replace(eventSchema("Fresh", keyField), `"d"`, `"e"`, 1))
	want := `d
  ~ partitions: 4 → 8
  + Done v2 (draft)
      + n: union of null, int, default null
      + l: array of record d.L, default []
e
  + the domain, owned by us
  + Fresh v1 (draft)
`
	if out := must(t, dir, "diff"); out != want {
		t.Errorf("diff prints\n%s\nwant\n%s", out, want)
	}
}

func TestBreaking(t *testing.T) {
	topology := `{"services":[
		{"name":"shop","routes":[{"emits":["d.Done/v1"]}]},
		{"name":"mailer","reactions":[{"name":"Done","hears":"d.Done/v1"}]},
		{"name":"audit","reactions":[{"name":"d","hears":"d.*"}]}]}`
	dir := repository(t)
	if out := must(t, dir, "breaking"); !strings.Contains(out, "topology.json is not there") || !strings.Contains(out, "nothing breaks against git:main") {
		t.Errorf("breaking prints %q", out)
	}
	put(t, dir, "topology.json", topology)
	if out := must(t, dir, "breaking"); out != "nothing breaks against git:main\n" {
		t.Errorf("breaking prints %q", out)
	}

	put(t, dir, "schemas/d/Done/v2.avsc", eventSchema("Done", keyField+`,{"name":"n","type":"int","doc":"."}`))
	_, err := run(t, dir, "breaking")
	wantError(t, err, "d.Done: v2 cannot read v1: field n: the writer has no such field, and it has no default (READER_FIELD_MISSING_DEFAULT_VALUE); "+
		"emitted by shop, read by audit: the read fails")

	put(t, dir, "schemas/d/Done/v2.avsc", eventSchema("Done", `{"name":"id","type":["null","string"],"doc":"."}`))
	_, err = run(t, dir, "breaking")
	wantError(t, err, "d.Done: v1 cannot read v2: field id: null cannot be read as string (TYPE_MISMATCH); "+
		"emitted by no service, read by mailer: the read fails for events that have it")

	put(t, dir, "schemas/d/domain.yaml", domainYAML+"events: {Done: {retired: [1]}}\n")
	put(t, dir, "schemas/d/Done/v2.avsc", eventSchema("Done", keyField))
	_, err = run(t, dir, "breaking")
	wantError(t, err, "d.Done: v1 is retired, so no service can be compiled that reads it; read by mailer")

	put(t, dir, "schemas/d/domain.yaml", domainYAML)
	put(t, dir, "schemas/d/Done/v1.avsc", eventSchema("Done", strings.Replace(keyField, "string", "long", 1)))
	_, err = run(t, dir, "breaking")
	wantError(t, err, "d.Done: v1 is locked and was changed, so records written before can no longer be read; read by mailer, audit")

	if err := os.RemoveAll(filepath.Join(dir, "schemas/d/Done")); err != nil {
		t.Fatal(err)
	}
	_, err = run(t, dir, "breaking")
	wantError(t, err, "d.Done: v1 was deleted, so its records can no longer be read; read by mailer, audit")
}

func TestAgainstNeedsARef(t *testing.T) {
	dir := repository(t)
	for against, want := range map[string]string{
		"main": "expected git:REF", "git:": "expected git:REF", "git:--all": "expected git:REF",
		"git:nope": "git has no nope here; fetch it, or name another ref",
	} {
		for _, name := range []string{"diff", "breaking"} {
			_, err := run(t, dir, name, "--against", against)
			wantError(t, err, "--against "+against+": "+want)
		}
	}
	_, err := run(t, project(t), "diff")
	wantError(t, err, "is not in a git checkout")
}

func TestGoNames(t *testing.T) {
	for name, want := range map[string]string{
		"orderId": "OrderID", "email": "Email", "sku": "SKU", "urls": "URLs", "httpUrl": "HTTPURL", "customerIds": "CustomerIDs",
		"order_id": "OrderID", "SHIPPED_LATE": "ShippedLate", "STOREFRONT": "Storefront", "EUR": "EUR", "HTTPStatus": "HTTPStatus",
		"a": "A", "_x": "X", "x2y": "X2y", "uuid": "UUID", "paidAt": "PaidAt", "_1": "X1", "grid": "Grid", "placed": "Placed",
	} {
		if got := goName(name); got != want {
			t.Errorf("%s is %s, want %s", name, got, want)
		}
	}
}
