package user

import (
	"errors"
	"regexp"

	"golang.org/x/crypto/bcrypt"
)

// maxBcryptCost is some 0.9 s of one core.
const maxBcryptCost = 14

// bcryptForm is "$2b$", two digits of cost, 22 characters of salt and 31 of digest.
var bcryptForm = regexp.MustCompile(`^\$2[aby]\$(\d\d)\$[./A-Za-z0-9]{53}$`)

// bcryptHash is a hash of bcrypt. It knows no more than 72 bytes of a password, as
// the system that made it did; the hash that takes its place knows all.
type bcryptHash string

func (bcryptHash) memory() int64 { return 8 }

func (b bcryptHash) matches(password string) (bool, error) {
	err := bcrypt.CompareHashAndPassword([]byte(b), []byte(password)) // compares in constant time
	if errors.Is(err, bcrypt.ErrMismatchedHashAndPassword) {
		return false, nil
	}
	return err == nil, err
}

func parseBcrypt(encoded string) (storedHash, error) {
	found := bcryptForm.FindStringSubmatch(encoded)
	if found == nil {
		return nil, errBadHash()
	}
	cost := int(found[1][0]-'0')*10 + int(found[1][1]-'0')
	if cost > maxBcryptCost {
		return nil, errCost("a cost of 14")
	}
	if cost < bcrypt.MinCost {
		return nil, errBadHash()
	}
	return bcryptHash(encoded), nil
}
