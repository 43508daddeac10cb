package mongo

import (
	"github.com/acme/platform/store"
)

// Open names the servers for an assembly of the whole platform; see
// [Config.URL]. Nothing is connected before the store's Start.
func Open(url string) store.DocumentsOpener { return Config{URL: url}.Open }

// Open makes the store for an assembly of the whole platform, with the
// assembly's stream, logger and clock where the Config has none. As a value it is
// a [store.DocumentsOpener].
func (c Config) Open(env store.Env) (store.Documents, error) {
	if c.Events == nil {
		c.Events = env.Events
	}
	if c.Logger == nil {
		c.Logger = env.Logger
	}
	if c.Lease == 0 {
		c.Lease = env.Lease
	}
	if c.Now == nil {
		c.Now = env.Now
	}
	d, err := New(c)
	if err != nil { // or it would be Documents that are not nil
		return nil, err
	}
	return d, nil
}
