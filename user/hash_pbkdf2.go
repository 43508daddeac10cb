package user

import (
	"crypto/pbkdf2"
	"crypto/sha256"
	"crypto/sha512"
	"crypto/subtle"
	"encoding/base64"
	"hash"
	"strconv"
	"strings"
)

// maxPBKDF2Work bounds the iterations of all blocks: some second of one core.
const maxPBKDF2Work = 2_500_000

type pbkdf2Hash struct {
	sum          func() hash.Hash
	iterations   int
	salt, digest []byte
}

func (pbkdf2Hash) memory() int64 { return 0 }

func (p pbkdf2Hash) matches(password string) (bool, error) {
	got, err := pbkdf2.Key(p.sum, password, p.salt, p.iterations, len(p.digest))
	return err == nil && subtle.ConstantTimeCompare(got, p.digest) == 1, err
}

// parsePBKDF2 reads the PHC form "$pbkdf2-sha256$i=…,l=…$salt$digest", the
// modular "$pbkdf2-sha256$iterations$salt$digest" with "." for "+", and Django's
// "pbkdf2_sha256$iterations$salt$digest", whose salt is used as it is.
func parsePBKDF2(encoded string) (storedHash, error) {
	django := !strings.HasPrefix(encoded, "$")
	parts := strings.Split(strings.TrimPrefix(encoded, "$"), "$")
	if len(parts) != 4 || strings.Contains(parts[0], "_") != django {
		return nil, errBadHash()
	}
	p := pbkdf2Hash{sum: sha256.New}
	if strings.HasSuffix(parts[0], "512") {
		p.sum = sha512.New
	}
	count, length, hasLength := strings.Cut(parts[1], ",l=")
	if !django {
		count = strings.TrimPrefix(count, "i=")
	}
	iterations, err := strconv.ParseUint(count, 10, 63)
	if err != nil || iterations < 1 || hasLength && django {
		return nil, errBadHash()
	}
	if django {
		p.salt = []byte(parts[2])
		if p.digest, err = base64.StdEncoding.Strict().DecodeString(parts[3]); err != nil || !boundedSalt(p.salt) || !boundedDigest(p.digest) {
			return nil, errBadHash()
		}
	} else if err := decodeHash(&p.salt, &p.digest, plus(parts[2]), plus(parts[3])); err != nil {
		return nil, err
	}
	if hasLength && length != strconv.Itoa(len(p.digest)) {
		return nil, errBadHash()
	}
	size := p.sum().Size()
	blocks := uint64((len(p.digest) + size - 1) / size)
	if iterations > maxPBKDF2Work/blocks {
		return nil, errCost("2,500,000 iterations over all blocks")
	}
	p.iterations = int(iterations)
	return p, nil
}

func plus(s string) string { return strings.ReplaceAll(s, ".", "+") }
