package main

import (
	"log/slog"
	"net/http"

	"github.com/acme/platform"
	"github.com/acme/platform/store/kafka"
	"github.com/acme/platform/store/outbox"
	"github.com/acme/platform/store/postgres"
	"github.com/acme/platform/store/redis"
	"github.com/acme/platform/store/seal"
)

// process is one process while it is put together: each role takes the stores
// that it needs and no others.
type process struct {
	options
	log *slog.Logger
	// modules are in the order of their start: what others stand on first.
	modules []platform.Module
	sealer  *seal.Sealer // once withSealer was called

	platform *platform.Platform
	handler  http.Handler
	// endStreams ends answers that have no end of their own; nil where there
	// are none.
	endStreams func()
}

// assemble makes one process, which connects to nothing before its start.
func assemble(o options, log *slog.Logger) (*process, error) {
	p := &process{options: o, log: log}
	var err error
	p.handler, err = map[string]func() (http.Handler, error){
		roleGateway: p.gateway, roleUser: p.user, roleData: p.data, roleAnalytics: p.analytics, roleNotify: p.notify,
	}[o.role]()
	if err == nil {
		p.platform, err = platform.New(platform.Config{Logger: log}, p.modules...)
	}
	if err != nil {
		return nil, err
	}
	return p, nil
}

func (p *process) add(modules ...platform.Module) { p.modules = append(p.modules, modules...) }

func (p *process) withPostgres() (*postgres.DB, error) {
	db, err := postgres.New(postgres.Config{URL: p.postgres, Logger: p.log})
	if err != nil {
		return nil, err
	}
	p.add(db)
	return db, nil
}

func (p *process) withRedis() (*redis.Client, error) {
	client, err := redis.New(redis.Config{URL: p.redis, Logger: p.log})
	if err != nil {
		return nil, err
	}
	p.add(client)
	return client, nil
}

// withSealer is what encrypts stored secrets, for users and messages.
func (p *process) withSealer() (*seal.Sealer, error) {
	if p.sealer != nil {
		return p.sealer, nil
	}
	sealer, err := seal.New(seal.Config{Keys: seal.Memory(p.sealingKeys), Logger: p.log})
	if err != nil {
		return nil, err
	}
	p.sealer = sealer
	p.add(sealer)
	return sealer, nil
}

// stream is Kafka.
func (p *process) stream() (*kafka.Events, error) {
	cfg := p.kafka
	cfg.Logger = p.log
	events, err := kafka.New(cfg)
	if err != nil {
		return nil, err
	}
	p.add(events)
	return events, nil
}

// relay moves to Kafka what was emitted in PostgreSQL. Each process that emits
// has one; of all of them one works at a time.
func (p *process) relay(db *postgres.DB, events *kafka.Events) error {
	relay, err := outbox.New(outbox.Config{DB: db, Events: events, Logger: p.log})
	if err != nil {
		return err
	}
	p.add(relay)
	return nil
}
