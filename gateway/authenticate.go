package gateway

import (
	"log/slog"
	"net/http"
	"strings"

	"github.com/acme/platform"
	"github.com/acme/platform/internal/problem"
)

// maxCredential bounds what is handed to a Verifier, in bytes.
const maxCredential = 8 << 10

// Authenticate lets requests pass that carry a credential which v accepts, and
// puts the principal into their context ([platform.PrincipalFrom]). The
// credential is an "Authorization: Bearer" (RFC 6750) or an X-API-Key; who
// sends both must send the same in them. Everything else is a problem of
// status 401, or 400 where the request contradicts itself. How many bad
// credentials are verified is bounded by [CredentialLimit]. It panics on a nil
// Verifier.
func Authenticate(v Verifier, log *slog.Logger) func(http.Handler) http.Handler {
	if v == nil {
		panic("gateway: Authenticate needs a Verifier")
	}
	log = problem.Sampled(log)
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			credential, err := credentialOf(r.Header)
			var p platform.Principal
			if err == nil {
				p, err = v.Verify(r.Context(), credential)
			}
			if err != nil {
				platform.WriteProblem(w, r, log, err)
				return
			}
			tellPrincipal(w, p)
			next.ServeHTTP(w, r.WithContext(platform.WithPrincipal(r.Context(), p)))
		})
	}
}

// credentialOf takes the credential out of a header. Its errors hold nothing
// of what was sent.
func credentialOf(h http.Header) (string, error) {
	auth, keys := h["Authorization"], h["X-Api-Key"]
	if len(auth) > 1 || len(keys) > 1 {
		return "", ambiguous()
	}
	var bearer, key string
	if len(auth) == 1 {
		scheme, rest, ok := strings.Cut(auth[0], " ")
		bearer = strings.TrimLeft(rest, " ")
		if !ok || !strings.EqualFold(scheme, "Bearer") || !validCredential(bearer) {
			return "", unauthenticated(`the Authorization header must be "Bearer" and a token`)
		}
	}
	if len(keys) == 1 {
		if key = keys[0]; !validCredential(key) {
			return "", unauthenticated("the X-API-Key header does not hold a key")
		}
	}
	switch {
	case bearer == "" && key == "":
		return "", unauthenticated("this operation needs a credential")
	case bearer == "":
		return key, nil
	case key == "" || key == bearer:
		return bearer, nil
	default:
		return "", ambiguous()
	}
}

// validCredential checks the characters of token68 (RFC 9110, section 11.2).
func validCredential(s string) bool {
	if s == "" || len(s) > maxCredential {
		return false
	}
	for i := range len(s) {
		switch c := s[i]; {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9',
			c == '-', c == '.', c == '_', c == '~', c == '+', c == '/', c == '=':
		default:
			return false
		}
	}
	return true
}

func unauthenticated(message string) error {
	return &platform.Error{Kind: platform.KindUnauthenticated, Message: message}
}

func ambiguous() error {
	return platform.Errorf(platform.KindMalformed, "ambiguous_credential", "the request carries more than one credential")
}
