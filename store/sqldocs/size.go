package sqldocs

import (
	"context"
	"fmt"

	"github.com/acme/platform"
	"github.com/acme/platform/store"
)

var _ store.Sizer = (*Documents)(nil)

// Size implements [store.Sizer]. It reads an entry of an index and the length of
// the data for each document, not the data.
func (d *Documents) Size(ctx context.Context, tenant platform.TenantID) (size store.Size, err error) {
	err = d.db.InTenant(ctx, tenant, func(ctx context.Context, tx store.Tx) error {
		return tx.QueryRow(ctx, `SELECT COUNT(*), COALESCE(SUM(LENGTH(data)), 0) FROM documents WHERE tenant = ?`, string(tenant)).
			Scan(&size.Documents, &size.Bytes)
	}, store.ReadOnly)
	if err != nil {
		return store.Size{}, fmt.Errorf("sqldocs: size: %w", err)
	}
	return size, nil
}
