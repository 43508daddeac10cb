package main

import (
	"errors"
	"log/slog"
	"path/filepath"
	"strings"
	"time"

	"github.com/acme/platform/analytics"
	"github.com/acme/platform/gateway"
	"github.com/acme/platform/notify"
	"github.com/acme/platform/standard"
	"github.com/acme/platform/standard/all"
	"github.com/acme/platform/store"
	"github.com/acme/platform/store/postgres"
	"github.com/acme/platform/store/seal"
	"github.com/acme/platform/store/sqlite"
	"github.com/acme/platform/user"
)

// assemble makes the platform that the options describe. It connects when it is
// started.
func assemble(o options, log *slog.Logger) (*standard.Platform, error) {
	if o.sealing.file == toPrint {
		return nil, errors.New(`--sealing-keys-file: "-" prints keys with "standalone sealing", and is no place for them`)
	}
	cfg := standard.Config{
		PublicURL: o.publicURL, Logger: log, Limits: o.plans(), Relational: o.relational(),
		Sealer:   seal.Open(o.sealing.place(o.data)),
		Users:    user.Config{AccessTTL: o.tokenTTL, SigningAlgorithm: o.signing, PasswordMemory: o.passwordMemory << 20, Breaches: o.breaches()},
		Metrics:  analytics.Config{Retention: o.eventRetention},
		Messages: notify.Config{AllowPrivateNetworks: o.webhooksToPrivate, MessageRetention: o.messageRetention, DeliveryRetention: o.deliveryRetention},
		Gateway:  o.gateway(),
	}
	var err error
	if cfg.Mail, err = o.mailer(log); err != nil {
		return nil, err
	}
	if cfg.Documents, err = all.Documents(o.stores.mongo); err != nil {
		return nil, err
	}
	if cfg.Live, err = all.Live(o.stores.redis); err != nil {
		return nil, err
	}
	if cfg.Events, err = all.Events(o.stores.kafka); err != nil {
		return nil, err
	}
	return standard.New(cfg)
}

// relational is the one store that is always there: PostgreSQL, or a SQLite file
// in the data folder.
func (o options) relational() store.RelationalOpener {
	if o.stores.postgres == "" {
		return sqlite.Open(filepath.Join(o.data, "acme.db"), sqlite.Reserve(o.diskReserve<<20))
	}
	return postgres.Config{
		URL: o.stores.postgres, RuntimeURL: o.stores.postgresRuntime, SystemURL: o.stores.postgresSystem,
	}.Open
}

// gateway is the configuration of the edge.
func (o options) gateway() gateway.Config {
	cfg := gateway.Config{
		RateLimit: perMinute(o.rateLimit), SignInRateLimit: perMinute(o.signInLimit), CredentialRateLimit: perMinute(o.refusedLimit),
		TrustedProxies: o.trustedProxies, Title: "Acme platform", Version: version(),
	}
	if !o.accessLog {
		cfg.AccessLog = slog.New(slog.DiscardHandler)
	}
	if len(o.corsOrigins) > 0 {
		cfg.CORS = &gateway.CORS{Origins: o.corsOrigins}
	}
	return cfg
}

// unchecked are the values of --breach-list-unavailable.
var unchecked = map[string]user.Unchecked{"accept": user.AcceptUnchecked, "refuse": user.RefuseUnchecked}

// breaches is the list that new passwords are looked up in, or nil.
func (o options) breaches() *user.Breaches {
	if o.breachList == "" {
		return nil
	}
	return &user.Breaches{Range: user.PwnedPasswords{URL: o.breachList}.Range, Unavailable: unchecked[o.breachUnavailable]}
}

func perMinute(n int64) gateway.Rate {
	if n == 0 {
		return gateway.NoLimit
	}
	return gateway.Rate{Requests: n, Period: time.Minute}
}

// where says where the data is, for the log.
func (o options) where() string {
	at := []string{"sqlite in " + o.data}
	if o.stores.postgres != "" {
		at[0] = "postgres"
	}
	for _, s := range []struct{ url, name string }{{o.stores.redis, "redis"}, {o.stores.kafka, "kafka"}, {o.stores.mongo, "mongo"}} {
		if s.url != "" {
			at = append(at, s.name)
		}
	}
	return strings.Join(at, ", ")
}
