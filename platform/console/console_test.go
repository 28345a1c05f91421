package console

import (
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/troupedev/troupe/platform/console/inbox"
)

func TestConsole(t *testing.T) {
	waiting := []string{"the <broker>"}
	with := Handler(Options{
		Waiting: func() []string { return waiting },
		Inbox:   &inbox.Inbox{},
		Links:   []Link{{Name: "API", URL: "http://127.0.0.1:8000/docs", Doc: "To try."}, {Name: "Odd", URL: "javascript:alert(1)"}},
	})
	without := Handler(Options{Waiting: func() []string { return nil }})
	tests := []struct {
		name   string
		path   string
		ready  bool
		inbox  bool
		status int
		want   string
	}{
		{"alive before it is ready", "/livez", false, true, 200, `{"live":true}`},
		{"not ready, and why", "/readyz", false, true, 503, `{"ready":false,"waiting":["the \u003cbroker\u003e"]}`},
		{"ready", "/readyz", true, true, 200, `{"ready":true}`},
		{"mail", "/email", true, true, 200, "[]"},
		{"mail elsewhere", "/email", true, false, 404, "not found"},
		{"the start page before it is ready", "/", false, true, 200, "<li>the &lt;broker&gt;</li>"},
		{"the start page", "/", true, true, 200, `<a href="http://127.0.0.1:8000/docs">API</a>`},
		{"a link that is none", "/", true, true, 200, `<a href="#ZgotmplZ">Odd</a>`},
		{"nothing", "/nothing", true, true, 404, "not found"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			waiting = nil
			if !test.ready {
				waiting = []string{"the <broker>"}
			}
			h := with
			if !test.inbox {
				h = without
			}
			w := httptest.NewRecorder()
			h.ServeHTTP(w, httptest.NewRequest("GET", test.path, nil))
			if w.Code != test.status || !strings.Contains(w.Body.String(), test.want) {
				t.Errorf("got %d %s\nwant %d with %s", w.Code, w.Body, test.status, test.want)
			}
		})
	}
}
