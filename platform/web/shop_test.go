package web

import (
	"cmp"
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/troupedev/troupe/platform/choreo"
	"github.com/troupedev/troupe/platform/contract"
	"github.com/troupedev/troupe/platform/event"
)

// sold is an event as the generator would write it, of a domain made up here.
type sold struct{ ID string }

var typesSold = event.Versions(event.Type{
	Domain: "shop", Name: "Sold", Version: 1, ID: 12, Topic: &event.Topic{Name: "shop", Owner: "us", Doc: "A shop."},
	Schema: `{"type":"record","name":"Sold","namespace":"shop","doc":"d","fields":[{"name":"id","type":"string","doc":"d","key":true}]}`,
})

func (sold) EventType() *event.Type               { return typesSold[0] }
func (s sold) Key() string                        { return s.ID }
func (s sold) EncodeAvro(w *contract.Writer)      { w.String("id", s.ID) }
func (s *sold) DecodeAvro(*contract.Reader) error { return nil }

type sale struct {
	Body struct {
		Who   string `json:"who" minLength:"1"`
		Items []item `json:"items" minItems:"1"`
	}
}

type item struct {
	SKU      string `json:"sku"`
	Quantity int    `json:"quantity" minimum:"1"`
}

type saleOfColour struct {
	Colour string `query:"colour"`
	sale
}

type receipt struct {
	ID   string `json:"id"`
	Flow string `json:"flow"`
}

type question struct {
	ID string `path:"id"`
}

// shop is a service that sells, and fails as its customer wishes.
func shop(name string) choreo.Service {
	sell := func(ctx context.Context, in *sale) (receipt, choreo.Events, error) {
		m := event.From(ctx)
		switch in.Body.Who {
		case "nobody":
			return receipt{}, nil, Invalid("body.who", "is nobody", in.Body.Who)
		case "breaker":
			return receipt{}, nil, errors.New("secret of the house")
		case "panicker":
			panic("secret of the house")
		case "liar":
			return receipt{}, choreo.Emit(other{}), nil
		case "looker":
			return receipt{m.ID, m.Flow}, nil, nil
		}
		return receipt{m.ID, m.Flow}, choreo.Emit(sold{ID: m.ID}), nil
	}
	sellTo := func(ctx context.Context, in *saleOfColour) (receipt, choreo.Events, error) {
		m := event.From(ctx)
		return receipt{m.ID, in.Colour}, choreo.Emit(sold{ID: m.ID}), nil
	}
	look := func(_ context.Context, in *question) (receipt, error) { return receipt{ID: in.ID}, nil }
	return choreo.Service{Name: name, Doc: "Sells.", Routes: []choreo.Route{
		Post("/"+name, sell, choreo.Emits(sold{})),
		Post("/"+name+"/of", sellTo, choreo.Emits(sold{})),
		Get("/"+name+"/{id}", look),
	}}
}

// other is an event that no route declares.
type other struct{ sold }

var typesOther = event.Versions(event.Type{Domain: "shop", Name: "Other", Version: 1, ID: 13})

func (other) EventType() *event.Type { return typesOther[0] }

// broker takes messages, or refuses them.
type broker struct {
	mu       sync.Mutex
	taken    []choreo.Message
	refusals int           // how many publishes are yet to be refused
	refusal  error         // by this; nil: the broker is away
	hold     chan struct{} // where not nil, publishing waits until it is closed, or its context ends
}

func (b *broker) publish(ctx context.Context, messages []choreo.Message) error {
	if b.hold != nil {
		select {
		case <-b.hold:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.refusals > 0 {
		b.refusals--
		return cmp.Or(b.refusal, errors.New("broker is away"))
	}
	b.taken = append(b.taken, messages...)
	return nil
}

func (b *broker) ids() (out []string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, m := range b.taken {
		out = append(out, m.ID)
	}
	return out
}

var noon = time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)

// serve is the shop's API over b.
func serve(t *testing.T, b *broker, services ...choreo.Service) http.Handler {
	t.Helper()
	if len(services) == 0 {
		services = []choreo.Service{shop("sales")}
	}
	h, err := Handler(services, Options{
		Publish: b.publish, Logger: slog.New(slog.DiscardHandler), Now: func() time.Time { return noon },
	})
	if err != nil {
		t.Fatal(err)
	}
	return h
}

const goodSale = `{"who":"Ada","items":[{"sku":"mug","quantity":1}]}`

func saleOf(who string) string { return strings.Replace(goodSale, "Ada", who, 1) }

// do sends one request; headers are name and value in turn.
func do(h http.Handler, method, path, body string, headers ...string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(method, path, io.NopCloser(strings.NewReader(body)))
	for i := 0; i < len(headers); i += 2 {
		r.Header.Add(headers[i], headers[i+1])
	}
	if r.Header.Get("Content-Type") == "" {
		r.Header.Set("Content-Type", "application/json")
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}
