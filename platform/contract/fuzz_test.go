package contract_test

import (
	"bytes"
	"errors"
	"testing"

	"github.com/troupedev/troupe/platform/contract"
	"github.com/troupedev/troupe/platform/contract/internal/sample"
)

// known are the errors that a record value may lead to.
var known = []error{
	contract.ErrEmpty, contract.ErrMagic, contract.ErrUnknownSchema, contract.ErrTruncated, contract.ErrTrailing,
	contract.ErrHostile, contract.ErrTooLarge, contract.ErrMalformed, contract.ErrEnumIndex, contract.ErrUTF8,
}

func isKnown(err error) bool {
	for _, k := range known {
		if errors.Is(err, k) {
			return true
		}
	}
	_, unreadable := errors.AsType[*contract.UnreadableError](err)
	return unreadable
}

// FuzzDecode reads bytes as an event with every type: an error of this
// package, or an event that is written and read again as it was.
func FuzzDecode(f *testing.F) {
	typ := sample.Everything{}.EventType()
	for _, e := range everything() {
		f.Add(encode(f, e)[5:])
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		var e sample.Everything
		if err := contract.Decode(value(typ.ID, body...), typ, &e); err != nil {
			if !isKnown(err) {
				t.Fatal(err)
			}
			return
		}
		v, err := contract.Append(nil, e)
		if err != nil {
			if _, ok := errors.AsType[*contract.FieldError](err); !ok { // a uuid that is none, read as it came
				t.Fatal(err)
			}
			return
		}
		var again sample.Everything
		if err := contract.Decode(v, typ, &again); err != nil {
			t.Fatal(err)
		}
		if w := encode(t, again); !bytes.Equal(v, w) {
			t.Fatalf("written as %x, and then as %x", v, w)
		}
	})
}

// FuzzResolve reads bytes of one version as another.
func FuzzResolve(f *testing.F) {
	family, relaxed := sample.Evolved{}.EventType().Family(), sample.Relaxed{}.EventType().Family()
	f.Add(encode(f, evolvedV1())[5:])
	f.Add(encode(f, sample.Evolved{ID: "a", State: sample.Waiting, Lines: []sample.Line{{SKU: "b"}}})[5:])
	f.Add(encode(f, sample.RelaxedV1{E: []byte("é"), Old: "o"})[5:])
	f.Fuzz(func(t *testing.T, body []byte) {
		for _, err := range []error{
			contract.Decode(value(family[0].ID, body...), family[1], new(sample.Evolved)),
			contract.Decode(value(family[1].ID, body...), family[0], new(sample.EvolvedV1)),
			contract.Decode(value(relaxed[0].ID, body...), relaxed[1], new(sample.Relaxed)),
		} {
			if err != nil && !isKnown(err) {
				t.Fatal(err)
			}
		}
	})
}

// FuzzDecodeJSON shows bytes as JSON, and takes that back to the same bytes.
func FuzzDecodeJSON(f *testing.F) {
	typ := sample.Everything{}.EventType()
	for _, e := range everything() {
		f.Add(encode(f, e)[5:])
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		v := value(typ.ID, body...)
		text, err := contract.DecodeJSON(typ, v)
		if err != nil {
			if !isKnown(err) {
				t.Fatal(err)
			}
			return
		}
		if _, err := contract.KeyOf(typ, v); err != nil {
			t.Fatalf("no key, though it decodes: %v", err)
		}
		back, err := contract.EncodeJSON(typ, text)
		if err != nil {
			if _, ok := errors.AsType[*contract.FieldError](err); !ok {
				t.Fatalf("%v\nof %s", err, text)
			}
			return
		}
		if again, err := contract.DecodeJSON(typ, back); err != nil || !bytes.Equal(again, text) {
			t.Fatalf("%s, and then %s, %v", text, again, err)
		}
	})
}

// FuzzEncodeJSON takes any text; what it takes, it can show.
func FuzzEncodeJSON(f *testing.F) {
	typ := sample.Everything{}.EventType()
	for _, e := range everything() {
		text, err := contract.DecodeJSON(typ, encode(f, e))
		if err != nil {
			f.Fatal(err)
		}
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		v, err := contract.EncodeJSON(typ, text)
		if err != nil {
			return
		}
		if _, err := contract.DecodeJSON(typ, v); err != nil {
			t.Fatalf("%v\nof %s", err, text)
		}
	})
}

// FuzzFolder loads a folder of any texts.
func FuzzFolder(f *testing.F) {
	f.Add(domainYAML+"retention: 3d\nevents: {E: {retired: [1]}}\n", "5 d.E 1 ff\n", record(keyField))
	f.Add(domainYAML, "#", record(`{"name":"a","type":{"type":"fixed","name":"F","size":-1,"logicalType":"decimal","precision":3},"default":"x"}`))
	f.Add("owner: [", "#", typed(`{"type":"array","items":["null","E"]}`))
	f.Fuzz(func(t *testing.T, domain, lock, schema string) {
		folder, err := contract.Load(folderOf(map[string]string{
			"d/domain.yaml": domain, "d/schemas.lock": lock, "d/E/v1.avsc": schema, "d/E/v2.avsc": record(keyField),
		}), "schemas")
		_ = folder.Check() // also of what does not parse
		if err != nil {
			return
		}
		for _, d := range folder.Domains {
			text := d.Locking().String()
			back, err := contract.ParseLock([]byte(text))
			if err != nil || back.String() != text {
				t.Fatalf("lock %q is read back as %q, %v", text, back.String(), err)
			}
		}
	})
}
