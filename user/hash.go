package user

import (
	"context"
	"crypto/rand"
	"strings"

	"github.com/acme/platform"
)

// hasher hashes passwords, few at once.
type hasher struct {
	cost  cost
	room  int64 // KiB that all hashing together may take
	lines *hashLines
}

func newHasher(concurrency, queue int, room int64) *hasher {
	return &hasher{cost: currentCost, room: room, lines: newHashLines(concurrency, queue, room)}
}

// storedHash is the hash of a password that was read, with a cost that is within
// the bounds.
type storedHash interface {
	// memory is what matches takes, in KiB.
	memory() int64
	// matches computes the hash of a password and compares in constant time.
	matches(password string) (bool, error)
}

// Bounds of what is read of a hash, in bytes.
const (
	maxEncoded           = 512
	minSalt, maxSalt     = 8, 64
	minDigest, maxDigest = 16, 64
)

func boundedSalt(salt []byte) bool     { return len(salt) >= minSalt && len(salt) <= maxSalt }
func boundedDigest(digest []byte) bool { return len(digest) >= minDigest && len(digest) <= maxDigest }

// hash returns the PHC string of a password. Account says whose turn it is: see
// hashLines.
func (h *hasher) hash(ctx context.Context, account, password string) (string, error) {
	made := argon2Hash{cost: h.cost, salt: make([]byte, saltSize), digest: make([]byte, hashSize)}
	_, _ = rand.Read(made.salt) // crypto/rand.Read never fails (Go 1.24)
	if err := h.lines.acquire(ctx, account, made.memory()); err != nil {
		return "", err
	}
	defer h.lines.release(made.memory())
	made.digest = made.compute(password)
	return made.String(), nil
}

// verify reports whether the password is the one of a stored hash, and whether
// that should be made again in the present form. An empty string takes the time of
// a real one and never matches; nor does a password that is longer than any can
// be, which must not cost more than others.
func (h *hasher) verify(ctx context.Context, account, password, encoded string) (ok, outdated bool, err error) {
	possible := encoded != "" && len(password) <= maxPasswordBytes
	if len(password) > maxPasswordBytes {
		password = ""
	}
	var stored storedHash = argon2Hash{cost: h.cost, salt: make([]byte, saltSize), digest: make([]byte, hashSize)}
	if encoded != "" {
		if stored, err = h.parse(encoded); err != nil {
			return false, false, err
		}
	}
	if err := h.lines.acquire(ctx, account, stored.memory()); err != nil {
		return false, false, err
	}
	defer h.lines.release(stored.memory())
	same, err := stored.matches(password)
	return same && possible, !h.isCurrent(stored), err
}

// isCurrent reports whether hash would make a hash of this form.
func (h *hasher) isCurrent(stored storedHash) bool {
	a, ok := stored.(argon2Hash)
	return ok && !a.independent && a.cost == h.cost && len(a.digest) == hashSize
}

// hashError says what is wrong with a hash. It never repeats any of it.
type hashError struct{ code, detail string }

func (e *hashError) Error() string { return "user: a password hash: " + e.detail }

// errBadHash is of what is no hash of a known form.
func errBadHash() error {
	return &hashError{"format", "must be argon2id, argon2i, scrypt, pbkdf2 with SHA-256 or SHA-512 (PHC or modular crypt format, for pbkdf2 also Django's), or bcrypt ($2a$, $2b$, $2y$)"}
}

func errCost(most string) error {
	return &hashError{"cost", "costs more than is computed here: at most " + most}
}

// parse reads a hash in the PHC string format
// (https://github.com/P-H-C/phc-string-format), the modular crypt format or
// Django's. It computes nothing, and refuses what would cost too much: an imported
// hash must take neither the machine's memory nor more than some second of it.
func (h *hasher) parse(encoded string) (storedHash, error) {
	if len(encoded) > maxEncoded {
		return nil, errBadHash()
	}
	kind, _, _ := strings.Cut(strings.TrimPrefix(encoded, "$"), "$")
	var (
		read storedHash
		err  error
	)
	switch kind {
	case "argon2id", "argon2i":
		read, err = parseArgon2(encoded)
	case "2a", "2b", "2y":
		read, err = parseBcrypt(encoded)
	case "scrypt":
		read, err = parseScrypt(encoded)
	case "7":
		read, err = parseScryptCrypt(encoded)
	case "pbkdf2-sha256", "pbkdf2-sha512", "pbkdf2_sha256", "pbkdf2_sha512":
		read, err = parsePBKDF2(encoded)
	default:
		return nil, errBadHash()
	}
	if err != nil {
		return nil, err
	}
	if read.memory() > h.room {
		return nil, errCost("the memory that Config.PasswordMemory allows")
	}
	return read, nil
}

// checkHash returns what is wrong with a hash to be imported, or nil.
func (h *hasher) checkHash(path string, encoded Secret) *platform.Field {
	_, err := h.parse(string(encoded))
	if err == nil {
		return nil
	}
	if fault, ok := err.(*hashError); ok { //nolint:errorlint // parse returns no other
		return &platform.Field{Path: path, Code: fault.code, Detail: fault.detail}
	}
	return &platform.Field{Path: path, Code: "format", Detail: "cannot be read"}
}
