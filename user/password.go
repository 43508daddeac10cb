package user

import (
	"strings"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"

	"github.com/acme/platform"
)

// The rules for passwords are those of NIST SP 800-63B and OWASP ASVS 5.0 6.2:
// long enough, any character, nothing cut off, no rules of composition, and
// not one of those that are tried first.
const (
	minPassword      = 8   // characters
	maxPasswordBytes = 256 // so that 64 characters of any script fit
)

// normalizePassword gives the same password from different keyboards the same
// bytes.
func normalizePassword(password Secret) string { return norm.NFC.String(string(password)) }

// checkPassword returns what is wrong with a new password; it never repeats it.
func checkPassword(path, password, email string) *platform.Field {
	switch {
	case utf8.RuneCountInString(password) < minPassword:
		return &platform.Field{Path: path, Code: "too_short", Detail: "at least 8 characters"}
	case len(password) > maxPasswordBytes:
		return &platform.Field{Path: path, Code: "too_long", Detail: "at most 256 bytes"}
	case !utf8.ValidString(password):
		return &platform.Field{Path: path, Code: "format", Detail: "must be UTF-8"}
	case strings.EqualFold(password, email) || strings.EqualFold(password, localPart(email)):
		return &platform.Field{Path: path, Code: "is_email", Detail: "must not be the e-mail address"}
	case tooCommon(password):
		return &platform.Field{Path: path, Code: "too_common", Detail: "this is one of the passwords that are tried first; take another"}
	}
	return nil
}

func localPart(email string) string {
	local, _, _ := strings.Cut(email, "@")
	return local
}
