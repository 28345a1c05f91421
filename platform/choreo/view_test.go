package choreo_test

import (
	"encoding/json"
	"io"
	"strings"
	"testing"

	"github.com/troupedev/troupe/platform/choreo"
)

func shown() choreo.View {
	return choreo.Topology{
		till(),
		listener(
			choreo.On(onBought, choreo.Where("channel", choreo.Is("web")), choreo.Emits(paid{})),
			choreo.OnTopic("shop", onAny),
		),
	}.View()
}

func TestViewsShowWhoHearsAndEmitsWhat(t *testing.T) {
	for name, c := range map[string]struct {
		render func(io.Writer) error
		want   string
	}{
		"text": {shown().Text, `
till: Sells.
  POST /sales  -> shop.Bought/v1

listener: Listens.
  shop.Bought/v1  -> shop.Paid/v1  where channel is web
  shop.*          -> (nothing)

TOPIC  PARTITIONS  KEPT  OWNER  EVENTS
shop   3           7d    us     shop.Bought/v1, shop.Paid/v1
`},
		"mermaid": {shown().Mermaid, `
flowchart LR
  service_till[[till]]
  service_listener[[listener]]
  event_shop_Bought([shop.Bought])
  event_shop_Paid([shop.Paid])
  event_shop_all([shop.*])
  service_till --> event_shop_Bought
  event_shop_Bought -. "channel is web" .-> service_listener
  service_listener --> event_shop_Paid
  event_shop_all -.-> service_listener
`},
		"dot": {shown().DOT, `
digraph troupe {
  rankdir=LR;
  node [fontname="sans-serif"];
  "till" [shape=box, style=filled, fillcolor="#e8eefc"];
  "listener" [shape=box, style=filled, fillcolor="#e8eefc"];
  "shop.Bought" [shape=ellipse];
  "shop.Paid" [shape=ellipse];
  "shop.*" [shape=ellipse];
  "till" -> "shop.Bought";
  "shop.Bought" -> "listener" [style=dashed, label="channel is web"];
  "listener" -> "shop.Paid";
  "shop.*" -> "listener" [style=dashed, label=""];
}
`},
	} {
		t.Run(name, func(t *testing.T) {
			var b strings.Builder
			if err := c.render(&b); err != nil {
				t.Fatal(err)
			}
			if got, want := b.String(), strings.TrimPrefix(c.want, "\n"); got != want {
				t.Errorf("got\n%s\nwant\n%s", got, want)
			}
		})
	}
}

func TestAViewIsDataForOtherTools(t *testing.T) {
	got, err := json.Marshal(shown().Services[1].Reactions[0])
	want := `{"name":"Bought","hears":"shop.Bought/v1","where":[{"field":"channel","condition":{"op":"is","args":["web"]}}],` +
		`"emits":["shop.Paid/v1"],"timeout":"30s","within":"9m7.5s","attempts":10}`
	if err != nil || string(got) != want {
		t.Errorf("got  %s, %v\nwant %s", got, err, want)
	}
}
