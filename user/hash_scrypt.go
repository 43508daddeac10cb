package user

import (
	"crypto/subtle"
	"fmt"
	"strings"

	"golang.org/x/crypto/scrypt"
)

// Bounds of a scrypt hash (RFC 7914) beside its memory: some 0.7 s of one core.
const (
	maxScryptWork        = 1 << 21 // N × r × p
	maxScryptBlock       = 64      // r
	maxScryptParallelism = 64      // p
)

type scryptHash struct {
	log2         uint // of N
	block        int  // r
	parallelism  int  // p
	salt, digest []byte
}

// memory is 128 × r × (N + p) bytes.
func (s scryptHash) memory() int64 { return int64(s.block) * (1<<s.log2 + int64(s.parallelism)) / 8 }

func (s scryptHash) matches(password string) (bool, error) {
	got, err := scrypt.Key([]byte(password), s.salt, 1<<s.log2, s.block, s.parallelism, len(s.digest))
	return err == nil && subtle.ConstantTimeCompare(got, s.digest) == 1, err
}

// newScrypt checks the cost.
func newScrypt(log2, block, parallelism uint64) (scryptHash, error) {
	if log2 < 1 || block < 1 || parallelism < 1 {
		return scryptHash{}, errBadHash()
	}
	if log2 > 30 || block > maxScryptBlock || parallelism > maxScryptParallelism || (1<<log2)*block*parallelism > maxScryptWork {
		return scryptHash{}, errCost("N × r × p of 2,097,152, r and p of 64")
	}
	return scryptHash{log2: uint(log2), block: int(block), parallelism: int(parallelism)}, nil
}

const scryptCost = "ln=%d,r=%d,p=%d"

// parseScrypt reads "$scrypt$ln=…,r=…,p=…$salt$digest".
func parseScrypt(encoded string) (storedHash, error) {
	parts := strings.Split(encoded, "$")
	if len(parts) != 5 {
		return nil, errBadHash()
	}
	var log2, block, parallelism uint64
	if _, err := fmt.Sscanf(parts[2], scryptCost, &log2, &block, &parallelism); err != nil ||
		parts[2] != fmt.Sprintf(scryptCost, log2, block, parallelism) {
		return nil, errBadHash()
	}
	s, err := newScrypt(log2, block, parallelism)
	if err == nil {
		err = decodeHash(&s.salt, &s.digest, parts[3], parts[4])
	}
	if err != nil {
		return nil, err
	}
	return s, nil
}

// parseScryptCrypt reads "$7$", one character of log2 N, five each of r and p, the
// salt as it is used, "$" and 43 characters of digest: the form of crypt(5).
func parseScryptCrypt(encoded string) (storedHash, error) {
	const params = 11
	rest := strings.TrimPrefix(encoded, "$7$")
	salt, digest, ok := strings.Cut(rest, "$")
	if !ok || len(salt) < params {
		return nil, errBadHash()
	}
	numbers, salt := salt[:params], salt[params:]
	log2, ok1 := crypt64(numbers[:1])
	block, ok2 := crypt64(numbers[1:6])
	parallelism, ok3 := crypt64(numbers[6:])
	sum, ok4 := crypt64Bytes(digest)
	if !ok1 || !ok2 || !ok3 || !ok4 || len(sum) != 32 || !boundedSalt([]byte(salt)) {
		return nil, errBadHash()
	}
	s, err := newScrypt(log2, block, parallelism)
	if err != nil {
		return nil, err
	}
	s.salt, s.digest = []byte(salt), sum
	return s, nil
}

// crypt64Digits are the digits of crypt(5), the least significant first.
const crypt64Digits = "./0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"

func crypt64(s string) (n uint64, ok bool) {
	for i := len(s) - 1; i >= 0; i-- {
		d := strings.IndexByte(crypt64Digits, s[i])
		if d < 0 {
			return 0, false
		}
		n = n<<6 | uint64(d)
	}
	return n, true
}

// crypt64Bytes reads groups of four digits, which are three bytes each.
func crypt64Bytes(s string) (out []byte, ok bool) {
	for len(s) > 0 {
		group := s[:min(4, len(s))]
		s = s[len(group):]
		n, ok := crypt64(group)
		size := len(group) * 6 / 8
		if !ok || n>>(8*size) != 0 {
			return nil, false
		}
		for range size {
			out = append(out, byte(n))
			n >>= 8
		}
	}
	return out, true
}
