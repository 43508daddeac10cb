package mongo

import (
	"context"

	"github.com/acme/platform"
	"github.com/acme/platform/store"
)

var _ store.Sizer = (*Documents)(nil)

// Size implements [store.Sizer]. It reads the heads of the tenant's collections,
// which count with each change. What was written before heads counted bytes is
// not in them.
func (d *Documents) Size(ctx context.Context, tenant platform.TenantID) (size store.Size, err error) {
	if err := d.enter(tenant); err != nil {
		return store.Size{}, err
	}
	heads, _, err := d.listHeads(ctx, scope{tenant}, nil)
	if err != nil {
		return store.Size{}, err
	}
	for _, h := range heads {
		size.Documents += h.Count
		size.Bytes += max(h.Bytes, 0)
	}
	return size, nil
}
