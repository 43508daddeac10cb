package redis

import (
	"github.com/acme/platform/store"
)

// Open names the server for an assembly of the whole platform; see [Config.URL].
// Nothing is connected before the client's Start.
func Open(url string) store.LiveOpener { return Config{URL: url}.Open }

// Open makes the client for an assembly of the whole platform, with the
// assembly's logger where the Config has none. As a value it is a
// [store.LiveOpener].
func (c Config) Open(env store.Env) (store.Live, error) {
	if c.Logger == nil {
		c.Logger = env.Logger
	}
	client, err := New(c)
	if err != nil { // or it would be a Live that is not nil
		return nil, err
	}
	return client, nil
}
