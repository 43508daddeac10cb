package kafka

import (
	"fmt"

	"github.com/acme/platform/store"
)

// Open names the stream for an assembly of the whole platform, by a URL that
// [ParseURL] reads. Nothing is connected before the stream's Start.
func Open(url string) store.EventsOpener {
	return func(env store.Env) (store.Events, error) {
		cfg, err := ParseURL(url)
		if err != nil {
			return nil, fmt.Errorf("kafka: %w", err)
		}
		return cfg.Open(env)
	}
}

// Open makes the stream for an assembly of the whole platform, with the
// assembly's logger and clock where the Config has none. As a value it is a
// [store.EventsOpener].
func (c Config) Open(env store.Env) (store.Events, error) {
	if c.Logger == nil {
		c.Logger = env.Logger
	}
	if c.Now == nil {
		c.Now = env.Now
	}
	e, err := New(c)
	if err != nil { // or it would be Events that are not nil
		return nil, err
	}
	return e, nil
}
