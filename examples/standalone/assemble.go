package main

import (
	"context"
	"log/slog"
	"time"

	"github.com/acme/platform"
	"github.com/acme/platform/analytics"
	"github.com/acme/platform/data"
	"github.com/acme/platform/gateway"
	"github.com/acme/platform/notify"
	"github.com/acme/platform/store"
	"github.com/acme/platform/store/outbox"
	"github.com/acme/platform/store/queue"
	"github.com/acme/platform/user"
)

// assembly is the platform put together.
type assembly struct {
	stores   *stores
	platform *platform.Platform
	gateway  *gateway.Gateway
	// endStreams ends answers that have no end of their own.
	endStreams func()
}

// assemble makes the stores and wires the modules. It does no I/O: that begins
// with the start of the platform.
func assemble(o options, log *slog.Logger) (assembly, error) {
	s, err := newStores(o, log)
	if err != nil {
		return assembly{}, err
	}
	relay, err := outbox.New(outbox.Config{DB: s.db, Events: s.events, Logger: log})
	if err != nil {
		return assembly{}, err
	}
	var messages *notify.Service // the users' invitations are sent by it
	users, err := user.New(user.Config{
		DB: s.db, Issuer: o.publicURL, Cache: s.logins, PubSub: s.pubsub, Logger: log, AccessTTL: o.tokenTTL,
		Limits: o.plans(),
		OnInvitation: func(ctx context.Context, tx store.Tx, inv user.Invitation, token user.Secret) error {
			return mailInvitation(ctx, tx, messages, o, inv, token)
		},
	})
	if err != nil {
		return assembly{}, err
	}
	// Every part that bounds something takes these: the organizations that one
	// user created have one share.
	limits := users.Limits(o.plans())
	jobs, err := queue.New(queue.Config{DB: s.db, Logger: log, Exclusive: s.exclusive, Lease: lease, Limits: limits, Suspensions: users})
	if err != nil {
		return assembly{}, err
	}
	mailer, err := o.mailer(log)
	if err != nil {
		return assembly{}, err
	}
	messages, err = notify.New(notify.Config{
		DB: s.db, Events: s.events, Queue: jobs, Directory: directory{users}, Mail: mailer, Rules: builtinRules,
		Authorizer: users, VerifiedSender: directory{users}.verified,
		PubSub: s.pubsub, AllowPrivateNetworks: o.webhooksToPrivate, Limits: limits, Logger: log,
		MessageRetention: o.messageRetention, DeliveryRetention: o.deliveryRetention,
	})
	if err != nil {
		return assembly{}, err
	}
	records, err := data.New(data.Config{Documents: s.documents, Logger: log, Limits: limits, Scans: s.scans})
	if err != nil {
		return assembly{}, err
	}
	metrics, err := analytics.New(analytics.Config{DB: s.db, Logger: log, Limits: limits, Scans: s.scans, Retention: o.eventRetention})
	if err != nil {
		return assembly{}, err
	}
	gw, err := gateway.New(o.gateway(users, s.cache, limits, log), users, records, metrics, messages)
	if err != nil {
		return assembly{}, err
	}
	// What others stand on comes first and is stopped last; the jobs come
	// after the services whose handlers they call.
	p, err := platform.New(platform.Config{Logger: log}, append(s.modules, relay, users, records, metrics, messages, jobs, gw)...)
	if err != nil {
		return assembly{}, err
	}
	return assembly{stores: s, platform: p, gateway: gw, endStreams: messages.EndStreams}, nil
}

// gateway is the configuration of the edge.
func (o options) gateway(users *user.Service, cache store.Cache, limits platform.LimitsFunc, log *slog.Logger) gateway.Config {
	cfg := gateway.Config{
		Verifier: users, Authorizer: users, Cache: cache, Logger: log,
		Limits:    limits,
		RateLimit: perMinute(o.rateLimit), SignInRateLimit: perMinute(o.signInLimit),
		CredentialRateLimit: perMinute(o.refusedLimit),
		TrustedProxies:      o.trustedProxies, Title: "Acme platform", Version: version(),
	}
	if len(o.corsOrigins) > 0 {
		cfg.CORS = &gateway.CORS{Origins: o.corsOrigins}
	}
	return cfg
}

func perMinute(n int64) gateway.Rate {
	if n == 0 {
		return gateway.NoLimit
	}
	return gateway.Rate{Requests: n, Period: time.Minute}
}
