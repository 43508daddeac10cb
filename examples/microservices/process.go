package main

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"time"

	"github.com/acme/platform"
	"github.com/acme/platform/store/kafka"
	"github.com/acme/platform/store/outbox"
	"github.com/acme/platform/store/postgres"
	"github.com/acme/platform/store/redis"
)

// process is one process while it is put together: each role takes the stores
// that it needs and no others.
type process struct {
	options
	log *slog.Logger
	// modules are in the order of their start: what others stand on first.
	modules []platform.Module
	// opened are connected before their start.
	opened []platform.Stopper

	platform *platform.Platform
	handler  http.Handler
	// endStreams ends answers that have no end of their own; nil where there
	// are none.
	endStreams func()
}

// assemble makes one process. Connections are the platform's to end, once it was
// started.
func assemble(ctx context.Context, o options, log *slog.Logger) (*process, error) {
	p := &process{options: o, log: log}
	var err error
	p.handler, err = map[string]func(context.Context) (http.Handler, error){
		roleGateway: p.gateway, roleUser: p.user, roleData: p.data, roleAnalytics: p.analytics, roleNotify: p.notify,
	}[o.role](ctx)
	if err == nil {
		p.platform, err = platform.New(platform.Config{Logger: log}, p.modules...)
	}
	if err != nil {
		return nil, errors.Join(err, p.close(ctx))
	}
	return p, nil
}

func (p *process) add(modules ...platform.Module) { p.modules = append(p.modules, modules...) }

// close ends the connections of a process that was never started.
func (p *process) close(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	var errs []error
	for _, s := range p.opened {
		errs = append(errs, s.Stop(ctx))
	}
	return errors.Join(errs...)
}

func (p *process) openPostgres(ctx context.Context) (*postgres.DB, error) {
	db, err := postgres.Open(ctx, postgres.Config{URL: p.postgres, Logger: p.log})
	if err != nil {
		return nil, err
	}
	p.add(db)
	p.opened = append(p.opened, db)
	return db, nil
}

func (p *process) openRedis(ctx context.Context) (*redis.Client, error) {
	client, err := redis.Open(ctx, redis.Config{URL: p.redis, Logger: p.log})
	if err != nil {
		return nil, err
	}
	p.add(client)
	p.opened = append(p.opened, client)
	return client, nil
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
