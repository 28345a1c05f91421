package account

import (
	"crypto/sha256"
	"encoding/hex"
	"net/mail"
	"strings"

	"github.com/danielgtaylor/huma/v2"
)

// Email is an address in a request: a bare one, such as ada@example.com. The
// format that schemas know lets "Ada <ada@example.com>" pass as well, which
// would be another address than the same without a name.
type Email string

// Resolve implements huma.ResolverWithPath: what is no bare address is a 422.
func (e *Email) Resolve(_ huma.Context, at *huma.PathBuffer) []error {
	parsed, err := mail.ParseAddress(string(*e))
	if err != nil || parsed.Address == string(*e) {
		return nil // of what is no address at all, the format tells
	}
	return []error{&huma.ErrorDetail{Location: at.String(), Message: "is not a bare address, such as ada@example.com", Value: string(*e)}}
}

// Key is by what services know an address: the same for all that is written in
// letters of another case, or with a name around it, and nothing that could be
// read. Key of no address is empty. It is made here since databases differ in
// which letters they know the lower case of.
func Key(address string) string {
	if parsed, err := mail.ParseAddress(address); err == nil {
		address = parsed.Address
	}
	if address == "" {
		return ""
	}
	sum := sha256.Sum256([]byte(strings.ToLower(address)))
	return hex.EncodeToString(sum[:])
}
