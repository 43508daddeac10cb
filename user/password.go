package user

import (
	"context"
	"strings"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"

	"github.com/acme/platform"
)

// The rules for passwords are those of NIST SP 800-63B and OWASP ASVS 5.0 6.2:
// long enough, any character, nothing cut off, no rules of composition, and
// not one of those that are tried first. Characters are Unicode code points of
// the normal form NFC.
const (
	minPassword = 8   // characters
	maxPassword = 256 // characters
	// maxPasswordBytes bounds what is hashed; so many bytes hold maxPassword
	// characters of any script.
	maxPasswordBytes = maxPassword * utf8.UTFMax
)

// normalizePassword gives the same password from different keyboards the same
// bytes.
func normalizePassword(password Secret) string { return norm.NFC.String(string(password)) }

// checkPassword returns what is wrong with a new password, or nil; it never
// repeats it. Every way to set a password asks it, outside of a transaction: it
// may ask Config.Breaches.
func (s *Service) checkPassword(ctx context.Context, password, email string) (*platform.Field, error) {
	if f := passwordFault("/password", password, email); f != nil {
		return f, nil
	}
	breached, err := s.breached(ctx, password)
	if err != nil || !breached {
		return nil, err
	}
	return &platform.Field{Path: "/password", Code: "breached", Detail: "this password is known from a breach; take another"}, nil
}

// passwordFault is what can be told of a new password without asking anybody.
func passwordFault(path, password, email string) *platform.Field {
	switch n := utf8.RuneCountInString(password); {
	case !utf8.ValidString(password):
		return &platform.Field{Path: path, Code: "format", Detail: "must be UTF-8"}
	case n < minPassword:
		return &platform.Field{Path: path, Code: "too_short", Detail: "at least 8 characters"}
	case n > maxPassword:
		return &platform.Field{Path: path, Code: "too_long", Detail: "at most 256 characters"}
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
