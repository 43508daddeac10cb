package postgres

import (
	"github.com/acme/platform/store"
)

// Open names the database for an assembly of the whole platform, by the URL of
// the owner of its tables; see [Config.URL]. Nothing is connected before the
// store's Start.
func Open(url string) store.RelationalOpener { return Config{URL: url}.Open }

// Open makes the store for an assembly of the whole platform, with the
// assembly's logger and clock where the Config has none. As a value it is a
// [store.RelationalOpener]:
//
//	Relational: postgres.Config{Runtime: pool, System: systemPool}.Open
func (c Config) Open(env store.Env) (store.Relational, error) {
	if c.Logger == nil {
		c.Logger = env.Logger
	}
	if c.Now == nil {
		c.Now = env.Now
	}
	db, err := New(c)
	if err != nil { // or it would be a Relational that is not nil
		return nil, err
	}
	return db, nil
}
