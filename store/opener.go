package store

import (
	"log/slog"
	"time"
)

// Openers let an assembly of the whole platform name a store without importing
// its driver: the driver's Open returns one, such as postgres.Open(url), and so
// does the method Open of its Config. An opener checks its settings and makes
// the store. It does no I/O: the store connects when its Start is called.
type (
	// RelationalOpener opens a store of tables.
	RelationalOpener func(Env) (Relational, error)
	// DocumentsOpener opens a store of the tenants' records.
	DocumentsOpener func(Env) (Documents, error)
	// LiveOpener opens what is shared by all processes and may be lost.
	LiveOpener func(Env) (Live, error)
	// EventsOpener opens a stream.
	EventsOpener func(Env) (Events, error)
	// SealerOpener makes what encrypts secrets.
	SealerOpener func(Env) (Sealer, error)
)

// Live is a cache and live messages of one server.
type Live interface {
	Cache() Cache
	PubSub() PubSub
}

// Env is what an assembly gives to the openers of its stores.
type Env struct {
	// Logger takes what a store has to say; it is never nil.
	Logger *slog.Logger
	// Now is the clock and NewID makes ids; neither is nil.
	Now   func() time.Time
	NewID func(prefix string) string
	// Lease is how long the background work of a process that was killed waits
	// for another one to take it over; zero is the store's default.
	Lease time.Duration
	// Relational is the assembly's own; nil for a [RelationalOpener].
	Relational Relational
	// Events is the assembly's stream; nil for all but a [DocumentsOpener],
	// which hands it to a store that relays its events by itself.
	Events Events
}
