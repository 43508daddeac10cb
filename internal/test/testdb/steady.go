package testdb

import (
	"context"

	"github.com/acme/platform"
	"github.com/acme/platform/store"
)

// steady is a store whose transactions, once begun, do not end with their
// context. A bubble of synctest needs one: to stop a statement, pgx waits for a
// while in the bubble's time, in which database/sql holds a mutex; and while a
// goroutine waits for a mutex, that time does not pass.
type steady struct{ DB }

func (s steady) InTenant(ctx context.Context, tenant platform.TenantID, fn func(context.Context, store.Tx) error, opts ...store.TxOption) error {
	if ctx.Err() == nil {
		ctx = context.WithoutCancel(ctx)
	}
	return s.DB.InTenant(ctx, tenant, fn, opts...)
}

func (s steady) AcrossTenants(ctx context.Context, by store.Crossing, fn func(context.Context, store.CrossTx) error, opts ...store.TxOption) error {
	if ctx.Err() == nil {
		ctx = context.WithoutCancel(ctx)
	}
	return s.DB.AcrossTenants(ctx, by, fn, opts...)
}
