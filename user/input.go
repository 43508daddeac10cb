package user

import (
	"net/mail"
	"net/url"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"

	"github.com/acme/platform"
)

// normalizeEmail brings an address to the one form in which it is unique:
// trimmed, NFC, lower case. ok is false for what is no plain address.
func normalizeEmail(email string) (normal string, ok bool) {
	normal = strings.ToLower(norm.NFC.String(strings.TrimSpace(email)))
	if len(normal) > 254 || !utf8.ValidString(normal) || strings.ContainsFunc(normal, notPrintable) {
		return normal, false
	}
	a, err := mail.ParseAddress(normal)
	if err != nil || a.Address != normal || a.Name != "" || strings.HasPrefix(normal, `"`) {
		return normal, false
	}
	at := strings.LastIndexByte(normal, '@')
	local, domain := normal[:at], normal[at+1:]
	return normal, len(local) <= 64 && !strings.HasPrefix(domain, "[")
}

func emailField() platform.Field {
	return platform.Field{Path: "/email", Code: "format", Detail: "an e-mail address such as name@example.com"}
}

// maxName bounds the names of people, organizations and keys, in characters.
const maxName = 100

// cleanName trims a name and brings it to NFC; ok is false for one that is
// empty, too long or holds control characters.
func cleanName(name string) (clean string, ok bool) {
	clean = norm.NFC.String(strings.TrimSpace(name))
	return clean, clean != "" && utf8.ValidString(clean) && utf8.RuneCountInString(clean) <= maxName &&
		!strings.ContainsFunc(clean, notPrintable)
}

func nameField(path string) platform.Field {
	return platform.Field{Path: path, Code: "format", Detail: "1 to 100 characters without line breaks"}
}

func notPrintable(r rune) bool { return unicode.IsControl(r) }

func absoluteURL(s string) bool {
	u, err := url.Parse(s)
	return err == nil && (u.Scheme == "http" || u.Scheme == "https") && u.Host != "" && u.Fragment == "" && u.RawQuery == ""
}
