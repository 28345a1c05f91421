package web

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/url"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/danielgtaylor/huma/v2"

	"github.com/troupedev/troupe/platform/choreo"
)

// Media types of CloudEvents.
const (
	typeStructured = "application/cloudevents+json"
	typeJSON       = "application/json"
)

// maxAttribute bounds an attribute of an event from outside, in bytes: it
// becomes a header of every event that follows.
const maxAttribute = 1024

// cloudEvent is an event as it came over HTTP, checked but for its type and data.
type cloudEvent struct {
	id, source, typ string
	schema          string    // dataschema; empty: the newest version
	time            time.Time // zero: not given
	flow, trace     string    // extensions correlationid and traceparent
	data            []byte    // JSON

	at     string // where attributes are: "body." or "header.ce-"
	dataAt string // where the data is: "body.data" or "body"
}

// attributes are those of an event that are read, as text. What is absent is empty.
type attributes func(name string) (string, error)

// readCloudEvent reads an event in structured or binary mode. Its errors are problems.
func readCloudEvent(r *http.Request) (*cloudEvent, error) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return nil, err // it is in memory
	}
	media, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	switch {
	case err == nil && media == typeStructured:
		return readStructured(body)
	case err == nil && (media == typeJSON || strings.HasSuffix(media, "+json")) && !strings.HasPrefix(media, "application/cloudevents"):
		return readBinary(r.Header, body)
	}
	return nil, huma.Error415UnsupportedMediaType(fmt.Sprintf(
		"the content type is %.100q; send one event as %s, or its data as %s with its attributes as ce- headers", r.Header.Get("Content-Type"), typeStructured, typeJSON))
}

func readStructured(body []byte) (*cloudEvent, error) {
	var members map[string]json.RawMessage
	if err := json.Unmarshal(body, &members); err != nil {
		return nil, huma.Error400BadRequest("the body is no JSON object", err)
	}
	if members == nil {
		return nil, huma.Error400BadRequest("the body is no JSON object, but null")
	}
	c := &cloudEvent{data: members["data"], at: "body.", dataAt: "body.data"}
	if members["data_base64"] != nil {
		return nil, Invalid("body.data_base64", "is not taken; send data as JSON", nil)
	}
	err := c.fill(func(name string) (text string, err error) {
		if raw := members[name]; raw != nil && json.Unmarshal(raw, &text) != nil {
			return "", errors.New("is not a text")
		}
		return text, nil
	})
	return c, err
}

func readBinary(header http.Header, body []byte) (*cloudEvent, error) {
	c := &cloudEvent{data: body, at: "header.ce-", dataAt: "body"}
	err := c.fill(func(name string) (string, error) {
		if name == "datacontenttype" { // is the Content-Type, which was looked at
			return "", nil
		}
		values := header.Values("ce-" + name)
		switch len(values) {
		case 0:
			return "", nil
		case 1:
			return headerText(values[0])
		}
		return "", errors.New("is sent twice")
	})
	return c, err
}

// headerText decodes the value of a header: what is not printable ASCII, and
// quotes and percent signs, are percent-encoded, and older senders put the whole
// into quotes.
func headerText(value string) (string, error) {
	value = strings.TrimSpace(value)
	if n := len(value); n >= 2 && value[0] == '"' && value[n-1] == '"' {
		value = strings.NewReplacer(`\"`, `"`, `\\`, `\`).Replace(value[1 : n-1])
	}
	text, err := url.PathUnescape(value)
	if err != nil {
		return "", errors.New("has a percent sign that no two hexadecimal digits follow")
	}
	return text, nil
}

// fill takes the attributes over. The error is a problem that names every fault.
func (c *cloudEvent) fill(of attributes) error {
	var faults []error
	fault := func(name, message string) {
		faults = append(faults, &huma.ErrorDetail{Location: c.at + name, Message: message})
	}
	get := func(name string, required bool) string {
		text, err := of(name)
		if err == nil {
			err = checkAttribute(text, required)
		}
		if err != nil {
			fault(name, err.Error())
		}
		return text
	}
	if version := get("specversion", true); version != "" && version != "1.0" {
		fault("specversion", fmt.Sprintf("is %.20q; 1.0 is taken", version))
	}
	c.id, c.source, c.typ = get("id", true), get("source", true), get("type", true)
	c.schema, c.flow, c.trace = get("dataschema", false), get("correlationid", false), get("traceparent", false)
	if _, err := url.Parse(c.source); err != nil {
		fault("source", "is no URI")
	}
	if choreo.ServiceOf(c.source) != c.source { // whose answers it would pass for
		fault("source", "names a service of Troupe; say who you are by another URI")
	}
	if media, _, err := mime.ParseMediaType(get("datacontenttype", false)); media != "" && (err != nil || media != typeJSON && !strings.HasSuffix(media, "+json")) {
		fault("datacontenttype", "is not application/json")
	}
	if at := get("time", false); at != "" {
		var ok bool
		if c.time, ok = parseTime(at); !ok {
			fault("time", "is no time such as 2026-03-01T12:00:00Z")
		}
	}
	if len(c.data) == 0 {
		faults = append(faults, &huma.ErrorDetail{Location: c.dataAt, Message: "is required"})
	}
	if len(faults) > 0 {
		return huma.Error422UnprocessableEntity("not an event that is taken", faults...)
	}
	return nil
}

// parseTime reads RFC 3339, of which it can be written again: in UTC, the year
// has four digits.
func parseTime(text string) (time.Time, bool) {
	at, err := time.Parse(time.RFC3339Nano, text)
	at = at.UTC()
	return at, err == nil && at.Year() >= 0 && at.Year() <= 9999 && !at.IsZero()
}

func checkAttribute(text string, required bool) error {
	switch {
	case text == "" && required:
		return errors.New("is required")
	case len(text) > maxAttribute:
		return fmt.Errorf("is %d bytes long; at most %d are taken", len(text), maxAttribute)
	case !utf8.ValidString(text) || strings.ContainsFunc(text, unicode.IsControl):
		return errors.New("has other characters than text has")
	}
	return nil
}

// invalid is a problem with one attribute.
func (c *cloudEvent) invalid(attribute, message string) error {
	return huma.Error422UnprocessableEntity("not an event that is taken",
		&huma.ErrorDetail{Location: c.at + attribute, Message: message})
}
