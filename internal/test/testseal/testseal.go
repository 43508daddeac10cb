// Package testseal has the keyset of tests: each process of a test opens what
// another one has sealed.
package testseal

import (
	"testing"

	"github.com/acme/platform/store"
	"github.com/acme/platform/store/seal"
)

// Keyset is what [seal.Env] and [seal.Memory] take.
const Keyset = `{"primaryKeyId":1,"key":[{"keyData":{"typeUrl":"type.googleapis.com/google.crypto.tink.AesGcmKey","value":"GiB0ZXN0IGtleSwgb2YgdGVzdHMgYW5kIG5vIHNlY3JldA==","keyMaterialType":"SYMMETRIC"},"status":"ENABLED","keyId":1,"outputPrefixType":"TINK"}]}`

// New returns a sealer under the keyset of tests.
func New(tb testing.TB) *seal.Sealer {
	tb.Helper()
	s, err := seal.New(seal.Config{Keys: seal.Memory(Keyset)})
	if err != nil {
		tb.Fatal(err)
	}
	return s
}

// Opener is for an assembly.
func Opener() store.SealerOpener { return seal.Open(seal.Memory(Keyset)) }
