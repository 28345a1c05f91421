package main

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// initialisms are written in capitals, as Go's own names are.
var initialisms = map[string]bool{
	"ACL": true, "API": true, "CPU": true, "CSS": true, "DNS": true, "EAN": true, "HTML": true, "HTTP": true,
	"HTTPS": true, "IBAN": true, "ID": true, "IP": true, "JSON": true, "PIN": true, "SKU": true, "SMS": true,
	"SMTP": true, "SQL": true, "SSH": true, "TCP": true, "TLS": true, "TTL": true, "UDP": true, "UI": true,
	"URI": true, "URL": true, "UTC": true, "UTF8": true, "UUID": true, "VAT": true, "XML": true,
}

// goName is an exported Go name for a field or symbol: orderId is OrderID,
// SHIPPED_LATE is ShippedLate.
func goName(name string) string {
	var b strings.Builder
	for _, word := range words(name) {
		upper := strings.ToUpper(word)
		singular, plural := strings.CutSuffix(upper, "S")
		switch {
		case initialisms[upper]:
			b.WriteString(upper)
		case plural && initialisms[singular]:
			b.WriteString(singular + "s")
		default:
			first, size := utf8.DecodeRuneInString(word)
			b.WriteRune(unicode.ToUpper(first))
			b.WriteString(word[size:])
		}
	}
	if out := b.String(); out != "" && !unicode.IsDigit(rune(out[0])) {
		return out
	}
	return "X" + b.String()
}

// words splits a name at underscores and where capitals begin: orderId and
// order_id are order and id, HTTPStatus is HTTP and Status. The words of a
// name in capitals are small, unless it has three letters at most: EUR.
func words(name string) []string {
	if name == strings.ToUpper(name) && strings.Contains(name, "_") || len(name) > 3 && name == strings.ToUpper(name) {
		name = strings.ToLower(name)
	}
	var out []string
	for part := range strings.SplitSeq(name, "_") {
		start := 0
		for i := 1; i < len(part); i++ {
			afterSmall := !isUpper(part[i-1]) && isUpper(part[i])
			beforeSmall := isUpper(part[i-1]) && isUpper(part[i]) && i+1 < len(part) && isLower(part[i+1])
			if afterSmall || beforeSmall {
				out = append(out, part[start:i])
				start = i
			}
		}
		if start < len(part) {
			out = append(out, part[start:])
		}
	}
	return out
}

func isUpper(c byte) bool { return 'A' <= c && c <= 'Z' }
func isLower(c byte) bool { return 'a' <= c && c <= 'z' }

// fieldName is the Go name of an event's field. The names of an event's methods
// are not free for its fields.
func fieldName(name string) string {
	switch out := goName(name); out {
	case "Key", "EventType", "EncodeAvro", "DecodeAvro":
		return out + "Field"
	default:
		return out
	}
}

// fileName is the file of an event. It has no underscores, so that no name
// makes it a test or binds it to an operating system.
func fileName(event string) string { return strings.ToLower(event) + ".go" }

// comment is text as a Go comment, broken at 80 columns.
func comment(indent, text string) string {
	var b strings.Builder
	for line := range strings.SplitSeq(strings.TrimSpace(text), "\n") {
		at := 0
		b.WriteString(indent + "//")
		for _, word := range strings.Fields(line) {
			if at > 0 && at+1+len(word) > 76-len(indent) {
				b.WriteString("\n" + indent + "//")
				at = 0
			}
			b.WriteString(" " + word)
			at += 1 + len(word)
		}
		b.WriteString("\n")
	}
	return b.String()
}
