package inbox

import (
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/smtp"
	"strings"
	"testing"
	"time"

	"github.com/wneessen/go-mail"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m)
}

var noon = time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)

func open(t *testing.T) *Inbox {
	t.Helper()
	in, err := Listen(Options{Logger: slog.New(slog.DiscardHandler), Now: func() time.Time { return noon }})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := in.Close(); err != nil {
			t.Error(err)
		}
	})
	return in
}

func message(t *testing.T, id, to string) *mail.Msg {
	t.Helper()
	m := mail.NewMsg()
	if err := errors.Join(m.FromFormat("Grüße & Co.", "shop@troupe.example"), m.To(to)); err != nil {
		t.Fatal(err)
	}
	m.SetMessageIDWithValue(id)
	m.SetDateWithValue(noon)
	m.Subject("Ihre Bestellung wird geprüft")
	m.SetBodyString(mail.TypeTextPlain, "Liebe Ada,\n\nüber 100 € — danke.\n")
	return m
}

func deliver(t *testing.T, in *Inbox, m *mail.Msg) error {
	t.Helper()
	port := 0
	if _, err := fmt.Sscanf(in.Addr(), "127.0.0.1:%d", &port); err != nil {
		t.Fatal(err)
	}
	client, err := mail.NewClient("127.0.0.1", mail.WithPort(port), mail.WithTLSPolicy(mail.NoTLS))
	if err != nil {
		t.Fatal(err)
	}
	return client.DialAndSendWithContext(t.Context(), m)
}

func TestMailIsKeptAsItWasMeant(t *testing.T) {
	in := open(t)
	m := message(t, "m-1@troupe.example", `"Ada, Gräfin" <ada@example.com>`)
	m.AddAlternativeString(mail.TypeTextHTML, "<p>danke</p>")
	if err := m.AttachReader("Rechnung für Ada.pdf", strings.NewReader("%PDF"), mail.WithFileContentType("application/pdf")); err != nil {
		t.Fatal(err)
	}
	if err := deliver(t, in, m); err != nil {
		t.Fatal(err)
	}
	got := in.Mails()[0]
	if got.Subject != "Ihre Bestellung wird geprüft" || got.MessageID != "m-1@troupe.example" || !got.Time.Equal(noon) || !got.Date.Equal(noon) {
		t.Errorf("got %+v", got)
	}
	if want := (Address{"ada@example.com", "Ada, Gräfin"}); len(got.To) != 1 || got.To[0] != want {
		t.Errorf("to %+v", got.To)
	}
	if want := (Address{"shop@troupe.example", "Grüße & Co."}); len(got.From) != 1 || got.From[0] != want {
		t.Errorf("from %+v", got.From)
	}
	if got.Text != "Liebe Ada,\n\nüber 100 € — danke.\n" || strings.TrimSpace(got.HTML) != "<p>danke</p>" {
		t.Errorf("text %q, html %q", got.Text, got.HTML)
	}
	if len(got.Attachments) != 1 || got.Attachments[0].FileName != "Rechnung für Ada.pdf" || string(got.Attachments[0].content) != "%PDF" {
		t.Errorf("attachments %+v", got.Attachments)
	}
	if want := (Address{Address: "ada@example.com"}); got.Envelope.To[0] != want {
		t.Errorf("envelope %+v", got.Envelope)
	}
}

func TestBounceDomainIsRefusedTwice(t *testing.T) {
	in := open(t)
	for _, id := range []string{"m-1", "m-2"} {
		for try := 1; try <= 3; try++ {
			err := deliver(t, in, message(t, id, "ada@bounce.example"))
			if refused := try <= 2; (err != nil) != refused {
				t.Errorf("mail %s, try %d: %v", id, try, err)
			}
			if err == nil {
				continue
			}
			if sent, ok := errors.AsType[*mail.SendError](err); !ok || !sent.IsTemp() || sent.ErrorCode() != 451 {
				t.Errorf("refused with %v", err)
			}
		}
	}
	if got := len(in.Mails()); got != 2 {
		t.Errorf("kept %d mails", got)
	}
}

func TestOldestMailsAreForgotten(t *testing.T) {
	in := open(t)
	for i := range maxMails + 3 {
		in.keep(&Mail{ID: fmt.Sprint(i), source: []byte("x")})
	}
	if mails := in.Mails(); len(mails) != maxMails || mails[0].ID != "3" || in.kept != maxMails {
		t.Errorf("keeps %d from %s on, %d bytes", len(mails), mails[0].ID, in.kept)
	}
	in.keep(&Mail{ID: "large", source: make([]byte, maxKept)})
	if mails := in.Mails(); len(mails) != 1 || mails[0].ID != "large" {
		t.Errorf("keeps %d", len(mails))
	}
}

func TestMailThatIsTooLargeIsRefused(t *testing.T) {
	in := open(t)
	m := message(t, "m", "ada@example.com")
	m.SetBodyString(mail.TypeTextPlain, strings.Repeat("0123456789\n", maxMail/10))
	if err := deliver(t, in, m); err == nil || len(in.Mails()) > 0 {
		t.Errorf("got %v, kept %d", err, len(in.Mails()))
	}
}

func TestHTTP(t *testing.T) {
	in := open(t)
	h := in.Handler()
	ask := func(method, path string) (int, string) {
		w := httptest.NewRecorder()
		h.ServeHTTP(w, httptest.NewRequest(method, path, nil))
		return w.Code, w.Body.String()
	}
	if status, body := ask("GET", "/email"); status != 200 || body != "[]" {
		t.Errorf("empty: %d %s", status, body)
	}
	for i := range 3 {
		m := message(t, fmt.Sprint("m-", i), "ada@example.com")
		m.AddAlternativeString(mail.TypeTextHTML, "<script>")
		m.AttachReadSeeker("a.txt", strings.NewReader("abc"))
		if err := deliver(t, in, m); err != nil {
			t.Fatal(err)
		}
	}
	_, body := ask("GET", "/email")
	var mails []map[string]any
	if err := json.Unmarshal([]byte(body), &mails); err != nil || len(mails) != 3 {
		t.Fatalf("%v in %s", err, body)
	}
	id := mails[0]["id"].(string)
	tests := []struct {
		method, path string
		status       int
		want         string
	}{
		{"GET", "/email/" + id, 200, `"messageId":"m-0"`},
		{"GET", "/email/" + id + "/html", 200, "<script>"},
		{"GET", "/email/" + id + "/source", 200, "Message-ID: <m-0>"},
		{"GET", "/email/" + id + "/attachment/a.txt", 200, "abc"},
		{"GET", "/email/" + id + "/attachment/b.txt", 404, "not found"},
		{"GET", "/email/none", 404, `{"error":"Email was not found"}`},
		{"DELETE", "/email/none", 404, "not found"},
		{"DELETE", "/email/" + id, 200, "true"},
		{"GET", "/email/" + id, 404, "not found"},
		{"DELETE", "/email/all", 200, "true"},
		{"GET", "/email", 200, "[]"},
	}
	for _, test := range tests {
		if status, body := ask(test.method, test.path); status != test.status || !strings.Contains(body, test.want) {
			t.Errorf("%s %s: got %d %s, want %d with %s", test.method, test.path, status, body, test.status, test.want)
		}
	}
}

func TestScriptsInMailDoNotRun(t *testing.T) {
	in := open(t)
	in.keep(&Mail{ID: "m", HTML: "<script>"})
	w := httptest.NewRecorder()
	in.Handler().ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/email/m/html", nil))
	if policy := w.Header().Get("Content-Security-Policy"); !strings.Contains(policy, "default-src 'none'") || !strings.Contains(policy, "sandbox") {
		t.Errorf("policy %q", policy)
	}
}

func TestPortInUse(t *testing.T) {
	in := open(t)
	_, err := Listen(Options{Addr: in.Addr()})
	if want := "mail inbox: " + in.Addr() + " is in use by another process"; err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
}

func TestCloseDoesNotWaitForIdleClients(t *testing.T) {
	in, err := Listen(Options{Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	client, err := smtp.Dial(in.Addr())
	if err != nil {
		t.Fatal(err)
	}
	if err := in.Close(); err != nil {
		t.Error(err)
	}
	_ = client.Close() // by the server already
}
