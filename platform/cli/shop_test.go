package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/smtp"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/troupedev/troupe/platform/choreo"
	"github.com/troupedev/troupe/platform/contract"
	"github.com/troupedev/troupe/platform/event"
	"github.com/troupedev/troupe/platform/testmain"
	"github.com/troupedev/troupe/platform/web"
)

func TestMain(m *testing.M) { testmain.Run(m) }

var shopTopic = &event.Topic{Name: "shop", Owner: "us", Doc: "A shop.", Partitions: 2, Retention: time.Hour}

// sold and told are events as the generator would write them.
type sold struct {
	ID  string `avro:"id"`
	Who string `avro:"who"`
}

type told struct {
	ID string `avro:"id"`
}

const soldSchema = `{"type":"record","name":"Sold","namespace":"shop","doc":"d","fields":[
	{"name":"id","type":"string","doc":"d","key":true},{"name":"who","type":"string","doc":"d","default":"somebody"}]}`

var (
	typesSold = event.Versions(
		event.Type{Domain: "shop", Name: "Sold", Version: 1, ID: 21, Topic: shopTopic, Schema: strings.Replace(soldSchema, "somebody", "nobody", 1)},
		event.Type{Domain: "shop", Name: "Sold", Version: 2, ID: 22, Topic: shopTopic, Schema: soldSchema},
	)
	typesTold = event.Versions(event.Type{
		Domain: "shop", Name: "Told", Version: 1, ID: 23, Topic: shopTopic,
		Schema: `{"type":"record","name":"Told","namespace":"shop","doc":"d","fields":[{"name":"id","type":"string","doc":"d","key":true}]}`,
	})
)

func (sold) EventType() *event.Type { return typesSold[1] }
func (s sold) Key() string          { return s.ID }
func (s sold) EncodeAvro(w *contract.Writer) {
	w.String("id", s.ID)
	w.String("who", s.Who)
}
func (s *sold) DecodeAvro(r *contract.Reader) error {
	s.ID, s.Who = r.String(), r.String()
	return r.Err()
}

func (told) EventType() *event.Type          { return typesTold[0] }
func (t told) Key() string                   { return t.ID }
func (t told) EncodeAvro(w *contract.Writer) { w.String("id", t.ID) }
func (t *told) DecodeAvro(r *contract.Reader) error {
	t.ID = r.String()
	return r.Err()
}

type sale struct {
	Body struct {
		Who string `json:"who" minLength:"1"`
	}
}

type receipt struct {
	ID string `json:"id"`
}

// shop is two services: one sells, the other tells by mail who bought.
func shop() choreo.Topology {
	var settings struct {
		SMTP string        `env:"TROUPE_SMTP" doc:"mail server"`
		Wait time.Duration `env:"TELLER_WAIT" default:"5s" doc:"how long a mail may take"`
	}
	sell := func(ctx context.Context, in *sale) (receipt, choreo.Events, error) {
		id := event.From(ctx).ID
		return receipt{id}, choreo.Emit(sold{id, in.Body.Who}), nil
	}
	tell := func(_ context.Context, s sold) (choreo.Events, error) {
		server, err := url.Parse(settings.SMTP)
		if err != nil {
			return nil, err
		}
		text := fmt.Sprintf("Subject: thanks, %s\r\n\r\n", s.Who)
		if err := smtp.SendMail(server.Host, nil, "shop@example.com", []string{"ada@example.com"}, []byte(text)); err != nil {
			return nil, err
		}
		return choreo.Emit(told{s.ID}), nil
	}
	return choreo.Topology{
		{Name: "seller", Doc: "Sells.", Routes: []choreo.Route{web.Post("/sales", sell, choreo.Emits(sold{}))}},
		{Name: "teller", Doc: "Tells.", Settings: &settings,
			Start: func(context.Context) error {
				if settings.Wait == time.Hour {
					return errors.New("TELLER_WAIT: nobody waits so long")
				}
				return nil
			},
			Reactions: []choreo.Reaction{choreo.On(tell, choreo.Emits(told{}))}},
	}
}

// sales is the demo of the shop.
func sales(seed uint64) func() (path string, body []byte) {
	return func() (string, []byte) { return "/sales", fmt.Appendf(nil, `{"who":"Customer %d"}`, seed%10) }
}

// call runs the command in this process.
func call(ctx context.Context, env map[string]string, args ...string) (status int, out, complaint string) {
	var stdout, stderr bytes.Buffer
	p := &program{topology: shop(), demo: sales, environ: env, in: strings.NewReader(`{"id":"from-stdin"}`), out: &stdout, err: &stderr}
	status = p.main(ctx, args)
	return status, stdout.String(), stderr.String()
}

// started is a `troupe run` in this process.
type started struct {
	running
	banner string
	log    *bytes.Buffer // to be read after stop
	end    func()        // as a signal would
	stop   func() (status int)
}

// start runs the shop on an embedded broker until the test ends.
func start(t *testing.T, data string, args ...string) *started {
	t.Helper()
	s := launch(t, shop(), append([]string{"--data", data, "--embedded", "127.0.0.1:0"}, args...)...)
	found, err := findRunning(data)
	if err != nil {
		t.Fatalf("%v; it ended with %d and said %s", err, s.stop(), s.log)
	}
	s.running = *found
	return s
}

// launch runs a topology until the test ends, and returns once it is ready or
// has ended.
func launch(t *testing.T, topology choreo.Topology, args ...string) *started {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	banner, log := make(firstWrite, 1), &bytes.Buffer{}
	p := &program{topology: topology, demo: sales, environ: map[string]string{}, out: banner, err: log}
	ended := make(chan int, 1)
	go func() {
		ended <- p.main(ctx, append([]string{"run", "--api", "127.0.0.1:0", "--console", "127.0.0.1:0"}, args...))
	}()
	s := &started{log: log, end: cancel}
	status := -1
	select {
	case s.banner = <-banner:
	case status = <-ended:
	}
	s.stop = func() int {
		if status < 0 {
			cancel()
			status = <-ended
		}
		return status
	}
	t.Cleanup(func() {
		s.stop()
		http.DefaultClient.CloseIdleConnections()
	})
	return s
}

// firstWrite takes what is written first, and drops the rest.
type firstWrite chan string

func (f firstWrite) Write(text []byte) (int, error) {
	select {
	case f <- string(text):
	default:
	}
	return len(text), nil
}

// post sends a sale, and returns its id.
func (s *started) post(t *testing.T, body string) string {
	t.Helper()
	answer, err := http.Post("http://"+s.API+"/sales", "application/json", strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	var r receipt
	if err := json.NewDecoder(answer.Body).Decode(&r); err != nil || answer.StatusCode != http.StatusAccepted {
		t.Fatalf("%s: %v", answer.Status, err)
	}
	return r.ID
}
