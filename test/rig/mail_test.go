package rig

import (
	"net/mail"
	"strings"
	"testing"
)

func TestMailIsDecoded(t *testing.T) {
	const long = "Booking cfd574bb-9a13=\r\n-8e53=20\r\n"
	for name, text := range map[string]string{
		"plain":            "\r\nBooking cfd574bb-9a13-8e53 ",
		"quoted":           "Content-Transfer-Encoding: quoted-printable\r\n\r\n" + long,
		"of several parts": "Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n" + long + "\r\n--b\r\n\r\nticket\r\n--b--\r\n",
	} {
		t.Run(name, func(t *testing.T) {
			msg, err := mail.ReadMessage(strings.NewReader("Subject: x\r\n" + text))
			if err != nil {
				t.Fatal(err)
			}
			if got, err := textOf(msg); err != nil || !strings.HasPrefix(got, "Booking cfd574bb-9a13-8e53 ") || strings.Contains(got, "ticket") {
				t.Errorf("got %q, %v", got, err)
			}
		})
	}
}
