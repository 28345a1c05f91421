package contract_test

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"math"
	"os"
	"os/exec"
	"reflect"
	"strings"
	"testing"

	"github.com/troupedev/troupe/platform/contract"
	"github.com/troupedev/troupe/platform/contract/internal/sample"
	"github.com/troupedev/troupe/platform/event"
)

// fastavroVariable names a Python that has fastavro; CI sets it.
const fastavroVariable = "TROUPE_FASTAVRO"

// crossCase is one value that both sides must see alike.
type crossCase struct {
	name  string
	typ   *event.Type
	value []byte
}

// TestFastavro has Python's fastavro read what this package wrote, and reads
// what fastavro writes of it: over every shipped schema and one with all types.
func TestFastavro(t *testing.T) {
	python := os.Getenv(fastavroVariable)
	if python == "" {
		t.Logf("fastavro cross-check: only CI runs it (set %s)", fastavroVariable)
		return
	}
	var cases []crossCase
	for name, e := range everything() {
		cases = append(cases, crossCase{"Everything, " + name, e.EventType(), encode(t, e)})
	}
	for _, dir := range []string{"../../schemas", "testdata/schemas"} {
		cases = append(cases, edgeCases(t, dir)...)
	}
	answers := askFastavro(t, python, cases)
	for i, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			ours, err := contract.DecodeJSON(c.typ, c.value)
			if err != nil {
				t.Fatal(err)
			}
			if diff := jsonDiff("", tree(t, ours), tree(t, answers[i].Plain)); diff != "" {
				t.Errorf("fastavro read otherwise: %s", diff)
			}
			body, err := hex.DecodeString(answers[i].Written)
			if err != nil {
				t.Fatal(err)
			}
			back := value(c.typ.ID, body...)
			again, err := contract.DecodeJSON(c.typ, back)
			if err != nil || !bytes.Equal(again, ours) && jsonDiff("", tree(t, ours), tree(t, again)) != "" {
				t.Errorf("of what fastavro wrote we read\n%s, %v, want\n%s", again, err, ours)
			}
			if c.typ == (sample.Everything{}).EventType() {
				var a, b sample.Everything
				if err := contract.Decode(back, c.typ, &a); err != nil {
					t.Fatal(err)
				}
				if err := contract.Decode(c.value, c.typ, &b); err != nil {
					t.Fatal(err)
				}
				if diff := differ(a, b); diff != "" && !math.IsNaN(b.Double) {
					t.Errorf("the generated type reads what fastavro wrote otherwise: %s", diff)
				}
			}
		})
	}
	t.Logf("fastavro cross-check: %d values", len(cases))
}

type fastavroAnswer struct {
	Plain   json.RawMessage `json:"plain"`
	Written string          `json:"written"`
}

func askFastavro(t *testing.T, python string, cases []crossCase) []fastavroAnswer {
	t.Helper()
	type question struct {
		Schema json.RawMessage `json:"schema"`
		Body   string          `json:"body"`
	}
	questions := make([]question, len(cases))
	for i, c := range cases {
		questions[i] = question{json.RawMessage(c.typ.Schema), hex.EncodeToString(c.value[5:])}
	}
	in, err := json.Marshal(map[string]any{"cases": questions})
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), python, "testdata/crosscheck.py")
	var stderr bytes.Buffer
	cmd.Stdin, cmd.Stderr = bytes.NewReader(in), &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%v: %s", err, stderr.String())
	}
	var answers []fastavroAnswer
	if err := json.Unmarshal(out, &answers); err != nil {
		t.Fatal(err)
	}
	return answers
}

// edgeCases makes values of all schemas of a folder: enough of each that every
// field has had every edge of its type.
func edgeCases(t *testing.T, dir string) (cases []crossCase) {
	folder, err := contract.Load(os.DirFS(dir), dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range folder.Domains {
		for _, e := range d.Events {
			for _, v := range e.Versions {
				typ := event.Versions(event.Type{Domain: d.Topic.Name, Name: e.Name, Version: v.Number, ID: v.ID, Schema: string(v.Text)})[0]
				for n := range 8 {
					text, err := json.Marshal(edge(v.Schema, n))
					if err != nil {
						t.Fatal(err)
					}
					value, err := contract.EncodeJSON(typ, text)
					if err != nil {
						t.Fatal(err)
					}
					cases = append(cases, crossCase{fmt.Sprintf("%s, %d", typ, n), typ, value})
				}
			}
		}
	}
	return cases
}

// edges are values at the edge of a type, by its logical type or kind.
var edges = map[string][]any{
	"boolean":                {true, false},
	"int":                    {0, -1, math.MaxInt32, math.MinInt32, 63, -64, 64},
	"long":                   {0, -1, math.MaxInt64, math.MinInt64, 8191, -8192, 8192},
	"float":                  {0, -0.5, math.MaxFloat32, "NaN", "Infinity"},
	"double":                 {0, -0.5, math.MaxFloat64, math.SmallestNonzeroFloat64, "NaN", "-Infinity"},
	"string":                 {"", "a", "žluťoučký kůň 🐎", strings.Repeat("x", 200), "\x00\n\"\\"},
	"bytes":                  {"", "AP8A", "gA=="},
	"uuid":                   {uuid, "00000000-0000-0000-0000-000000000000"},
	"date":                   {"1970-01-01", "1969-12-31", "0001-01-01", "9999-12-31"},
	"time-millis":            {"00:00:00", "23:59:59.999"},
	"time-micros":            {"00:00:00", "23:59:59.999999"},
	"timestamp-millis":       {"1970-01-01T00:00:00Z", "1969-12-31T23:59:59.999Z", "0001-01-01T00:00:00Z", "9999-12-31T23:59:59.999Z"},
	"timestamp-micros":       {"1970-01-01T00:00:00Z", "1969-12-31T23:59:59.999999Z", "2024-02-29T12:00:00.000001Z"},
	"timestamp-nanos":        {"1970-01-01T00:00:00Z", "1969-12-31T23:59:59.999999999Z", "2024-02-29T12:00:00.000000001Z"},
	"local-timestamp-millis": {"1970-01-01T00:00:00", "1833-02-03T04:05:06.007"},
	"local-timestamp-micros": {"1970-01-01T00:00:00", "2024-02-29T12:00:00.000001"},
	"local-timestamp-nanos":  {"1970-01-01T00:00:00", "1969-12-31T23:59:59.000000001"},
}

// edge is the n-th value of a schema, as plain JSON.
func edge(s *contract.Schema, n int) any {
	if inner, _, ok := s.Nullable(); ok {
		if n%3 == 1 {
			return nil
		}
		return edge(inner, n)
	}
	switch {
	case s.Logical == contract.LogicalDecimal:
		digits := strings.Repeat("9", s.Precision-s.Scale) + "." + strings.Repeat("9", s.Scale)
		return []string{"0", "-" + digits, digits, "-1", "1"}[n%5]
	case s.Kind == contract.KindRecord:
		out := map[string]any{}
		for i, f := range s.Fields {
			out[f.Name] = edge(f.Type, n+i)
		}
		return out
	case s.Kind == contract.KindEnum:
		return s.Symbols[n%len(s.Symbols)]
	case s.Kind == contract.KindFixed:
		return bytes.Repeat([]byte{byte(n * 85)}, s.Size)
	case s.Kind == contract.KindArray:
		out := []any{}
		for i := range n % 4 {
			out = append(out, edge(s.Items, n+i))
		}
		return out
	case s.Kind == contract.KindMap:
		out := map[string]any{}
		for i := range n % 3 {
			out[strings.Repeat("ž", i)] = edge(s.Items, n+i)
		}
		return out
	}
	name := s.Logical
	if name == "" {
		name = string(s.Kind)
	}
	return edges[name][n%len(edges[name])]
}

func tree(t *testing.T, text []byte) any {
	t.Helper()
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber()
	var v any
	if err := d.Decode(&v); err != nil {
		t.Fatalf("%v: %s", err, text)
	}
	return v
}

// jsonDiff says where two trees differ. Numbers are the same if they are the
// same number, in 32 bits where one side shows no more of it.
func jsonDiff(path string, a, b any) string {
	switch x := a.(type) {
	case map[string]any:
		y, ok := b.(map[string]any)
		if !ok || len(x) != len(y) {
			return fmt.Sprintf("%s: %v and %v", path, a, b)
		}
		for k := range x {
			if diff := jsonDiff(path+"."+k, x[k], y[k]); diff != "" {
				return diff
			}
		}
		return ""
	case []any:
		y, ok := b.([]any)
		if !ok || len(x) != len(y) {
			return fmt.Sprintf("%s: %v and %v", path, a, b)
		}
		for i := range x {
			if diff := jsonDiff(fmt.Sprintf("%s[%d]", path, i), x[i], y[i]); diff != "" {
				return diff
			}
		}
		return ""
	case json.Number:
		if y, ok := b.(json.Number); ok && x != y && strings.ContainsAny(x.String()+y.String(), ".e") {
			fx, _ := x.Float64()
			fy, _ := y.Float64()
			if fx == fy || float32(fx) == float32(fy) {
				return ""
			}
		}
	}
	if !reflect.DeepEqual(a, b) {
		return fmt.Sprintf("%s: %v and %v", path, a, b)
	}
	return ""
}
