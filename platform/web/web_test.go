package web

import (
	"bufio"
	"context"
	"encoding/json"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/troupedev/troupe/platform/choreo"
	"github.com/troupedev/troupe/platform/event"
)

func TestPostAnswersOnceItsEventsArePublished(t *testing.T) {
	b := &broker{}
	w := do(serve(t, b), "POST", "/sales", goodSale)
	var got receipt
	if err := json.Unmarshal(w.Body.Bytes(), &got); err != nil || w.Code != http.StatusAccepted {
		t.Fatalf("got %d %s, %v", w.Code, w.Body, err)
	}
	if len(b.taken) != 1 || b.taken[0].ID != got.ID || got.ID != got.Flow || got.ID == "" {
		t.Fatalf("answered %+v, published %+v", got, b.taken)
	}
	envelope, err := event.ParseHeaders(b.taken[0].Headers)
	if err != nil {
		t.Fatal(err)
	}
	if envelope.Source != "/services/sales" || envelope.Reaction != "POST /sales" || envelope.Cause != "" || envelope.Hop != 0 || !envelope.Time.Equal(noon) {
		t.Errorf("published with %+v", envelope)
	}
}

func TestProblems(t *testing.T) {
	tests := []struct {
		name, method, path, body string
		headers                  []string
		status                   int
		want                     string // in the body
	}{
		{"a field that is too small", "POST", "/sales", `{"who":"Ada","items":[{"sku":"mug","quantity":0}]}`, nil, 422, `"location":"body.items[0].quantity"`},
		{"a field that is missing", "POST", "/sales", `{"items":[{"sku":"mug","quantity":1}]}`, nil, 422, `"body.who"`},
		{"a field that is unknown", "POST", "/sales", `{"who":"Ada","items":[{"sku":"mug","quantity":1,"price":0}]}`, nil, 422, `"location":"body.items[0].price"`},
		{"a field that the handler refuses", "POST", "/sales", saleOf("nobody"), nil, 422, `{"message":"is nobody","location":"body.who","value":"nobody"}`},
		{"a query parameter that is unknown", "POST", "/sales?x=1", goodSale, nil, 422, `"location":"query.x"`},
		{"no JSON", "POST", "/sales", `{"who":`, nil, 400, "unexpected end of JSON"},
		{"two JSON values", "POST", "/sales", goodSale + goodSale, nil, 400, "after top-level value"},
		{"an empty body", "POST", "/sales", "", nil, 400, "request body is required"},
		{"a body that is too large", "POST", "/sales", `{"who":"` + strings.Repeat("A", maxBody) + `"}`, nil, 413, "larger than 1048576 bytes"},
		{"another content type", "POST", "/sales", goodSale, []string{"Content-Type", "text/plain"}, 415, "text/plain"},
		{"a handler that fails", "POST", "/sales", saleOf("breaker"), nil, 500, "its log says why"},
		{"a handler that panics", "POST", "/sales", saleOf("panicker"), nil, 500, "its log says why"},
		{"an event that is not declared", "POST", "/sales", saleOf("liar"), nil, 500, "its log says why"},
		{"another method", "DELETE", "/sales", "", nil, 405, "/sales does not take DELETE; it takes POST"},
		{"another path", "GET", "/nothing", "", nil, 404, "nothing is served at /nothing"},
		{"an empty key", "POST", "/sales", goodSale, []string{idempotencyKey, ""}, 422, "is empty"},
		{"a key that is too long", "POST", "/sales", goodSale, []string{idempotencyKey, strings.Repeat("k", 256)}, 422, "is 256 bytes long"},
		{"a key with a space", "POST", "/sales", goodSale, []string{idempotencyKey, "a b"}, 422, "has other characters"},
		{"a key that is not ASCII", "POST", "/sales", goodSale, []string{idempotencyKey, "schlüssel"}, 422, "has other characters"},
		{"two keys", "POST", "/sales", goodSale, []string{idempotencyKey, "a", idempotencyKey, "b"}, 422, `"location":"header.Idempotency-Key"`},
	}
	b := &broker{}
	h := serve(t, b)
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			w := do(h, test.method, test.path, test.body, test.headers...)
			if w.Code != test.status || !strings.Contains(w.Body.String(), test.want) {
				t.Errorf("got %d %s\nwant %d with %s", w.Code, w.Body, test.status, test.want)
			}
			if got := w.Header().Get("Content-Type"); got != "application/problem+json" {
				t.Errorf("content type %q", got)
			}
			if strings.Contains(w.Body.String(), "secret") || strings.Contains(w.Body.String(), ".go:") {
				t.Errorf("the answer tells of the inside: %s", w.Body)
			}
		})
	}
	if len(b.taken) > 0 {
		t.Errorf("published %d events of requests that failed", len(b.taken))
	}
}

func TestPublishingFails(t *testing.T) {
	w := do(serve(t, &broker{refusals: 1}), "POST", "/sales", goodSale)
	if w.Code != http.StatusServiceUnavailable || !strings.Contains(w.Body.String(), "may or may not have: send it again with the same Idempotency-Key") {
		t.Errorf("got %d %s", w.Code, w.Body)
	}
	if w.Header().Get("Retry-After") == "" {
		t.Error("no Retry-After")
	}
}

func TestPublishingGivesUpOnABrokerThatIsSilent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := &broker{hold: make(chan struct{})}
		began := time.Now()
		w := do(serve(t, b), "POST", "/sales", goodSale)
		if w.Code != http.StatusServiceUnavailable || time.Since(began) != publishTimeout {
			t.Errorf("after %v got %d %s", time.Since(began), w.Code, w.Body)
		}
	})
}

func TestPublishingGoesOnWhenTheClientHasGone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := &broker{hold: make(chan struct{})}
		h := serve(t, b)
		ctx, leave := context.WithCancel(t.Context())
		var request sync.WaitGroup
		request.Go(func() {
			r := httptest.NewRequestWithContext(ctx, "POST", "/sales", strings.NewReader(goodSale))
			r.Header.Set("Content-Type", "application/json")
			h.ServeHTTP(httptest.NewRecorder(), r)
		})
		synctest.Wait() // it publishes
		leave()
		synctest.Wait()
		close(b.hold)
		request.Wait()
		if len(b.ids()) != 1 {
			t.Errorf("published %v", b.ids())
		}
	})
}

// TestHandlersMayTakeLongerThanReading relies on net/http to lift the deadline
// for reading a body once that is read: when it passes, the context ends.
func TestHandlersMayTakeLongerThanReading(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const reading, handling = time.Second, time.Minute
		work := func(ctx context.Context, _ *sale) (receipt, choreo.Events, error) {
			select {
			case <-ctx.Done():
				return receipt{}, nil, context.Cause(ctx)
			case <-time.After(handling):
				return receipt{}, nil, nil
			}
		}
		slow := choreo.Service{Name: "slow", Routes: []choreo.Route{Post("/slow", work)}}
		client, end := net.Pipe()
		server := &http.Server{Handler: serve(t, &broker{}, slow), ReadTimeout: reading}
		var serving sync.WaitGroup
		serving.Go(func() { _ = server.Serve(&oneConn{conn: end, closed: make(chan struct{})}) })
		request, err := http.NewRequest("POST", "http://api/slow", strings.NewReader(goodSale))
		if err != nil {
			t.Fatal(err)
		}
		request.Header.Set("Content-Type", "application/json")
		var writing sync.WaitGroup
		writing.Go(func() { _ = request.Write(client) })
		answer, err := http.ReadResponse(bufio.NewReader(client), request)
		if err != nil || answer.StatusCode != http.StatusAccepted {
			t.Errorf("got %+v, %v", answer, err)
		}
		_ = client.Close()
		_ = server.Close()
		writing.Wait()
		serving.Wait()
	})
}

// oneConn is a listener that one connection comes to.
type oneConn struct {
	conn   net.Conn
	closed chan struct{}
}

func (l *oneConn) Accept() (net.Conn, error) {
	if c := l.conn; c != nil {
		l.conn = nil
		return c, nil
	}
	<-l.closed
	return nil, net.ErrClosed
}

func (l *oneConn) Close() error {
	close(l.closed)
	return nil
}

func (l *oneConn) Addr() net.Addr { return &net.TCPAddr{} }

func TestPostMayEmitNothing(t *testing.T) {
	b := &broker{refusals: 1}
	if w := do(serve(t, b), "POST", "/sales", saleOf("looker")); w.Code != http.StatusAccepted || b.refusals == 0 {
		t.Errorf("got %d %s", w.Code, w.Body)
	}
}

func TestGet(t *testing.T) {
	w := do(serve(t, &broker{}), "GET", "/sales/s-1", "")
	if w.Code != http.StatusOK || !strings.Contains(w.Body.String(), `"id":"s-1"`) {
		t.Errorf("got %d %s", w.Code, w.Body)
	}
}

func TestDescription(t *testing.T) {
	h := serve(t, &broker{}, shop("sales"), shop("returns"))
	var spec struct {
		Paths      map[string]map[string]struct{ OperationID, Description string }
		Components struct{ Schemas map[string]any }
	}
	w := do(h, "GET", "/openapi.json", "")
	if err := json.Unmarshal(w.Body.Bytes(), &spec); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"sales.SaleBody", "returns.SaleBody", "sales.Receipt", "returns.Item", "Problem", "ProblemDetail"} {
		if spec.Components.Schemas[name] == nil {
			t.Errorf("no schema %s", name)
		}
	}
	if op := spec.Paths["/sales"]["post"]; op.OperationID != "sales-post-sales" || op.Description != "Emits shop.Sold/v1." {
		t.Errorf("got %+v", op)
	}
	if w := do(h, "GET", "/openapi.yaml", ""); w.Code != 200 || !strings.Contains(w.Body.String(), "openapi: 3.1.0") {
		t.Errorf("yaml: %d", w.Code)
	}
}

// Item is called as item is.
type Item struct{ Price int }

func TestTypesThatAServiceCallsAlikeAreToldApart(t *testing.T) {
	h := serve(t, &broker{}, choreo.Service{Name: "sales", Routes: []choreo.Route{
		Get("/a", func(context.Context, *struct{}) (item, error) { return item{}, nil }),
		Get("/b", func(context.Context, *struct{}) (struct{ Item Item }, error) { panic("is not asked") }),
	}})
	spec := do(h, "GET", "/openapi.yaml", "").Body.String()
	for _, want := range []string{"sales.Item:", "sales.Item2:"} {
		if !strings.Contains(spec, want) {
			t.Errorf("no %s in %s", want, spec)
		}
	}
}

func TestDocsLoadNothingFromElsewhere(t *testing.T) {
	h := serve(t, &broker{})
	page := do(h, "GET", "/docs", "")
	if page.Code != 200 || strings.Contains(page.Body.String(), `src="http`) || strings.Contains(page.Body.String(), `href="http`) {
		t.Errorf("got %d %s", page.Code, page.Body)
	}
	for _, asset := range []string{"swagger-ui-bundle.js", "swagger-ui-standalone-preset.js", "swagger-ui.css"} {
		if !strings.Contains(page.Body.String(), `"/docs/`+asset+`"`) {
			t.Errorf("the page does not load %s", asset)
		}
		if w := do(h, "GET", "/docs/"+asset, ""); w.Code != 200 || w.Body.Len() == 0 {
			t.Errorf("%s: %d", asset, w.Code)
		}
	}
	if policy := page.Header().Get("Content-Security-Policy"); !strings.Contains(policy, "default-src 'self'") {
		t.Errorf("policy %q", policy)
	}
}

// foreign is a route that package web did not make.
type foreign struct{ choreo.Route }

func (foreign) Pattern() (method, path string) { return "GET", "/foreign" }
func (foreign) Options() []choreo.Option       { return nil }

func TestRoutesThatCannotBeServed(t *testing.T) {
	twice := shop("sales")
	twice.Name = "copies"
	overlapping := choreo.Service{Name: "overlap", Routes: []choreo.Route{Get("/{service}/x", func(context.Context, *question) (receipt, error) { return receipt{}, nil })}}
	odd := choreo.Service{Name: "odd", Routes: []choreo.Route{foreign{}}}
	_, err := Handler(choreo.Topology{shop("sales"), twice, overlapping, odd}, Options{})
	if err == nil {
		t.Fatal("no error")
	}
	for _, want := range []string{
		"copies: route POST /sales is claimed by sales already; give one of them another path",
		"overlap: route GET /{service}/x:",
		"odd: route GET /foreign is a web.foreign; declare routes by web.Post, web.Delete and web.Get",
	} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("got %v\nwant %s", err, want)
		}
	}
}
