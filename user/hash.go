package user

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"

	"golang.org/x/crypto/argon2"
)

// cost is what a guess of a password costs in argon2id (RFC 9106).
type cost struct {
	memory  uint32 // KiB
	passes  uint32
	threads uint8
}

// currentCost is OWASP's first choice for argon2id: 19 MiB, two passes, one
// thread.
var currentCost = cost{memory: 19 * 1024, passes: 2, threads: 1}

// maxCost bounds the hashes that are verified at all, so that an imported one
// cannot be made to take the machine's memory or a minute of its time.
var maxCost = cost{memory: 64 * 1024, passes: 8, threads: 4}

const (
	saltSize = 16
	hashSize = 32
)

// hasher hashes passwords, few at once.
type hasher struct {
	cost  cost
	lines *hashLines
}

func newHasher(concurrency, queue int) *hasher {
	return &hasher{cost: currentCost, lines: newHashLines(concurrency, queue)}
}

// hash returns the PHC string of a password. Account says whose turn it is: see
// hashLines.
func (h *hasher) hash(ctx context.Context, account, password string) (string, error) {
	if err := h.lines.acquire(ctx, account); err != nil {
		return "", err
	}
	defer h.lines.release()
	salt := make([]byte, saltSize)
	_, _ = rand.Read(salt) // crypto/rand.Read never fails (Go 1.24)
	c := h.cost
	sum := argon2.IDKey([]byte(password), salt, c.passes, c.memory, c.threads, hashSize)
	return formatPHC(c, salt, sum), nil
}

// verify reports whether the password is the one of the PHC string, and
// whether that should be made again at the current cost. An empty string takes
// the time of a real one and never matches; nor does a password that is longer
// than any can be, which must not cost more than others.
func (h *hasher) verify(ctx context.Context, account, password, phc string) (ok, outdated bool, err error) {
	tooLong := len(password) > maxPasswordBytes
	if tooLong {
		password = ""
	}
	c, salt, want := h.cost, make([]byte, saltSize), make([]byte, hashSize)
	if phc != "" {
		if c, salt, want, err = parsePHC(phc); err != nil {
			return false, false, err
		}
	}
	if err := h.lines.acquire(ctx, account); err != nil {
		return false, false, err
	}
	defer h.lines.release()
	got := argon2.IDKey([]byte(password), salt, c.passes, c.memory, c.threads, uint32(len(want)))
	same := subtle.ConstantTimeCompare(got, want) == 1
	return same && phc != "" && !tooLong, c != h.cost || len(want) != hashSize, nil
}

// formatPHC writes the PHC string format
// (https://github.com/P-H-C/phc-string-format).
func formatPHC(c cost, salt, sum []byte) string {
	b64 := base64.RawStdEncoding.EncodeToString
	return fmt.Sprintf("$argon2id$v=%d$m=%d,t=%d,p=%d$%s$%s", argon2.Version, c.memory, c.passes, c.threads, b64(salt), b64(sum))
}

var errBadHash = errors.New("user: a stored password hash is not argon2id in PHC form within the allowed cost")

// parsePHC reads what formatPHC wrote, and refuses costs beyond maxCost.
func parsePHC(phc string) (c cost, salt, sum []byte, err error) {
	parts := strings.Split(phc, "$")
	if len(parts) != 6 || parts[0] != "" || parts[1] != "argon2id" || parts[2] != fmt.Sprintf("v=%d", argon2.Version) {
		return c, nil, nil, errBadHash
	}
	if _, err := fmt.Sscanf(parts[3], "m=%d,t=%d,p=%d", &c.memory, &c.passes, &c.threads); err != nil {
		return c, nil, nil, errBadHash
	}
	if parts[3] != fmt.Sprintf("m=%d,t=%d,p=%d", c.memory, c.passes, c.threads) {
		return c, nil, nil, errBadHash
	}
	if c.memory < 8 || c.passes < 1 || c.threads < 1 ||
		c.memory > maxCost.memory || c.passes > maxCost.passes || c.threads > maxCost.threads {
		return c, nil, nil, errBadHash
	}
	salt, errSalt := base64.RawStdEncoding.Strict().DecodeString(parts[4])
	sum, errSum := base64.RawStdEncoding.Strict().DecodeString(parts[5])
	if errSalt != nil || errSum != nil || len(salt) < 8 || len(salt) > 64 || len(sum) < 16 || len(sum) > 64 {
		return c, nil, nil, errBadHash
	}
	return c, salt, sum, nil
}
