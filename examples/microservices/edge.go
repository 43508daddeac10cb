package main

import (
	"net/http"
	"time"

	"github.com/acme/platform"
	"github.com/acme/platform/analytics"
	"github.com/acme/platform/data"
	"github.com/acme/platform/gateway"
	"github.com/acme/platform/store"
	"github.com/acme/platform/store/postgres"
	"github.com/acme/platform/store/queue"
	"github.com/acme/platform/store/redis"
	"github.com/acme/platform/user"
)

// gateway is the edge. It verifies credentials and permissions by the user
// service as a library, over the same database and Redis: most checks are
// answered from memory, and none waits for another process. The operations
// themselves it forwards.
func (p *process) gateway() (http.Handler, error) {
	db, err := p.withPostgres()
	if err != nil {
		return nil, err
	}
	live, err := p.withRedis()
	if err != nil {
		return nil, err
	}
	users, err := p.users(db, live, nil, nil)
	if err != nil {
		return nil, err
	}
	described, err := p.describe(db, live, users)
	if err != nil {
		return nil, err
	}
	cfg := gateway.Config{
		Authenticators: gateway.Credentials(users), Authorizer: users, Cache: live.Cache(), Logger: p.log, AssertionKey: p.assertionKey,
		Limits: users.Limits(p.plans()), RateLimit: gateway.Rate{Requests: p.rateLimit, Period: time.Minute}, TrustedProxies: p.trustedProxies,
		Title: "Acme platform",
	}
	for _, service := range described {
		upstream, err := gateway.UpstreamOf(service, p.upstreams[service.Name()]...)
		if err != nil {
			return nil, err
		}
		cfg.Upstreams = append(cfg.Upstreams, upstream)
	}
	gw, err := gateway.New(cfg)
	if err != nil {
		return nil, err
	}
	p.add(users, gw)
	p.endStreams = gw.EndStreams
	return gw, nil
}

// describe returns the services for what they say of themselves: operations,
// who may call them, limits, OpenAPI. All of that is in the code, so the
// gateway asks nobody and starts before the services do. Of these services only
// the users' is ever started; the others stand on stores that are not there.
func (p *process) describe(db *postgres.DB, live *redis.Client, users *user.Service) ([]platform.Router, error) {
	noDocuments, noEvents := struct{ store.Documents }{}, struct{ store.Events }{}
	records, err := data.New(data.Config{Documents: noDocuments})
	if err != nil {
		return nil, err
	}
	metrics, err := analytics.New(analytics.Config{DB: db})
	if err != nil {
		return nil, err
	}
	jobs, err := queue.New(queue.Config{DB: db})
	if err != nil {
		return nil, err
	}
	messages, err := p.messages(db, live, noEvents, jobs, users)
	if err != nil {
		return nil, err
	}
	return []platform.Router{users, records, metrics, messages}, nil
}
