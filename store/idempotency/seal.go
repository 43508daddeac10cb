package idempotency

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"fmt"

	"github.com/acme/platform"
)

// hash is what a call's row is found by: the principal, the operation and the
// key, each with its length before it. The principal of a person is the person,
// whose tokens change between two calls; that of an API key is the key.
func hash(p platform.Principal, operation, key string) []byte {
	who := p.Subject
	if p.Kind == platform.PrincipalAPIKey {
		who = p.Credential
	}
	h := sha256.New()
	var size [8]byte
	for _, part := range []string{string(p.Tenant), string(p.Kind), who, operation, key} {
		binary.BigEndian.PutUint64(size[:], uint64(len(part)))
		h.Write(size[:])
		h.Write([]byte(part))
	}
	return h.Sum(nil)
}

// keySize is that of AES-256 and of HMAC-SHA-256.
const keySize = 32

// derive makes a secret for one use out of the caller's key; the hash is its
// salt, so that no two rows have the same.
func derive(key string, salt []byte, use string) ([]byte, error) {
	secret, err := hkdf.Key(sha256.New, []byte(key), salt, use, keySize)
	if err != nil {
		return nil, fmt.Errorf("idempotency: derive a secret: %w", err)
	}
	return secret, nil
}

// fingerprint tells inputs apart without telling what they are: without the
// caller's key nobody can try inputs, which may hold a password.
func fingerprint(key string, salt, request []byte) ([]byte, error) {
	secret, err := derive(key, salt, "request")
	if err != nil {
		return nil, err
	}
	mac := hmac.New(sha256.New, secret)
	mac.Write(request)
	return mac.Sum(nil), nil
}

// sealer returns the cipher of an answer, which only the key and the input open.
func sealer(key string, salt, request []byte) (cipher.AEAD, error) {
	sum := sha256.Sum256(request)
	secret, err := derive(key, salt, "answer"+string(sum[:]))
	if err != nil {
		return nil, err
	}
	block, err := aes.NewCipher(secret)
	if err != nil {
		return nil, fmt.Errorf("idempotency: %w", err)
	}
	return cipher.NewGCM(block)
}

func seal(aead cipher.AEAD, salt, answer []byte) []byte {
	nonce := make([]byte, aead.NonceSize(), aead.NonceSize()+len(answer)+aead.Overhead())
	_, _ = rand.Read(nonce) // crypto/rand.Read never fails (Go 1.24)
	return aead.Seal(nonce, nonce, answer, salt)
}

func open(aead cipher.AEAD, salt, sealed []byte) ([]byte, error) {
	n := aead.NonceSize()
	if len(sealed) < n {
		return nil, fmt.Errorf("idempotency: a stored answer of %d bytes", len(sealed))
	}
	answer, err := aead.Open(nil, sealed[:n], sealed[n:], salt)
	if err != nil {
		return nil, fmt.Errorf("idempotency: open a stored answer: %w", err)
	}
	return answer, nil
}
