package inbox

import (
	"encoding/json"
	"strings"
	"testing"
)

func TestMailsThatAreOdd(t *testing.T) {
	nested := "Content-Type: multipart/mixed; boundary=b\r\n\r\n" + strings.Repeat("--b\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n", 50)
	tests := []struct {
		name, source string
		subject      string
		text         string
	}{
		{"nothing", "", "", ""},
		{"no headers", "\r\nhello", "", "hello"},
		{"no mail", "\x00\x01 no colon", "", "\x00\x01 no colon"},
		{"no content type", "Subject: s\r\n\r\nhello\r\n", "s", "hello\n"},
		{"Latin-1", "Subject: =?iso-8859-1?q?gr=FC=DFe?=\r\nContent-Type: text/plain; charset=iso-8859-1\r\n\r\n\xfc", "grüße", "ü"},
		{"Shift JIS", "Content-Type: text/plain; charset=shift_jis\r\nContent-Transfer-Encoding: base64\r\n\r\ng3qDjYFb\r\n", "", "ホロー"},
		{"an unknown charset", "Content-Type: text/plain; charset=x-none\r\n\r\nhello", "", "hello"},
		{"bytes that are not UTF-8", "Subject: \xff\r\n\r\n\xff", "\uFFFD", "\uFFFD"},
		{"base64 that is cut off", "Content-Transfer-Encoding: base64\r\n\r\naGVsbG8=aG", "", "hello"},
		{"a broken content type", "Content-Type: text/;;;\r\n\r\nhello", "", "hello"},
		{"a multipart without a boundary", "Content-Type: multipart/mixed\r\n\r\nhello", "", ""},
		{"a multipart that is cut off", "Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\r\nhello", "", "hello"},
		{"parts in parts without end", nested, "", ""},
		{"a subject twice", "Subject: a\r\nSubject: b\r\n\r\n", "b", ""},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			m := parse([]byte(test.source))
			if m.Subject != test.subject || m.Text != test.text {
				t.Errorf("got subject %q, text %q, want %q, %q", m.Subject, m.Text, test.subject, test.text)
			}
		})
	}
}

func TestAddressesThatAreNone(t *testing.T) {
	m := parse([]byte("To: undisclosed recipients\r\nCc: a@example.com, \"B\" <b@example.com>\r\n\r\n"))
	if len(m.To) != 1 || m.To[0].Address != "undisclosed recipients" || len(m.CC) != 2 || m.CC[1].Name != "B" {
		t.Errorf("got to %+v, cc %+v", m.To, m.CC)
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte("Subject: =?utf-8?q?a?=\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\r\nhello\r\n--b--\r\n"))
	f.Add([]byte("To: a@b\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n=C3=BC"))
	f.Fuzz(func(t *testing.T, source []byte) {
		m := parse(source)
		if _, err := json.Marshal(m); err != nil {
			t.Error(err)
		}
		if m.From == nil || m.To == nil || m.Attachments == nil {
			t.Error("a list is null")
		}
	})
}
