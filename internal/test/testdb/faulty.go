package testdb

import (
	"context"
	"sync/atomic"

	"github.com/acme/platform"
	"github.com/acme/platform/store"
)

// Faulty is a store whose transactions of AcrossTenants fail on demand.
type Faulty struct {
	DB

	// Down fails them before they begin: the store is away.
	Down atomic.Bool
	// Full fails them at the commit, after their function was called and found
	// nothing wrong: the disk is full.
	Full atomic.Bool
}

// AcrossTenants is that of the store, unless it is to fail.
func (f *Faulty) AcrossTenants(ctx context.Context, by store.Crossing, fn func(context.Context, store.CrossTx) error, opts ...store.TxOption) error {
	if f.Down.Load() {
		return platform.Errorf(platform.KindUnavailable, "down", "the store is away")
	}
	full := f.Full.Load() && !store.NewTxOptions(opts).ReadOnly
	return f.DB.AcrossTenants(ctx, by, func(ctx context.Context, tx store.CrossTx) error {
		if err := fn(ctx, tx); err != nil || !full {
			return err
		}
		return platform.Errorf(platform.KindUnavailable, "full", "the store is full")
	}, opts...)
}
