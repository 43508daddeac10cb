// Package misuse does not compile: each line with a comment ERROR is a mistake
// that the types of package store refuse. TestMisuseDoesNotCompile builds it.
package misuse

import (
	"context"

	"github.com/acme/platform/store"
)

func ofOneTenant(context.Context, store.Tx) error        { return nil }
func ofManyTenants(context.Context, store.CrossTx) error { return nil }
func statements(store.Queries)                           {}

// A module that is given the tenants' part of a store cannot cross.
func module(ctx context.Context, db store.TenantDB) {
	_ = db.InTenant(ctx, "acme", ofOneTenant)
	db.AcrossTenants()          // ERROR "db.AcrossTenants undefined"
	db.Crossings()              // ERROR "db.Crossings undefined"
	var _ store.Relational = db // ERROR "store.TenantDB does not implement store.Relational"
}

// Whoever has the whole store needs a token, and only the store makes one.
func token(ctx context.Context, db store.Relational) {
	by := db.Crossings().Grant("misuse.token", "shows how a token is taken")
	_ = db.AcrossTenants(ctx, by, ofManyTenants)
	_ = db.AcrossTenants(ctx, ofManyTenants)                 // ERROR "not enough arguments in call"
	_ = db.AcrossTenants(ctx, "misuse.token", ofManyTenants) // ERROR "cannot use .misuse.token."
	_ = store.Crossing{grant: nil}                           // ERROR "unknown field grant|cannot refer to unexported field grant"
}

// A function for one kind of transaction is none for the other.
func kinds(ctx context.Context, db store.Relational, by store.Crossing) {
	_ = db.AcrossTenants(ctx, by, ofOneTenant)  // ERROR "cannot use ofOneTenant"
	_ = db.InTenant(ctx, "acme", ofManyTenants) // ERROR "cannot use ofManyTenants"
}

// What serves one tenant cannot be handed a transaction that reaches all.
func transactions(ctx context.Context, tx store.Tx, cross store.CrossTx) {
	_ = ofOneTenant(ctx, cross) // ERROR "store.CrossTx does not implement store.Tx"
	_ = ofManyTenants(ctx, tx)  // ERROR "store.Tx does not implement store.CrossTx"
	_ = cross.Tenant()          // ERROR "cross.Tenant undefined"
	_ = tx.Crossing()           // ERROR "tx.Crossing undefined"
	statements(tx)
	statements(cross)
}
