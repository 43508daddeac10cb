package sqltx

import (
	"context"

	"github.com/acme/platform"
	"github.com/acme/platform/store"
)

// Func is the function of a transaction, of one kind or the other. Drivers pass
// it on and have one way for both.
type Func struct {
	tenant platform.TenantID
	in     func(context.Context, store.Tx) error

	by     store.Crossing
	across func(context.Context, store.CrossTx) error
}

// InTenant is the function of a transaction of one tenant.
func InTenant(tenant platform.TenantID, fn func(context.Context, store.Tx) error) Func {
	return Func{tenant: tenant, in: fn}
}

// AcrossTenants is the function of a transaction across tenants.
func AcrossTenants(by store.Crossing, fn func(context.Context, store.CrossTx) error) Func {
	return Func{by: by, across: fn}
}

// Scope is the tenant that the transaction is bound to, "" across tenants.
func (f Func) Scope() platform.TenantID { return f.tenant }

// Call runs the function in t.
func (f Func) Call(ctx context.Context, t *Tx) error {
	if f.in != nil {
		return f.in(ctx, tenantTx{t})
	}
	t.by = f.by
	return f.across(ctx, crossTx{t})
}

// tenantTx implements [store.Tx].
type tenantTx struct{ *Tx }

var _ store.Tx = tenantTx{}

func (t tenantTx) Tenant() platform.TenantID { return t.cfg.Tenant }

// crossTx implements [store.CrossTx].
type crossTx struct{ *Tx }

var _ store.CrossTx = crossTx{}

func (t crossTx) Crossing() store.Crossing { return t.by }
