package idempotency

import "context"

// RemoveOld is one step of the removal.
func (k *Keys) RemoveOld(ctx context.Context) (bool, error) { return k.removeOld(ctx) }

// Part is the range of hashes that are counted together.
var Part = part
