package notify

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"strconv"
	"strings"
)

// secretPrefix marks a symmetric secret of Standard Webhooks
// (https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md).
const secretPrefix = "whsec_"

// newSecret returns a secret of 32 random bytes in the form that is shown to
// the owner of an endpoint.
func newSecret() string {
	var key [32]byte
	_, _ = rand.Read(key[:]) // crypto/rand.Read never fails (Go 1.24)
	return secretPrefix + base64.StdEncoding.EncodeToString(key[:])
}

// signatures returns the webhook-signature header: one "v1" signature for each
// secret, separated by spaces, so that a receiver that knows either of two
// secrets of a rotation accepts the message. A secret that cannot be read is
// an error: an empty key would sign for everybody.
func signatures(secrets []string, id string, timestamp int64, body []byte) (string, error) {
	var out []byte
	for _, s := range secrets {
		encoded, ok := strings.CutPrefix(s, secretPrefix)
		key, err := base64.StdEncoding.DecodeString(encoded)
		if !ok || err != nil || len(key) < 24 {
			return "", errBadSecret
		}
		mac := hmac.New(sha256.New, key)
		mac.Write([]byte(id))
		mac.Write([]byte{'.'})
		mac.Write(strconv.AppendInt(nil, timestamp, 10))
		mac.Write([]byte{'.'})
		mac.Write(body)
		if len(out) > 0 {
			out = append(out, ' ')
		}
		out = append(out, "v1,"...)
		out = base64.StdEncoding.AppendEncode(out, mac.Sum(nil))
	}
	if out == nil {
		return "", errBadSecret
	}
	return string(out), nil
}
