package user

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/base64"
	"fmt"
	"slices"
	"time"

	"github.com/go-jose/go-jose/v4"
)

// signingKey is one key pair with its one algorithm. It is published from
// createdAt, signs from activeAt to retireAt, and verifies until expireAt, when the
// last token that it signed has ended.
type signingKey struct {
	generation int64
	kid        string
	algorithm  jose.SignatureAlgorithm
	private    crypto.Signer
	public     any // as go-jose takes it; made once, since every verification needs it
	signer     jose.Signer
	createdAt  time.Time
	createdBy  string
	activeAt   time.Time
	retireAt   time.Time
	expireAt   time.Time

	sealed []byte // as it is stored; nil is a seed in the clear
}

// signingAlgorithms are those that a key can have, the default first.
func signingAlgorithms() []jose.SignatureAlgorithm {
	return []jose.SignatureAlgorithm{jose.EdDSA, jose.ES256, jose.RS256}
}

// rsaBits is the least that OWASP's ASVS 5.0 has for new keys (11.2.3: a strength of
// 128 bits).
const rsaBits = 3072

// generate makes a key pair for an algorithm.
func generate(algorithm jose.SignatureAlgorithm) (crypto.Signer, error) {
	switch algorithm {
	case jose.EdDSA:
		_, private, err := ed25519.GenerateKey(nil)
		return private, err
	case jose.ES256:
		return ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	case jose.RS256:
		return rsa.GenerateKey(rand.Reader, rsaBits)
	default:
		return nil, fmt.Errorf("user: no keys for the algorithm %s", algorithm)
	}
}

// algorithmOf is what a key is for: nothing else says it, so that a key cannot be
// used with another algorithm.
func algorithmOf(private crypto.Signer) (jose.SignatureAlgorithm, error) {
	switch k := private.(type) {
	case ed25519.PrivateKey:
		return jose.EdDSA, nil
	case *ecdsa.PrivateKey:
		if k.Curve == elliptic.P256() {
			return jose.ES256, nil
		}
	case *rsa.PrivateKey:
		return jose.RS256, nil
	}
	return "", fmt.Errorf("user: a signing key is a %T, of no algorithm that is supported", private)
}

// with sets the key pair and what follows from it.
func (k signingKey) with(private crypto.Signer) (signingKey, error) {
	var err error
	if k.algorithm, err = algorithmOf(private); err != nil {
		return k, err
	}
	k.private, k.public = private, private.Public()
	if k.kid, err = thumbprint(k.public); err != nil {
		return k, err
	}
	k.signer, err = jose.NewSigner(
		jose.SigningKey{Algorithm: k.algorithm, Key: jose.JSONWebKey{Key: private, KeyID: k.kid}},
		(&jose.SignerOptions{}).WithType(tokenType))
	if err != nil {
		return k, fmt.Errorf("user: signer: %w", err)
	}
	return k, nil
}

// jwk is the public part after RFC 7517, 7518 and 8037.
func (k signingKey) jwk() jose.JSONWebKey {
	return jose.JSONWebKey{Key: k.public, KeyID: k.kid, Algorithm: string(k.algorithm), Use: "sig"}
}

// thumbprint names a key by its JWK thumbprint (RFC 7638).
func thumbprint(public any) (string, error) {
	sum, err := (&jose.JSONWebKey{Key: public}).Thumbprint(crypto.SHA256)
	if err != nil {
		return "", fmt.Errorf("user: thumbprint: %w", err)
	}
	return base64.RawURLEncoding.EncodeToString(sum), nil
}

func validSigningAlgorithm(name string) bool {
	return slices.Contains(signingAlgorithms(), jose.SignatureAlgorithm(name))
}
