package web

import (
	"encoding/json"
	"errors"
	"net/http"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/danielgtaylor/huma/v2"
)

func TestWhatIsNoTextIsRefused(t *testing.T) {
	onEach(t, func(t *testing.T, url string) {
		h := serveDesk(t, openDesk(t, url))
		tests := []struct {
			name, method, path, body string
			status                   int
			want                     string // in the body
		}{
			{"NUL in the path", "GET", "/sales/%00", "", 400, `"location":"path"`},
			{"no UTF-8 in the path", "GET", "/sales/%ff", "", 400, `"location":"path"`},
			{"NUL in a path that writes", "DELETE", "/sales/a%00b", "", 400, `"location":"path"`},
			{"NUL in the query", "GET", "/sales?after=%00", "", 400, `"location":"query.after"`},
			{"no UTF-8 in the query", "GET", "/sales?after=%c3", "", 400, `"location":"query.after"`},
			{"a name that is no text in the query", "GET", "/sales?%ff=1", "", 400, `"location":"query"`},
			{"a path that nothing is served at", "GET", "/%00", "", 400, `"location":"path"`},
			{"NUL in the body", "POST", "/sales", saleOf(`\u0000`), 422, `"location":"body.who"`},
			{"NUL in a list", "POST", "/sales", `{"who":"Ada","items":[{"sku":"mug","quantity":1},{"sku":"a\u0000b","quantity":1}]}`, 422, `"location":"body.items[1].sku"`},
			{"no UTF-8 in the body", "POST", "/sales", saleOf("A\xffda"), 422, `"location":"body.who"`},
			{"NUL in a name", "POST", "/sales", `{"items":[{"sku":"mug","\u0000":1}]}`, 422, `"location":"body.items[0]"`},
			{"no UTF-8, and no JSON", "POST", "/sales", "{\xff", 422, `"location":"body"`},
			{"a raw NUL, which JSON forbids", "POST", "/sales", saleOf("\x00"), 400, "invalid character"},
			{"an escaped backslash before u0000", "POST", "/sales", saleOf(`\\u0000`), 202, ""},
			{"other controls and escapes", "POST", "/sales", saleOf(`\u0001é\ud83d\ude00`), 202, ""},
		}
		for _, test := range tests {
			t.Run(test.name, func(t *testing.T) {
				w := do(h, test.method, test.path, test.body)
				if w.Code != test.status || !strings.Contains(w.Body.String(), test.want) {
					t.Errorf("got %d %s\nwant %d %s", w.Code, w.Body, test.status, test.want)
				}
				if test.status == http.StatusBadRequest && w.Header().Get("Content-Type") != "application/problem+json" {
					t.Errorf("got %v", w.Header())
				}
			})
		}
	})
}

// FuzzCheckBody: what passes and is JSON holds text alone, and what is refused
// has its place named in text.
func FuzzCheckBody(f *testing.F) {
	for _, seed := range []string{`{"a":[1,{"b":"\u0000"}]}`, `{"a\u0000":1}`, "[\"\xff\"]", `"\u0000"`, `{"a":{},"b":[[],"\u0000"]}`, `]`, `\u0000`, `{"a":"\\u0000"}`} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		err := checkBody(body)
		if err == nil {
			var v any
			if json.Unmarshal(body, &v) == nil && !onlyText(v) {
				t.Fatalf("%q was taken", body)
			}
			return
		}
		problem, ok := errors.AsType[*huma.ErrorModel](err)
		if !ok || len(problem.Errors) != 1 || !strings.HasPrefix(problem.Errors[0].Location, "body") || !isText(problem.Errors[0].Location) {
			t.Fatalf("%q: %v", body, err)
		}
		if utf8.Valid(body) && !strings.Contains(string(body), `\u0000`) {
			t.Fatalf("%q was refused", body)
		}
	})
}

func onlyText(v any) bool {
	switch v := v.(type) {
	case string:
		return isText(v)
	case []any:
		for _, item := range v {
			if !onlyText(item) {
				return false
			}
		}
	case map[string]any:
		for name, item := range v {
			if !isText(name) || !onlyText(item) {
				return false
			}
		}
	}
	return true
}
