package user

import (
	"crypto/sha256"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"

	"github.com/acme/platform"
)

// verdicts remember which credentials were found good, by their SHA-256, never
// by themselves. They are split so that cores do not wait for one lock.
type verdicts struct {
	shards [verdictShards]*lru.Cache[[sha256.Size]byte, *verdict]
}

const (
	verdictShards = 16
	// verdictLimit bounds them at some 600 bytes each.
	verdictLimit = 1 << 15
)

// verdict is a principal that was found good. It is not changed once made.
type verdict struct {
	principal platform.Principal
	until     time.Time
	stamp     stamp // the user, the tenant and the credential
}

func newVerdicts() *verdicts {
	v := &verdicts{}
	for i := range v.shards {
		c, err := lru.New[[sha256.Size]byte, *verdict](verdictLimit / verdictShards)
		if err != nil { // only a size that is not positive fails
			panic(err)
		}
		v.shards[i] = c
	}
	return v
}

func (v *verdicts) get(key [sha256.Size]byte) (*verdict, bool) {
	return v.shards[key[0]%verdictShards].Get(key)
}

func (v *verdicts) put(key [sha256.Size]byte, found *verdict) {
	v.shards[key[0]%verdictShards].Add(key, found)
}

func (v *verdicts) drop(key [sha256.Size]byte) {
	v.shards[key[0]%verdictShards].Remove(key)
}
