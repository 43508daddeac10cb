package testdb

import "github.com/acme/platform/store"

// Crossing is the token of a test that looks at the rows of all tenants.
func Crossing(db store.Relational) store.Crossing {
	return db.Crossings().Grant("test", "a test looks at the rows of all tenants")
}
