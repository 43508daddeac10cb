package user

import (
	"crypto/sha256"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"

	"github.com/acme/platform"
)

// credentials remember which credentials were found good, by their SHA-256, never
// by themselves. They are split so that cores do not wait for one lock.
type credentials struct {
	shards [credentialShards]*lru.Cache[[sha256.Size]byte, *verifiedCredential]
}

const (
	credentialShards = 16
	// credentialLimit bounds them at some 600 bytes each.
	credentialLimit = 1 << 15
)

// verifiedCredential is a principal that was found good. It is not changed once made.
type verifiedCredential struct {
	principal platform.Principal
	until     time.Time
	snapshot  snapshot // the user, the tenant and the credential
}

func newCredentialCache() *credentials {
	v := &credentials{}
	for i := range v.shards {
		c, err := lru.New[[sha256.Size]byte, *verifiedCredential](credentialLimit / credentialShards)
		if err != nil { // only a size that is not positive fails
			panic(err)
		}
		v.shards[i] = c
	}
	return v
}

func (v *credentials) get(key [sha256.Size]byte) (*verifiedCredential, bool) {
	return v.shards[key[0]%credentialShards].Get(key)
}

func (v *credentials) put(key [sha256.Size]byte, found *verifiedCredential) {
	v.shards[key[0]%credentialShards].Add(key, found)
}

func (v *credentials) drop(key [sha256.Size]byte) {
	v.shards[key[0]%credentialShards].Remove(key)
}
