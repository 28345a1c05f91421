package contract_test

import (
	"encoding/binary"
	"errors"
	"math"
	"math/big"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/troupedev/troupe/platform/contract"
	"github.com/troupedev/troupe/platform/contract/internal/external"
	"github.com/troupedev/troupe/platform/contract/internal/sample"
	"github.com/troupedev/troupe/platform/event"
)

const uuid = "0190c2a4-7d5e-7c3b-9a61-1f0f6a1f2b3c"

func decimal(s string) *big.Rat {
	r, ok := new(big.Rat).SetString(s)
	if !ok {
		panic(s)
	}
	return r
}

// everything are events with all types at their edges.
func everything() map[string]sample.Everything {
	least := sample.Everything{ // the zero of what has no zero of its own
		ID: uuid, Mood: sample.Calm, Colour: sample.Red, Preferred: sample.ColourSad,
		Day: time.Unix(0, 0).UTC(), AtMillis: time.Unix(0, 0).UTC(), AtMicros: time.Unix(0, 0).UTC(), AtNanos: time.Unix(0, 0).UTC(),
		LocalMillis: time.Unix(0, 0).UTC(), LocalMicros: time.Unix(0, 0).UTC(), LocalNanos: time.Unix(0, 0).UTC(),
		Price: new(big.Rat), Rate: new(big.Rat),
	}
	low, high := least, least
	low.Small, low.Large, low.Single, low.Double = math.MinInt32, math.MinInt64, -math.MaxFloat32, -math.MaxFloat64
	low.Day = time.Date(1, 1, 1, 0, 0, 0, 0, time.UTC)
	low.AtMillis = time.Date(1, 1, 1, 0, 0, 0, 0, time.UTC)
	low.AtMicros = time.Date(1969, 12, 31, 23, 59, 59, 999_999_000, time.UTC)
	low.AtNanos = time.Date(1969, 12, 31, 23, 59, 59, 999_999_999, time.UTC)
	low.LocalMillis = time.Date(1833, 2, 3, 4, 5, 6, 7_000_000, time.UTC)
	low.Price, low.Rate = decimal("-99999999.99"), decimal("-999999.999999")
	low.MaybeLast, low.MaybePrice = new(int64(0)), decimal("-1.5")
	low.MaybeBlob, low.MaybeNames, low.MaybeCounts = []byte{}, []string{}, map[string]int32{}
	low.MaybeText, low.MaybeTrue = new(""), new(false)

	high.Truth, high.Small, high.Large = true, math.MaxInt32, math.MaxInt64
	high.Single, high.Double = math.SmallestNonzeroFloat32, math.SmallestNonzeroFloat64
	high.Blob, high.Text = []byte{0, 255, 0}, strings.Repeat("žluťoučký kůň 🐎 ", 20)
	high.Hash, high.Mood, high.Colour = [4]byte{1, 2, 3, 255}, sample.MoodSad, sample.ColourSad
	high.Day = time.Date(9999, 12, 31, 0, 0, 0, 0, time.UTC)
	high.ClockMillis, high.ClockMicros = 24*time.Hour-time.Millisecond, 24*time.Hour-time.Microsecond
	high.AtMillis = time.Date(9999, 12, 31, 23, 59, 59, 999_000_000, time.UTC)
	high.AtMicros = time.Date(9999, 12, 31, 23, 59, 59, 999_999_000, time.UTC)
	high.AtNanos = time.Date(2262, 4, 11, 0, 0, 0, 123_456_789, time.UTC)
	high.LocalMicros = time.Date(2024, 2, 29, 1, 2, 3, 4000, time.UTC)
	high.Price, high.Rate = decimal("1.28"), decimal("0.000001") // 128 needs a second byte for its sign
	high.Point = sample.Point{X: 1, Y: -1, Label: new("here")}
	high.Points = []sample.Point{high.Point, {}}
	high.Names, high.Moods = []string{"", "a", strings.Repeat("b", 70)}, []sample.Mood{sample.Glad}
	high.Hashes, high.Grid = [][4]byte{{9}, {}}, [][]int64{nil, {1, -1}, {math.MaxInt64}}
	high.Holes = []*int64{nil, new(int64(5))}
	high.Moments = []time.Time{low.AtMicros, high.AtMicros}
	high.Counts, high.Places = map[string]int64{"": 1, "ž": -2}, map[string][]sample.Point{"p": {{X: 1}}, "q": nil}
	high.Prices = map[string]*big.Rat{"a": decimal("-128"), "b": decimal("127")}
	high.MaybeText, high.MaybeLast, high.MaybePoint = new("x"), new(int64(math.MinInt64)), new(high.Point)
	high.MaybeMood, high.MaybeHash, high.MaybeBlob = new(sample.Glad), new([4]byte{7}), []byte{1}
	high.MaybeNames, high.MaybeCounts = []string{"n"}, map[string]int32{"c": 3}
	high.MaybePrice, high.MaybeAt, high.MaybeDay, high.MaybeTrue = decimal("99.9"), new(high.AtMillis), new(high.Day), new(true)
	return map[string]sample.Everything{"least": least, "low": low, "high": high}
}

func TestEveryTypeComesBack(t *testing.T) {
	for name, e := range everything() {
		t.Run(name, func(t *testing.T) {
			into := sample.Everything{MaybeText: new("left over"), MaybeNames: []string{"left over"}}
			if err := contract.Decode(encode(t, e), e.EventType(), &into); err != nil {
				t.Fatal(err)
			}
			if diff := differ(into, e); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// differ names the fields in which two events are not the same.
func differ(a, b any) string {
	va, vb := reflect.ValueOf(a), reflect.ValueOf(b)
	var out []string
	for i := range va.NumField() {
		x, y := va.Field(i).Interface(), vb.Field(i).Interface()
		if rx, ok := x.(*big.Rat); ok && rx != nil && y.(*big.Rat) != nil && rx.Cmp(y.(*big.Rat)) == 0 {
			continue
		}
		if mx, ok := x.(map[string]*big.Rat); ok && len(mx) == va.Field(i).Len() {
			same := true
			for k, v := range mx {
				other := y.(map[string]*big.Rat)[k]
				same = same && other != nil && v.Cmp(other) == 0
			}
			if same {
				continue
			}
		}
		if !reflect.DeepEqual(x, y) {
			out = append(out, va.Type().Field(i).Name)
		}
	}
	if len(out) == 0 {
		return ""
	}
	return "differs in " + strings.Join(out, ", ")
}

func TestEncodeFillsInWhatIsEmpty(t *testing.T) {
	e := everything()["least"]
	e.Colour, e.Preferred, e.Price, e.Rate = "", "", nil, nil
	var into sample.Everything
	if err := contract.Decode(encode(t, e), e.EventType(), &into); err != nil {
		t.Fatal(err)
	}
	if into.Colour != sample.Red || into.Preferred != sample.ColourSad || into.Price.Sign() != 0 || into.Rate.Sign() != 0 {
		t.Errorf("got %q, %q, %s, %s", into.Colour, into.Preferred, into.Price, into.Rate)
	}
}

func TestEncodeCutsTimesDown(t *testing.T) {
	e := everything()["least"]
	berlin := time.FixedZone("somewhere", 2*3600)
	at := time.Date(1969, 5, 1, 0, 30, 0, 999_999_999, berlin)
	e.Day, e.AtMillis, e.LocalMillis, e.ClockMillis = at, at, at, 1500*time.Microsecond
	var into sample.Everything
	if err := contract.Decode(encode(t, e), e.EventType(), &into); err != nil {
		t.Fatal(err)
	}
	if want := time.Date(1969, 4, 30, 0, 0, 0, 0, time.UTC); !into.Day.Equal(want) {
		t.Errorf("day: %s, want %s, as UTC has it", into.Day, want)
	}
	if want := at.Truncate(time.Millisecond).UTC(); into.AtMillis != want {
		t.Errorf("timestamp: %s, want %s", into.AtMillis, want)
	}
	if want := time.Date(1969, 5, 1, 0, 30, 0, 999_000_000, time.UTC); into.LocalMillis != want {
		t.Errorf("local timestamp: %s, want %s, as the clock showed", into.LocalMillis, want)
	}
	if into.ClockMillis != time.Millisecond {
		t.Errorf("time of day: %s", into.ClockMillis)
	}
}

func TestEncodeRefusesWhatDoesNotFit(t *testing.T) {
	for name, c := range map[string]struct {
		field  string
		change func(*sample.Everything)
	}{
		"an enum without a default that is empty": {"mood", func(e *sample.Everything) { e.Mood = "" }},
		"a symbol that does not exist":            {"colour", func(e *sample.Everything) { e.Colour = "blue" }},
		"a uuid that is none":                     {"id", func(e *sample.Everything) { e.ID = strings.Replace(uuid, "-", "0", 1) }},
		"an empty uuid":                           {"id", func(e *sample.Everything) { e.ID = "" }},
		"a decimal with too many digits":          {"price", func(e *sample.Everything) { e.Price = decimal("100000000") }},
		"a decimal with too fine a scale":         {"price", func(e *sample.Everything) { e.Price = decimal("0.001") }},
		"a fraction that no decimal is":           {"rate", func(e *sample.Everything) { e.Rate = decimal("1/3") }},
		"a time of day of 24 hours":               {"clockMillis", func(e *sample.Everything) { e.ClockMillis = 24 * time.Hour }},
		"a time of day below 0":                   {"clockMicros", func(e *sample.Everything) { e.ClockMicros = -1 }},
		"nanoseconds of a year too far":           {"atNanos", func(e *sample.Everything) { e.AtNanos = time.Date(2263, 1, 1, 0, 0, 0, 0, time.UTC) }},
		"a date too far":                          {"day", func(e *sample.Everything) { e.Day = time.Unix(1<<50, 0) }},
		"a string that is not UTF-8":              {"text", func(e *sample.Everything) { e.Text = "\xff" }},
		"a long string that is not UTF-8":         {"text", func(e *sample.Everything) { e.Text = strings.Repeat("a", 99) + "\xff" }},
		"a key of a map that is not UTF-8":        {"counts", func(e *sample.Everything) { e.Counts = map[string]int64{"\xff": 1} }},
		"in a nested record":                      {"Point.label", func(e *sample.Everything) { e.Points = []sample.Point{{Label: new("\xff")}} }},
		"in an array":                             {"moods", func(e *sample.Everything) { e.Moods = []sample.Mood{"odd"} }},
	} {
		t.Run(name, func(t *testing.T) {
			e := everything()["high"]
			c.change(&e)
			dst, err := contract.Append([]byte("before"), e)
			fault, ok := errors.AsType[*contract.FieldError](err)
			if !ok || fault.Field != c.field {
				t.Errorf("error %v, want one of field %s", err, c.field)
			}
			if string(dst) != "before" {
				t.Errorf("dst is %q, want it as it was", dst)
			}
		})
	}
}

func TestAppendFrames(t *testing.T) {
	e := sample.Counted{Number: -3}
	value := encode(t, e)
	if want := []byte{0, 0, 0, 0, 0, 5}; len(value) != len(want) || value[0] != 0 || value[5] != 5 {
		t.Fatalf("value is %x", value)
	}
	if id := int32(binary.BigEndian.Uint32(value[1:])); id != e.EventType().ID || id <= 0 {
		t.Errorf("id on the wire is %d, the type's %d", id, e.EventType().ID)
	}
	if id, err := contract.SchemaID(value); id != e.EventType().ID || err != nil {
		t.Errorf("SchemaID is %d, %v", id, err)
	}
}

func TestAppendRefusesTooMuch(t *testing.T) {
	e := everything()["least"]
	e.Blob = make([]byte, contract.MaxSize)
	if _, err := contract.Append(nil, e); !errors.Is(err, contract.ErrTooLarge) {
		t.Errorf("error %v", err)
	}
}

type byHand struct{ sample.Counted }

func (byHand) EncodeAvro() {}

func TestAppendRefusesEventsWrittenByHand(t *testing.T) {
	if _, err := contract.Append(nil, event.Event(byHand{})); err == nil {
		t.Error("no error")
	}
}

// value frames a body by hand.
func value(id int32, body ...byte) []byte {
	return append(binary.BigEndian.AppendUint32([]byte{0}, uint32(id)), body...)
}

func TestDecodeRefuses(t *testing.T) {
	counted, measuredType, every := sample.Counted{}.EventType(), sample.Measured{}.EventType(), sample.Everything{}.EventType()
	huge := []byte{0xfe, 0xff, 0xff, 0xff, 0x4f} // 10.7 GB
	id := append([]byte{72}, uuid...)
	for name, c := range map[string]struct {
		value []byte
		reads *event.Type
		into  contract.Decoder
		want  error
	}{
		"a tombstone":                     {nil, counted, new(sample.Counted), contract.ErrEmpty},
		"an empty value":                  {[]byte{}, counted, new(sample.Counted), contract.ErrEmpty},
		"JSON":                            {[]byte(`{"number":1}`), counted, new(sample.Counted), contract.ErrMagic},
		"a header that ends early":        {[]byte{0, 1, 2}, counted, new(sample.Counted), contract.ErrTruncated},
		"an id that nobody knows":         {value(1, 2), counted, new(sample.Counted), contract.ErrUnknownSchema},
		"a body that ends early":          {value(counted.ID), counted, new(sample.Counted), contract.ErrTruncated},
		"a number that ends early":        {value(counted.ID, 0x80), counted, new(sample.Counted), contract.ErrTruncated},
		"a byte too much":                 {value(counted.ID, 2, 0), counted, new(sample.Counted), contract.ErrTrailing},
		"a long where an int is":          {value(counted.ID, 0x80, 0x80, 0x80, 0x80, 0x10), counted, new(sample.Counted), contract.ErrMalformed},
		"a number of more than 64 bits":   {value(counted.ID, 255, 255, 255, 255, 255, 255, 255, 255, 255, 127), counted, new(sample.Counted), contract.ErrMalformed},
		"a string longer than any value":  {value(measuredType.ID, huge...), measuredType, new(sample.Measured), contract.ErrHostile},
		"a string of negative length":     {value(measuredType.ID, 1), measuredType, new(sample.Measured), contract.ErrHostile},
		"a string longer than this value": {value(measuredType.ID, 100, 'a'), measuredType, new(sample.Measured), contract.ErrTruncated},
		"text that is not UTF-8":          {value(measuredType.ID, 2, 0xff), measuredType, new(sample.Measured), contract.ErrUTF8},
		"an enum's index out of range":    {value(measuredType.ID, 0, 0, 0, 6), measuredType, new(sample.Measured), contract.ErrEnumIndex},
		"a boolean of 2":                  {value(measuredType.ID, 0, 0, 0, 0, 0, 0, 2), measuredType, new(sample.Measured), contract.ErrMalformed},
		"a branch that a union lacks": {value(measuredType.ID, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 4),
			measuredType, new(sample.Measured), contract.ErrMalformed},
		"another event": {value(every.ID, id...), counted, new(sample.Counted), contract.ErrUnknownSchema},
		"more than the largest value": {append(value(counted.ID), make([]byte, contract.MaxSize)...), counted, new(sample.Counted),
			contract.ErrTooLarge},
	} {
		t.Run(name, func(t *testing.T) {
			if err := contract.Decode(c.value, c.reads, c.into); !errors.Is(err, c.want) {
				t.Errorf("error %v, want %v", err, c.want)
			}
			if _, err := contract.DecodeJSON(c.reads, c.value); !errors.Is(err, c.want) {
				t.Errorf("DecodeJSON: error %v, want %v", err, c.want)
			}
		})
	}
}

func TestDecodeRefusesEveryCut(t *testing.T) {
	for name, e := range everything() {
		whole := encode(t, e)
		for n := range whole {
			var into sample.Everything
			if err := contract.Decode(whole[:n], e.EventType(), &into); err == nil {
				t.Fatalf("%s cut at %d of %d: no error", name, n, len(whole))
			}
		}
		var into sample.Everything
		if err := contract.Decode(append(whole, 0), e.EventType(), &into); !errors.Is(err, contract.ErrTrailing) {
			t.Errorf("%s and a byte: %v", name, err)
		}
	}
}

func TestDecodeKeepsNothingOfTheValue(t *testing.T) {
	e := everything()["high"]
	v := encode(t, e)
	var into sample.Everything
	if err := contract.Decode(v, e.EventType(), &into); err != nil {
		t.Fatal(err)
	}
	for i := range v {
		v[i] = 'x'
	}
	if diff := differ(into, e); diff != "" {
		t.Error("after the value was overwritten, the event " + diff)
	}
}

func TestUnknownSchemaNamesWhatWasRead(t *testing.T) {
	err := contract.Decode(value(77), sample.Counted{}.EventType(), new(sample.Counted))
	unknown, ok := errors.AsType[*contract.UnknownSchemaError](err)
	if !ok || unknown.ID != 77 || unknown.Reads != (sample.Counted{}).EventType() {
		t.Fatalf("error %#v", err)
	}
	if !strings.Contains(err.Error(), "77") || !strings.Contains(err.Error(), "sample.Counted") {
		t.Errorf("error %q names neither the id nor the event", err)
	}
}

func TestIndexTellsEventsApart(t *testing.T) {
	counted, noted := sample.Counted{Number: 1}, external.Noted{EventTypeField: "t"}
	x := contract.NewIndex(counted.EventType(), noted.EventType(), sample.Evolved{}.EventType())
	if got, err := x.TypeOf(encode(t, evolvedV1())); err != nil || got.String() != "sample.Evolved/v1" {
		t.Errorf("TypeOf: %v, %v", got, err)
	}
	err := x.Decode(encode(t, noted), counted.EventType(), new(sample.Counted))
	other, ok := errors.AsType[*contract.OtherEventError](err)
	if !ok || other.Wrote != noted.EventType() || other.Reads != counted.EventType() || !errors.Is(err, contract.ErrOtherEvent) {
		t.Errorf("error %v", err)
	}
	if err := x.Decode(encode(t, counted), counted.EventType(), new(sample.Counted)); err != nil {
		t.Error(err)
	}
	if _, err := x.TypeOf(value(5)); !errors.Is(err, contract.ErrUnknownSchema) {
		t.Errorf("error %v", err)
	}
}

func TestKeys(t *testing.T) {
	for _, c := range []struct {
		e    event.Event
		want string
	}{
		{sample.Counted{Number: -12}, "-12"},
		{sample.Relaxed{ID: math.MaxInt64}, "9223372036854775807"},
		{everything()["high"], uuid},
		{external.Noted{}, "NOTE"},
		{sample.Evolved{ID: "ž", State: sample.Closed}, "ž"},
	} {
		t.Run(c.e.EventType().FullName(), func(t *testing.T) {
			if got := c.e.Key(); got != c.want {
				t.Errorf("Key is %q, want %q", got, c.want)
			}
			got, err := contract.KeyOf(c.e.EventType(), encode(t, c.e))
			if got != c.want || err != nil {
				t.Errorf("KeyOf is %q, %v, want %q", got, err, c.want)
			}
		})
	}
}

func TestFieldOf(t *testing.T) {
	every := sample.Everything{}.EventType()
	for _, c := range []struct {
		path     string
		kind     contract.Kind
		logical  string
		nullable bool
	}{
		{"mood", contract.KindEnum, "", false},
		{"maybeMood", contract.KindEnum, "", true},
		{"point.x", contract.KindInt, "", false},
		{"maybePoint.x", contract.KindInt, "", true},
		{"point.label", contract.KindString, "", true},
		{"atMicros", contract.KindLong, "timestamp-micros", false},
	} {
		t.Run(c.path, func(t *testing.T) {
			f, err := contract.FieldOf(every, c.path)
			if err != nil || f.Kind != c.kind || f.Logical != c.logical || f.Nullable != c.nullable {
				t.Errorf("%+v, %v", f, err)
			}
			if c.kind == contract.KindEnum && !f.Has("glad") {
				t.Error("lacks the symbol glad")
			}
		})
	}
	for path, part := range map[string]string{"point.z": `"z" among x, y, label`, "mood.x": "enum sample.Mood", "nope": `"nope"`} {
		if _, err := contract.FieldOf(every, path); err == nil || !strings.Contains(err.Error(), part) {
			t.Errorf("%s: error %v, want one with %s", path, err, part)
		}
	}
}
