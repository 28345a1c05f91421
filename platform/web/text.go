package web

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/danielgtaylor/huma/v2"
)

// noText is what is wrong with text that Postgres would not keep, nor a key of
// an event hold. It is refused for every route, before a handler sees it.
const noText = "has a NUL character, or bytes that are not UTF-8"

func isText(s string) bool { return utf8.ValidString(s) && !strings.Contains(s, "\x00") }

// checkURL returns the parts of a request's path and query that are no text, as a problem.
func checkURL(r *http.Request) error {
	var faults []error
	if !isText(r.URL.Path) {
		faults = append(faults, &huma.ErrorDetail{Location: "path", Message: noText})
	}
	for name, values := range r.URL.Query() {
		if !isText(name) {
			faults = append(faults, &huma.ErrorDetail{Location: "query", Message: noText})
		} else if slices.ContainsFunc(values, func(v string) bool { return !isText(v) }) {
			faults = append(faults, &huma.ErrorDetail{Location: "query." + name, Message: noText})
		}
	}
	if faults == nil {
		return nil
	}
	return huma.Error400BadRequest("the address is not text", faults...)
}

// checkBody returns the first text of a body in JSON that is none, as a problem.
// What is no JSON is left to whoever decodes it, which refuses it.
func checkBody(body []byte) error {
	if utf8.Valid(body) && !bytes.Contains(body, []byte(`\u0000`)) {
		return nil
	}
	p := place{tokens: json.NewDecoder(bytes.NewReader(body)), body: body}
	for {
		switch ok, err := p.next(); {
		case err == io.EOF, err != nil && utf8.Valid(body):
			return nil
		case err != nil:
			return huma.Error422UnprocessableEntity("validation failed", &huma.ErrorDetail{Location: "body", Message: noText})
		case !ok:
			return huma.Error422UnprocessableEntity("validation failed", &huma.ErrorDetail{Location: p.String(), Message: noText})
		}
	}
}

// place is where in a JSON text its reading has come to.
type place struct {
	tokens *json.Decoder
	body   []byte
	within []level // the objects and arrays around, from the outermost
}

type level struct {
	name   string // of the member, once it was read
	index  int    // of the element
	array  bool
	member bool // the name has been read, and not its value
}

// next reads a token, and reports whether it is text, where it is a string.
func (p *place) next() (ok bool, err error) {
	from := p.tokens.InputOffset()
	token, err := p.tokens.Token()
	if err != nil {
		return false, err
	}
	text, isString := token.(string)
	ok = utf8.Valid(p.body[from:p.tokens.InputOffset()]) && (!isString || isText(text))
	switch top := p.top(); {
	case token == json.Delim('}'), token == json.Delim(']'):
		p.within = p.within[:len(p.within)-1]
		return ok, nil
	case top != nil && top.array:
		top.index++
	case top != nil && top.member:
		top.member = false
	case top != nil: // a name
		top.member = true
		if ok {
			top.name = text
		} else {
			p.within = p.within[:len(p.within)-1] // the object is named instead
		}
		return ok, nil
	}
	if ok && (token == json.Delim('{') || token == json.Delim('[')) {
		p.within = append(p.within, level{array: token == json.Delim('['), index: -1})
	}
	return ok, nil
}

func (p *place) top() *level {
	if len(p.within) == 0 {
		return nil
	}
	return &p.within[len(p.within)-1]
}

// String is the place as problems name it: body.items[0].sku.
func (p *place) String() string {
	text := "body"
	for _, l := range p.within {
		if l.array {
			text += fmt.Sprintf("[%d]", l.index)
		} else {
			text += "." + l.name
		}
	}
	return text
}
