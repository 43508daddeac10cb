package main

import (
	"context"
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
	// opened are connected before their start.
	opened []platform.Stopper
}

// openStores connects. After an error nothing stays open; otherwise the caller
// must start and stop the modules, or call close.
func openStores(ctx context.Context, o options, log *slog.Logger) (*stores, error) {
	s := &stores{}
	var err error
	if s.scans, err = store.NewScans(store.ScanConfig{}); err != nil {
		return nil, err
	}
	for _, open := range []func(context.Context, options, *slog.Logger) error{
		s.openRelational, s.openLive, s.openEvents, s.openDocuments,
	} {
		if err := open(ctx, o, log); err != nil {
			s.close(ctx)
			return nil, err
		}
	}
	return s, nil
}

// openRelational is the one store that is always there: PostgreSQL, or a
// SQLite file in the data folder.
func (s *stores) openRelational(ctx context.Context, o options, log *slog.Logger) error {
	if o.stores.postgres == "" {
		db, err := sqlite.Open(ctx, filepath.Join(o.data, "acme.db"), sqlite.Reserve(o.diskReserve<<20))
		if err != nil {
			return err
		}
		s.db, s.exclusive = db, true
		s.add(db)
		s.opened = append(s.opened, db)
		return nil
	}
	db, err := postgres.Open(ctx, postgres.Config{
		URL: o.stores.postgres, RuntimeURL: o.stores.postgresRuntime, SystemURL: o.stores.postgresSystem, Logger: log,
	})
	if err != nil {
		return err
	}
	s.db = db
	s.add(db)
	s.opened = append(s.opened, db)
	return nil
}

// openLive is what may be lost: cache and live messages.
func (s *stores) openLive(ctx context.Context, o options, log *slog.Logger) error {
	if o.stores.redis == "" {
		s.cache, s.pubsub = memory.NewCache(cacheBytes), memory.NewPubSub()
		s.logins = memory.NewCache(loginBytes)
		return nil
	}
	address, prefix, err := redisPrefix(o.stores.redis)
	if err != nil {
		return err
	}
	client, err := redis.Open(ctx, redis.Config{URL: address, Prefix: prefix, Logger: log})
	if err != nil {
		return err
	}
	s.cache, s.pubsub = client.Cache(), client.PubSub()
	s.logins = store.FallbackCache(s.cache, memory.NewCache(loginBytes))
	s.add(client)
	s.opened = append(s.opened, client)
	return nil
}

// openEvents is the stream, in a topic or in a table.
func (s *stores) openEvents(_ context.Context, o options, log *slog.Logger) error {
	if o.stores.kafka == "" {
		events, err := sqlevents.New(sqlevents.Config{DB: s.db, Logger: log, Exclusive: s.exclusive, Lease: lease})
		if err != nil {
			return err
		}
		s.events = events
		s.add(events)
		return nil
	}
	cfg, err := kafkaConfig(o.stores.kafka)
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

// openDocuments is the tenants' own records.
func (s *stores) openDocuments(_ context.Context, o options, log *slog.Logger) error {
	if o.stores.mongo == "" {
		documents, err := sqldocs.New(sqldocs.Config{DB: s.db})
		if err != nil {
			return err
		}
		s.documents = documents
		s.add(documents)
		return nil
	}
	database, err := mongoDatabase(o.stores.mongo)
	if err != nil {
		return err
	}
	documents, err := mongo.New(mongo.Config{URL: o.stores.mongo, Database: database, Events: s.events, Logger: log, Lease: lease})
	if err != nil {
		return err
	}
	s.documents = documents
	s.add(documents)
	s.opened = append(s.opened, documents)
	return nil
}

func (s *stores) add(m platform.Module) { s.modules = append(s.modules, m) }

// closeTimeout bounds the end of connections that were never used.
const closeTimeout = 5 * time.Second

// close ends the connections; those of modules that were stopped are ended
// already. The context that made them may have ended, too.
func (s *stores) close(ctx context.Context) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), closeTimeout)
	defer cancel()
	for _, m := range s.opened {
		_ = m.Stop(ctx) // nothing was written that an error could be about
	}
}

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
