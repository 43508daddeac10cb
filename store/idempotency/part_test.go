package idempotency_test

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"testing"

	"github.com/acme/platform/store/idempotency"
)

// The parts of a limit cover all hashes, each once, and sum up to the limit.
func TestParts(t *testing.T) {
	for _, c := range []struct {
		limit int64
		parts int64
	}{{0, 1}, {1, 1}, {1000, 1}, {1024, 2}, {1_000_000, 1024}, {1 << 60, 1 << 32}} {
		for i := range 50 {
			hash := sha256.Sum256([]byte(fmt.Sprint(i)))
			low, high, most := idempotency.Part(hash[:], c.limit)
			if bytes.Compare(low, hash[:]) > 0 || bytes.Compare(high, hash[:]) < 0 {
				t.Fatalf("limit %d: %x is not within %x and %x", c.limit, hash, low, high)
			}
			if most != c.limit/c.parts {
				t.Fatalf("limit %d: a part has %d", c.limit, most)
			}
			l2, h2, _ := idempotency.Part(high, c.limit)
			if !bytes.Equal(low, l2) || !bytes.Equal(high, h2) {
				t.Fatalf("limit %d: the end of a part is in another one", c.limit)
			}
		}
	}
	if _, _, most := idempotency.Part(make([]byte, 32), -1); most >= 0 {
		t.Error("no limit is a limit")
	}
}
