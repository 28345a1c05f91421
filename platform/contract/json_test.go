package contract_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/troupedev/troupe/platform/contract"
	"github.com/troupedev/troupe/platform/contract/internal/sample"
)

func TestJSONThereAndBack(t *testing.T) {
	for name, e := range everything() {
		t.Run(name, func(t *testing.T) {
			v := encode(t, e)
			text, err := contract.DecodeJSON(e.EventType(), v)
			if err != nil {
				t.Fatal(err)
			}
			if !json.Valid(text) {
				t.Fatalf("not JSON: %s", text)
			}
			back, err := contract.EncodeJSON(e.EventType(), text)
			if err != nil {
				t.Fatalf("%v\nof %s", err, text)
			}
			var into sample.Everything
			if err := contract.Decode(back, e.EventType(), &into); err != nil {
				t.Fatal(err)
			}
			if diff := differ(into, e); diff != "" {
				t.Errorf("%s\nof %s", diff, text)
			}
		})
	}
}

func TestJSONIsPlain(t *testing.T) {
	e := everything()["high"]
	e.Text, e.Names = "<a & ž>", nil
	e.Single, e.Double = float32(math.Inf(-1)), math.NaN()
	e.AtMicros = time.Date(2024, 2, 29, 23, 59, 58, 1000, time.UTC)
	e.ClockMillis = 13*time.Hour + 1500*time.Millisecond
	text, err := contract.DecodeJSON(e.EventType(), encode(t, e))
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		`{"id":"` + uuid + `","truth":true,"small":2147483647,"large":9223372036854775807`,
		`"single":"-Infinity"`, `"double":"NaN"`, `"blob":"AP8A"`, `"text":"<a & ž>"`, `"hash":"AQID/w=="`, `"mood":"sad"`,
		`"day":"9999-12-31"`, `"clockMillis":"13:00:01.5"`, `"atMicros":"2024-02-29T23:59:58.000001Z"`,
		`"localMicros":"2024-02-29T01:02:03.000004"`, `"price":"1.28"`, `"rate":"0.000001"`, `"names":[]`, `"holes":[null,5]`,
		`"point":{"x":1,"y":-1,"label":"here"}`, `"prices":{"a":"-128","b":"127"}`, `"maybeText":"x"`,
	} {
		if !bytes.Contains(text, []byte(want)) {
			t.Errorf("lacks %s:\n%s", want, text)
		}
	}
}

func TestJSONReadsTheWritersVersion(t *testing.T) {
	text, err := contract.DecodeJSON(sample.Evolved{}.EventType(), encode(t, evolvedV1()))
	want := `{"id":"e-1","note":"gone in version 2","state":"closed","lines":[{"sku":"mug","count":2},{"sku":"lamp","count":1}],"limit":9}`
	if string(text) != want || err != nil {
		t.Errorf("%s, %v", text, err)
	}
}

func TestJSONTakesDefaults(t *testing.T) {
	typ := sample.Evolved{}.EventType()
	v, err := contract.EncodeJSON(typ, []byte(`{"id":"a","lines":[{"sku":"b"}],"state":"open"}`))
	if err != nil {
		t.Fatal(err)
	}
	text, err := contract.DecodeJSON(typ, v)
	want := `{"urgent":true,"limit":null,"id":"a","lines":[{"sku":"b","price":"-0.01","count":1}],"state":"open","tags":{"origin":"v1"}}`
	if string(text) != want || err != nil {
		t.Errorf("%s, %v", text, err)
	}
}

// A timestamp that RFC 3339 cannot show is a number, both ways.
func TestJSONOfFarMoments(t *testing.T) {
	e := everything()["least"]
	e.AtMillis = time.Date(12345, 1, 1, 0, 0, 0, 0, time.UTC)
	text, err := contract.DecodeJSON(e.EventType(), encode(t, e))
	if err != nil || !bytes.Contains(text, []byte(`"atMillis":327403382400000`)) {
		t.Fatalf("%s, %v", text, err)
	}
	v, err := contract.EncodeJSON(e.EventType(), text)
	if err != nil || !bytes.Equal(v, encode(t, e)) {
		t.Errorf("back: %v", err)
	}
}

func TestEncodeJSONRefuses(t *testing.T) {
	every := sample.Everything{}.EventType()
	whole, err := contract.DecodeJSON(every, encode(t, everything()["high"]))
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		change func(m map[string]any)
		field  string
	}{
		"a field that is missing":         {func(m map[string]any) { delete(m, "truth") }, "truth"},
		"a field that is unknown":         {func(m map[string]any) { m["extra"] = 1 }, "extra"},
		"a boolean as a string":           {func(m map[string]any) { m["truth"] = "true" }, "truth"},
		"an int out of range":             {func(m map[string]any) { m["small"] = 1 << 31 }, "small"},
		"an int with a fraction":          {func(m map[string]any) { m["small"] = 1.5 }, "small"},
		"a long as a string":              {func(m map[string]any) { m["large"] = "1" }, "large"},
		"a float out of range":            {func(m map[string]any) { m["single"] = 1e300 }, "single"},
		"a double as a string":            {func(m map[string]any) { m["double"] = "1" }, "double"},
		"bytes that are not base64":       {func(m map[string]any) { m["blob"] = "%%" }, "blob"},
		"a fixed of another size":         {func(m map[string]any) { m["hash"] = "AA==" }, "hash"},
		"a string as a number":            {func(m map[string]any) { m["text"] = 5 }, "text"},
		"a symbol that does not exist":    {func(m map[string]any) { m["mood"] = "grim" }, "mood"},
		"a uuid that is none":             {func(m map[string]any) { m["id"] = "1" }, "id"},
		"a date that is none":             {func(m map[string]any) { m["day"] = "2023-02-29" }, "day"},
		"a moment without a zone":         {func(m map[string]any) { m["atMillis"] = "2024-01-01T00:00:00" }, "atMillis"},
		"a moment that nanoseconds lack":  {func(m map[string]any) { m["atNanos"] = "1000-01-01T00:00:00Z" }, "atNanos"},
		"a decimal with an exponent":      {func(m map[string]any) { m["price"] = "1e9" }, "price"},
		"a decimal without bounds":        {func(m map[string]any) { m["price"] = json.Number("1e999999999") }, "price"},
		"a decimal as a fraction":         {func(m map[string]any) { m["price"] = "1/4" }, "price"},
		"a decimal with too fine a scale": {func(m map[string]any) { m["price"] = "1.005" }, "price"},
		"an array as an object":           {func(m map[string]any) { m["names"] = map[string]any{} }, "names"},
		"a map as an array":               {func(m map[string]any) { m["counts"] = []any{} }, "counts"},
		"a record as an array":            {func(m map[string]any) { m["point"] = []any{} }, "point"},
		"an item of an array":             {func(m map[string]any) { m["names"] = []any{"a", 1} }, "names[1]"},
		"a value of a map":                {func(m map[string]any) { m["counts"] = map[string]any{"k": "v"} }, `counts["k"]`},
		"a field of a record in an array": {func(m map[string]any) { m["points"] = []any{map[string]any{"y": 1}} }, "points[0].x"},
		"null where there is none":        {func(m map[string]any) { m["text"] = nil }, "text"},
		"another type where null may be":  {func(m map[string]any) { m["maybeText"] = 1 }, "maybeText"},
		"Avro's own encoding of a union":  {func(m map[string]any) { m["maybeText"] = map[string]any{"string": "x"} }, "maybeText"},
	} {
		t.Run(name, func(t *testing.T) {
			d := json.NewDecoder(bytes.NewReader(whole))
			d.UseNumber()
			var m map[string]any
			if err := d.Decode(&m); err != nil {
				t.Fatal(err)
			}
			c.change(m)
			text, _ := json.Marshal(m)
			_, err := contract.EncodeJSON(every, text)
			fault, ok := errors.AsType[*contract.FieldError](err)
			if !ok || fault.Field != c.field {
				t.Errorf("error %v, want one of field %s", err, c.field)
			}
		})
	}
}

func TestEncodeJSONReportsAllFaults(t *testing.T) {
	_, err := contract.EncodeJSON(sample.Counted{}.EventType(), []byte(`{"nr":1,"b":2}`))
	if err == nil {
		t.Fatal("no error")
	}
	for _, want := range []string{"field number: is missing", "field nr: is unknown: sample.Counted has number", "field b"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%q is not in:\n%v", want, err)
		}
	}
	for _, text := range []string{"", "[]", "null", "{", `{"number":1} {}`, "\xff"} {
		if _, err := contract.EncodeJSON(sample.Counted{}.EventType(), []byte(text)); err == nil {
			t.Errorf("%q: no error", text)
		}
	}
}
