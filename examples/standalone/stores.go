package main

import (
	"log/slog"
	"path/filepath"
	"strings"
	"time"

	"github.com/acme/platform"
	"github.com/acme/platform/store"
	"github.com/acme/platform/store/kafka"
	"github.com/acme/platform/store/memory"
	"github.com/acme/platform/store/mongo"
	"github.com/acme/platform/store/postgres"
	"github.com/acme/platform/store/redis"
	"github.com/acme/platform/store/sqldocs"
	"github.com/acme/platform/store/sqlevents"
	"github.com/acme/platform/store/sqlite"
)

// cacheBytes bounds answers and counters of limits together, where they are in
// this process.
const cacheBytes = 32 << 20

// loginBytes bounds the counters of failed logins, where there is no Redis and
// while it is away. They have a cache of their own: what anybody may ask for
// must not push them out.
const loginBytes = 32 << 20

// lease is how long the work of a replica that was killed waits for another
// one to take it over. It is renewed three times as often.
const lease = 10 * time.Second

// stores are the five ports, each over the server that the options name or
// embedded.
type stores struct {
	db        store.Relational
	documents store.Documents
	cache     store.Cache
	logins    store.Cache // counts failed logins, also while cache is away
	pubsub    store.PubSub
	events    store.Events
	// scans are the queries of all services that read much.
	scans *store.Scans

	// exclusive says that no other process works on db.
	exclusive bool
	// modules are those of the stores, in the order of their start.
	modules []platform.Module
}

// newStores makes them. They connect when the platform starts.
func newStores(o options, log *slog.Logger) (*stores, error) {
	s := &stores{}
	var err error
	if s.scans, err = store.NewScans(store.ScanConfig{}); err != nil {
		return nil, err
	}
	for _, make := range []func(options, *slog.Logger) error{s.newRelational, s.newLive, s.newEvents, s.newDocuments} {
		if err := make(o, log); err != nil {
			return nil, err
		}
	}
	return s, nil
}

// newRelational is the one store that is always there: PostgreSQL, or a
// SQLite file in the data folder.
func (s *stores) newRelational(o options, log *slog.Logger) error {
	if o.stores.postgres == "" {
		db, err := sqlite.New(filepath.Join(o.data, "acme.db"), sqlite.Reserve(o.diskReserve<<20))
		if err != nil {
			return err
		}
		s.db, s.exclusive = db, true
		s.add(db)
		return nil
	}
	db, err := postgres.New(postgres.Config{
		URL: o.stores.postgres, RuntimeURL: o.stores.postgresRuntime, SystemURL: o.stores.postgresSystem, Logger: log,
	})
	if err != nil {
		return err
	}
	s.db = db
	s.add(db)
	return nil
}

// newLive is what may be lost: cache and live messages.
func (s *stores) newLive(o options, log *slog.Logger) error {
	if o.stores.redis == "" {
		s.cache, s.pubsub = memory.NewCache(cacheBytes), memory.NewPubSub()
		s.logins = memory.NewCache(loginBytes)
		return nil
	}
	client, err := redis.New(redis.Config{URL: o.stores.redis, Logger: log})
	if err != nil {
		return err
	}
	s.cache, s.pubsub = client.Cache(), client.PubSub()
	s.logins = store.FallbackCache(s.cache, memory.NewCache(loginBytes))
	s.add(client)
	return nil
}

// newEvents is the stream, in a topic or in a table.
func (s *stores) newEvents(o options, log *slog.Logger) error {
	if o.stores.kafka == "" {
		events, err := sqlevents.New(sqlevents.Config{DB: s.db, Logger: log, Exclusive: s.exclusive, Lease: lease})
		if err != nil {
			return err
		}
		s.events = events
		s.add(events)
		return nil
	}
	cfg, err := kafka.ParseURL(o.stores.kafka)
	if err != nil {
		return err
	}
	cfg.Logger = log
	events, err := kafka.New(cfg)
	if err != nil {
		return err
	}
	s.events = events
	s.add(events)
	return nil
}

// newDocuments is the tenants' own records.
func (s *stores) newDocuments(o options, log *slog.Logger) error {
	if o.stores.mongo == "" {
		documents, err := sqldocs.New(sqldocs.Config{DB: s.db})
		if err != nil {
			return err
		}
		s.documents = documents
		s.add(documents)
		return nil
	}
	documents, err := mongo.New(mongo.Config{URL: o.stores.mongo, Events: s.events, Logger: log, Lease: lease})
	if err != nil {
		return err
	}
	s.documents = documents
	s.add(documents)
	return nil
}

func (s *stores) add(m platform.Module) { s.modules = append(s.modules, m) }

// describe says where the data is.
func (s *stores) describe(o options) string {
	var names []string
	for _, m := range s.modules {
		names = append(names, m.Name())
	}
	if s.exclusive {
		names[0] += " in " + o.data
	}
	return strings.Join(names, ", ")
}
