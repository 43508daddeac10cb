package user

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"log/slog"
	"strings"
)

// Secret is a password or a token. It shows itself as "[redacted]" wherever it
// is printed, logged or marshalled; string(s) is the value.
type Secret string

const redacted = "[redacted]"

// String returns "[redacted]".
func (Secret) String() string { return redacted }

// GoString returns "[redacted]".
func (Secret) GoString() string { return redacted }

// LogValue returns "[redacted]".
func (Secret) LogValue() slog.Value { return slog.StringValue(redacted) }

// MarshalText returns "[redacted]".
func (Secret) MarshalText() ([]byte, error) { return []byte(redacted), nil }

// secretSize is 256 bits: a fast hash is enough to store a secret that cannot
// be guessed.
const secretSize = 32

func randomBytes() []byte {
	b := make([]byte, secretSize)
	_, _ = rand.Read(b) // crypto/rand.Read never fails (Go 1.24)
	return b
}

func hashSecret(secret []byte) []byte {
	sum := sha256.Sum256(secret)
	return sum[:]
}

// token is the form of the tokens that name a row and prove a right to it:
// "rt_<id>_<secret>", where id is the row's id without its own prefix.
func formatToken(prefix, id string, secret []byte) Secret {
	return Secret(prefix + "_" + bareID(id) + "_" + base64.RawURLEncoding.EncodeToString(secret))
}

// parseToken takes apart what formatToken made; size is the secret's length in
// bytes.
func parseToken(prefix, idPrefix string, size int, token Secret) (id string, secret []byte, ok bool) {
	rest, ok := strings.CutPrefix(string(token), prefix+"_")
	if !ok || len(rest) > 256 {
		return "", nil, false
	}
	bare, encoded, ok := strings.Cut(rest, "_")
	if !ok || bare == "" {
		return "", nil, false
	}
	secret, err := base64.RawURLEncoding.Strict().DecodeString(encoded)
	if err != nil || len(secret) != size {
		return "", nil, false
	}
	return idPrefix + "_" + bare, secret, true
}

// bareID is what follows the prefix of an id.
func bareID(id string) string {
	if _, rest, ok := strings.Cut(id, "_"); ok {
		return rest
	}
	return id
}
