package rig

import (
	"os"
	"path/filepath"
	"testing"
)

const thing = `{"type": "record", "name": "Thing", "namespace": "things", "fields": [
	{"name": "thingId", "type": "string", "key": true},
	{"name": "parts", "type": {"type": "array", "items": "long"}},
	{"name": "note", "type": ["null", "string"], "default": null}]}`

func folder(t *testing.T) *Schemas {
	t.Helper()
	dir := t.TempDir()
	for name, text := range map[string]string{
		"things/schemas.lock":  "# a lock\n305419896 things.Thing v1 abcdef\n",
		"things/Thing/v1.avsc": thing,
	} {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	s, err := LoadSchemas(dir)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestDecodeTakesWholeRecordsOnly(t *testing.T) {
	s := folder(t)
	value, err := s.Encode("things.Thing", map[string]any{"thingId": "t-1", "parts": []int64{1, 2}, "note": nil})
	if err != nil {
		t.Fatal(err)
	}
	schema, fields, err := s.Decode(value)
	if err != nil || schema.Type != "things.Thing" || schema.Version != 1 || schema.Key != "thingId" || fields["thingId"] != "t-1" {
		t.Fatalf("Decode: %+v, %v, %v", schema, fields, err)
	}
	for n := range value {
		if _, _, err := s.Decode(value[:n]); err == nil {
			t.Errorf("the first %d of %d bytes were taken for a whole record", n, len(value))
		}
	}
	if _, _, err := s.Decode(append(value, 0)); err == nil {
		t.Error("a byte too many was passed over")
	}
}
