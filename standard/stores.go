package standard

import (
	"fmt"
	"path/filepath"
	"time"

	"github.com/acme/platform"
	"github.com/acme/platform/store"
	"github.com/acme/platform/store/memory"
	"github.com/acme/platform/store/outbox"
	"github.com/acme/platform/store/sqldocs"
	"github.com/acme/platform/store/sqlevents"
	"github.com/acme/platform/store/sqlite"
)

const (
	// cacheBytes bounds answers and counters of limits together, where they are
	// in this process.
	cacheBytes = 32 << 20
	// loginBytes bounds the counters of failed sign-ins, where there is no Live
	// and while it is unavailable. They have a cache of their own: what anybody
	// may ask for must not push them out.
	loginBytes = 32 << 20
	// lease is how long the work of a replica that was killed waits for another
	// one to take it over. A live replica renews it three times as often.
	lease = 10 * time.Second
)

// stores are the five ports and what starts them.
type stores struct {
	db        store.Relational
	documents store.Documents
	cache     store.Cache
	logins    store.Cache // counts failed sign-ins, also while Live is unavailable
	pubsub    store.PubSub
	events    store.Events
	sealer    store.Sealer
	scans     *store.Scans
	// modules are in the order of their start.
	modules []platform.Module
}

// openStores makes the stores; none connects before its Start.
func openStores(cfg Config) (*stores, error) {
	s := &stores{}
	for _, open := range []func(Config) error{s.openRelational, s.openSealer, s.openLive, s.openEvents, s.openDocuments} {
		if err := open(cfg); err != nil {
			return nil, err
		}
	}
	var err error
	s.scans, err = store.NewScans(cfg.Scans)
	return s, named("Scans", err)
}

func (s *stores) openRelational(cfg Config) (err error) {
	open := cfg.Relational
	if open == nil {
		open = sqlite.Open(filepath.Join(cfg.Data, "acme.db"))
	}
	if s.db, err = open(cfg.env()); err != nil {
		return named("Relational", err)
	}
	return s.add("Relational", s.db)
}

// openSealer makes what encrypts secrets. One that is no module is the host's own
// and has nothing to start.
func (s *stores) openSealer(cfg Config) (err error) {
	if s.sealer, err = cfg.Sealer(cfg.env()); err != nil {
		return named("Sealer", err)
	}
	if m, ok := s.sealer.(platform.Module); ok {
		s.modules = append(s.modules, m)
	}
	return nil
}

func (s *stores) openLive(cfg Config) error {
	if cfg.Live == nil {
		s.cache, s.pubsub, s.logins = memory.NewCache(cacheBytes), memory.NewPubSub(), memory.NewCache(loginBytes)
		return nil
	}
	live, err := cfg.Live(cfg.env())
	if err != nil {
		return named("Live", err)
	}
	s.cache, s.pubsub = live.Cache(), live.PubSub()
	s.logins = store.FallbackCache(s.cache, memory.NewCache(loginBytes))
	return s.add("Live", live)
}

// openEvents makes the stream and, where the stream does not bring its own, the
// relay that feeds it.
func (s *stores) openEvents(cfg Config) (err error) {
	feed := cfg.Relay
	cfg.share(&feed.Logger, &feed.Now, nil)
	if cfg.Events == nil {
		s.events, err = sqlevents.New(sqlevents.Config{
			DB: s.db, Logger: cfg.Logger, Now: cfg.Now, NewID: cfg.NewID, Lease: lease, Relay: feed,
		})
		if err != nil {
			return named("Events", err)
		}
		return s.add("Events", s.events)
	}
	env := cfg.env()
	env.Relational = s.db
	if s.events, err = cfg.Events(env); err != nil {
		return named("Events", err)
	}
	if err := s.add("Events", s.events); err != nil {
		return err
	}
	if own, ok := s.events.(outbox.Relayed); ok && own.SharesStore(s.db) {
		return nil
	}
	feed.DB, feed.Events = s.db, s.events
	relay, err := outbox.New(feed)
	if err != nil {
		return named("Relay", err)
	}
	s.modules = append(s.modules, relay)
	return nil
}

func (s *stores) openDocuments(cfg Config) (err error) {
	if cfg.Documents == nil {
		s.documents, err = sqldocs.New(sqldocs.Config{DB: s.db})
	} else {
		env := cfg.env()
		env.Relational, env.Events = s.db, s.events
		s.documents, err = cfg.Documents(env)
	}
	if err != nil {
		return named("Documents", err)
	}
	return s.add("Documents", s.documents)
}

// add takes a store into the lifecycle. One that is no module would never be
// started.
func (s *stores) add(field string, opened any) error {
	m, ok := opened.(platform.Module)
	if !ok {
		return named(field, fmt.Errorf("the opener returned a %T, which is no platform.Module", opened))
	}
	s.modules = append(s.modules, m)
	return nil
}
