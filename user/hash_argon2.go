package user

import (
	"crypto/subtle"
	"encoding/base64"
	"fmt"
	"strings"

	"golang.org/x/crypto/argon2"
)

// cost is what a guess of a password costs in argon2 (RFC 9106).
type cost struct {
	memory  uint32 // KiB
	passes  uint32
	threads uint8
}

// currentCost is OWASP's first choice for argon2id: 19 MiB, two passes, one
// thread.
var currentCost = cost{memory: currentMemory, passes: 2, threads: 1}

const (
	currentMemory = 19 * 1024 // KiB
	saltSize      = 16
	hashSize      = 32
)

// Bounds of an argon2 hash beside its memory: some 0.7 s of one core.
const (
	maxArgon2Work    = 1 << 20 // KiB × passes
	maxArgon2Passes  = 64
	maxArgon2Threads = 16
)

// argon2Hash is a hash of argon2id or, where independent is set, argon2i.
type argon2Hash struct {
	cost
	independent  bool
	salt, digest []byte
}

func (a argon2Hash) memory() int64 { return int64(a.cost.memory) }

func (a argon2Hash) compute(password string) []byte {
	key := argon2.IDKey
	if a.independent {
		key = argon2.Key
	}
	return key([]byte(password), a.salt, a.passes, a.cost.memory, a.threads, uint32(len(a.digest)))
}

func (a argon2Hash) matches(password string) (bool, error) {
	return subtle.ConstantTimeCompare(a.compute(password), a.digest) == 1, nil
}

const argon2Cost = "m=%d,t=%d,p=%d"

// String is the hash in the PHC string format.
func (a argon2Hash) String() string {
	b64 := base64.RawStdEncoding.EncodeToString
	return fmt.Sprintf("$argon2id$v=%d$"+argon2Cost+"$%s$%s", argon2.Version, a.cost.memory, a.passes, a.threads, b64(a.salt), b64(a.digest))
}

// parseArgon2 reads "$argon2id$v=19$m=…,t=…,p=…$salt$digest".
func parseArgon2(encoded string) (storedHash, error) {
	parts := strings.Split(encoded, "$")
	if len(parts) != 6 || parts[2] != fmt.Sprintf("v=%d", argon2.Version) {
		return nil, errBadHash()
	}
	a := argon2Hash{independent: parts[1] == "argon2i"}
	var memory, passes, threads uint32
	if _, err := fmt.Sscanf(parts[3], argon2Cost, &memory, &passes, &threads); err != nil {
		return nil, errBadHash()
	}
	if parts[3] != fmt.Sprintf(argon2Cost, memory, passes, threads) || threads < 1 || passes < 1 || uint64(memory) < 8*uint64(threads) {
		return nil, errBadHash()
	}
	if passes > maxArgon2Passes || threads > maxArgon2Threads || uint64(memory)*uint64(passes) > maxArgon2Work {
		return nil, errCost("64 passes, 16 threads, and 1 GiB over all passes")
	}
	a.cost = cost{memory: memory, passes: passes, threads: uint8(threads)}
	if err := decodeHash(&a.salt, &a.digest, parts[4], parts[5]); err != nil {
		return nil, err
	}
	return a, nil
}

// decodeHash reads salt and digest in base64 without padding.
func decodeHash(salt, digest *[]byte, encodedSalt, encodedDigest string) (err error) {
	decode := base64.RawStdEncoding.Strict().DecodeString
	if *salt, err = decode(encodedSalt); err != nil || !boundedSalt(*salt) {
		return errBadHash()
	}
	if *digest, err = decode(encodedDigest); err != nil || !boundedDigest(*digest) {
		return errBadHash()
	}
	return nil
}
