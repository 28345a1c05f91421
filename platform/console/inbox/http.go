package inbox

import (
	"encoding/json"
	"net/http"
	"strconv"
)

// Handler answers /email and what lies below it, as MailDev does:
//
//	GET    /email             all mails, oldest first
//	GET    /email/{id}        one
//	GET    /email/{id}/html   its HTML part
//	GET    /email/{id}/source as it came
//	GET    /email/{id}/attachment/{name}
//	DELETE /email/all         forgets all
//	DELETE /email/{id}        forgets one
func (in *Inbox) Handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /email", func(w http.ResponseWriter, _ *http.Request) { answer(w, http.StatusOK, in.Mails()) })
	mux.HandleFunc("GET /email/{id}", in.one(func(w http.ResponseWriter, _ *http.Request, m *Mail) { answer(w, http.StatusOK, m) }))
	mux.HandleFunc("GET /email/{id}/html", in.one(func(w http.ResponseWriter, _ *http.Request, m *Mail) {
		send(w, "text/html; charset=utf-8", []byte(m.HTML))
	}))
	mux.HandleFunc("GET /email/{id}/source", in.one(func(w http.ResponseWriter, _ *http.Request, m *Mail) {
		send(w, "text/plain; charset=utf-8", m.source)
	}))
	mux.HandleFunc("GET /email/{id}/attachment/{name}", in.one(attachment))
	mux.HandleFunc("DELETE /email/all", func(w http.ResponseWriter, _ *http.Request) {
		in.Clear()
		answer(w, http.StatusOK, true)
	})
	mux.HandleFunc("DELETE /email/{id}", func(w http.ResponseWriter, r *http.Request) {
		if !in.Delete(r.PathValue("id")) {
			notFound(w)
			return
		}
		answer(w, http.StatusOK, true)
	})
	return mux
}

// one finds the mail that the path names.
func (in *Inbox) one(h func(http.ResponseWriter, *http.Request, *Mail)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		for _, m := range in.Mails() {
			if m.ID == r.PathValue("id") {
				h(w, r, m)
				return
			}
		}
		notFound(w)
	}
}

func attachment(w http.ResponseWriter, r *http.Request, m *Mail) {
	for _, a := range m.Attachments {
		if a.GeneratedFileName == r.PathValue("name") {
			w.Header().Set("Content-Disposition", "attachment")
			send(w, a.ContentType, a.content)
			return
		}
	}
	notFound(w)
}

func notFound(w http.ResponseWriter) {
	answer(w, http.StatusNotFound, map[string]string{"error": "Email was not found"})
}

func answer(w http.ResponseWriter, status int, body any) {
	text, err := json.Marshal(body)
	if err != nil { // cannot be: a Mail holds texts, numbers and times
		status, text = http.StatusInternalServerError, []byte(`{"error":"cannot be written as JSON"}`)
	}
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	w.WriteHeader(status)
	_, _ = w.Write(text) // fails only where the client has gone
}

// send writes part of a mail: content that anybody may have sent, so a browser
// must not run scripts in it.
func send(w http.ResponseWriter, contentType string, content []byte) {
	w.Header().Set("Content-Type", contentType)
	w.Header().Set("Content-Length", strconv.Itoa(len(content)))
	w.Header().Set("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'; img-src data:; sandbox")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	_, _ = w.Write(content)
}
