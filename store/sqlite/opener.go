package sqlite

import (
	"slices"

	"github.com/acme/platform/store"
)

// Open names the file for an assembly of the whole platform, whose clock it
// uses unless [Clock] is among the options. Nothing is opened before the store's
// Start.
func Open(path string, opts ...Option) store.RelationalOpener {
	return func(env store.Env) (store.Relational, error) {
		db, err := New(path, slices.Concat([]Option{Clock(env.Now)}, opts)...)
		if err != nil { // or it would be a Relational that is not nil
			return nil, err
		}
		return db, nil
	}
}
