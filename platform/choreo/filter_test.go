package choreo_test

import (
	"testing"

	"github.com/troupedev/troupe/platform/choreo"
)

func TestFilters(t *testing.T) {
	coupon := "SPRING"
	sale := bought{ID: "s-1", Channel: "web", Total: 500, Weight: 1.5, Gift: true, Coupon: &coupon, To: address{"Bern"}, Ratio: 1.1}
	bare := bought{}
	type options = []choreo.Option
	for name, c := range map[string]struct {
		options    options
		sale, bare bool // whether each is let through
	}{
		"none":                 {nil, true, true},
		"is":                   {options{choreo.Where("channel", choreo.Is("web"))}, true, false},
		"is one of":            {options{choreo.Where("channel", choreo.Is("phone", "web"))}, true, false},
		"is, of a number":      {options{choreo.Where("total", choreo.Is(500))}, true, false},
		"is, of a truth":       {options{choreo.Where("gift", choreo.Is(true))}, true, false},
		"is not":               {options{choreo.Where("channel", choreo.IsNot("web"))}, false, true},
		"is not, of null":      {options{choreo.Where("coupon", choreo.IsNot("SPRING"))}, false, true},
		"prefix":               {options{choreo.Where("id", choreo.Prefix("x-", "s-"))}, true, false},
		"suffix":               {options{choreo.Where("id", choreo.Suffix("-1"))}, true, false},
		"between, low end":     {options{choreo.Where("total", choreo.Between(500, 600))}, true, false},
		"between, high end":    {options{choreo.Where("total", choreo.Between(0, 500))}, true, true},
		"between, above":       {options{choreo.Where("total", choreo.Between(0, 499))}, false, true},
		"between, of a float":  {options{choreo.Where("weight", choreo.Between(1.5, 2.0))}, true, false},
		"is, of a short float": {options{choreo.Where("ratio", choreo.Is(1.1))}, true, false},
		"exists":               {options{choreo.Where("coupon", choreo.Exists())}, true, false},
		"exists, of a record":  {options{choreo.Where("via", choreo.Exists())}, false, false},
		"within a record":      {options{choreo.Where("to.city", choreo.Is("Bern"))}, true, false},
		"within null":          {options{choreo.Where("via.city", choreo.Is("Bern"))}, false, false},
		"several, all hold":    {options{choreo.Where("channel", choreo.Is("web")), choreo.Where("total", choreo.Is(500))}, true, false},
		"several, one fails":   {options{choreo.Where("channel", choreo.Is("web")), choreo.Where("total", choreo.Is(0))}, false, false},
		"either":               {options{choreo.Either(choreo.Where("channel", choreo.Is("web")), choreo.Where("total", choreo.Is(0)))}, true, true},
		"either, none holds":   {options{choreo.Either(choreo.Where("channel", choreo.Is("fax")), choreo.Where("total", choreo.Is(1)))}, false, false},
	} {
		t.Run(name, func(t *testing.T) {
			r := choreo.On(onBought, c.options...)
			if got := r.Accepts(sale); got != c.sale {
				t.Errorf("%q lets the sale through: %t", r.Filter(), got)
			}
			if got := r.Accepts(bare); got != c.bare {
				t.Errorf("%q lets the empty sale through: %t", r.Filter(), got)
			}
		})
	}
}

func TestFiltersReadAsAPersonWouldWriteThem(t *testing.T) {
	r := choreo.On(onBought,
		choreo.Where("channel", choreo.Is("web", "phone")),
		choreo.Either(choreo.Where("total", choreo.Between(1, 2)), choreo.Where("to.city", choreo.Prefix("New York"))),
		choreo.Where("coupon", choreo.Exists()))
	want := `channel is web or phone and (total between 1 and 2 or to.city prefix "New York") and coupon exists`
	if got := r.Filter().String(); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}
