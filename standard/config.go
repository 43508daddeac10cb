package standard

import (
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"path/filepath"
	"time"

	"github.com/acme/platform"
	"github.com/acme/platform/analytics"
	"github.com/acme/platform/data"
	"github.com/acme/platform/gateway"
	"github.com/acme/platform/notify"
	"github.com/acme/platform/store"
	"github.com/acme/platform/store/outbox"
	"github.com/acme/platform/store/queue"
	"github.com/acme/platform/store/seal"
	"github.com/acme/platform/user"
)

// Config says what the platform is made of. Data, or Relational, PublicURL
// and Sealer, must be set; everything else has a good default.
type Config struct {
	// Data is the folder of what is embedded: the SQLite file acme.db, the keys
	// of its secrets acme.keys where Sealer is nil, and the folder mail of e-mails
	// where Mail is nil. It is made where it is missing.
	// It must be set unless Relational is, and is not used then.
	Data string
	// PublicURL is where clients reach the platform, with Gateway.BasePath, such
	// as "https://example.com/api": the issuer of access tokens and the
	// beginning of links. With Relational it must be set; for the embedded
	// platform empty is "http://localhost:8080" and Gateway.BasePath.
	PublicURL string

	// Relational holds accounts, access, audit, metrics, messages and jobs,
	// such as postgres.Open(url); nil is a SQLite file in Data.
	Relational store.RelationalOpener
	// Documents holds the tenants' records, such as mongo.Open(url); nil is
	// rows of Relational.
	Documents store.DocumentsOpener
	// Live is the cache and the live messages of all processes, such as
	// redis.Open(url); nil is this process's memory. Without it each replica
	// counts rate limits and failed sign-ins for itself, learns within seconds
	// of what was revoked elsewhere, and a live stream shows at once only what
	// its own replica did.
	Live store.LiveOpener
	// Events is the stream, such as kafka.Open(url); nil is a table of
	// Relational.
	Events store.EventsOpener

	// Sealer encrypts the secrets that are stored: signing keys, the secrets of
	// webhooks, the seeds of second factors. With Relational it must be set, such
	// as seal.Open(seal.File("/etc/acme/platform.keys")), and all processes must
	// have the same keyset; the embedded platform has its keyset in the file
	// acme.keys in Data, which a backup of the database needs as well.
	Sealer store.SealerOpener

	// Accounts are the host's own people in place of package user; nil is
	// package user. Users is not used with it.
	Accounts Accounts
	// Mail takes e-mails away, such as a *notify.SMTP. Nil is files in the
	// folder mail of Data, the newest 1,000 of them; with Relational it is no
	// e-mail, and what needs one is refused with "email_not_configured".
	Mail notify.Mailer
	// MailTexts are the words of the mails that accounts need, such as an
	// invitation; nil is [MailTexts].
	MailTexts Texts
	// Limits tells what each tenant may keep and do; nil is the defaults.
	Limits platform.LimitsFunc
	// Scans bounds the queries of all tenants that read much.
	Scans store.ScanConfig
	// Modules makes the host's modules, which start after the platform's
	// services and before the jobs run. The gateway serves those that are a
	// [platform.Router].
	Modules func(Parts) ([]platform.Module, error)

	// The settings of the parts. What an assembly decides (stores, Logger, Now,
	// NewID, Limits, Scans, Authenticators) is filled in where it is zero.
	Users    user.Config
	Records  data.Config
	Metrics  analytics.Config
	Messages notify.Config // Rules nil is [Rules]; an empty list is none
	Gateway  gateway.Config
	Jobs     queue.Config
	Relay    outbox.Config // of a stream that is in no table

	// Logger takes what all parts have to say; nil is silence.
	Logger *slog.Logger
	// CheckTimeout bounds one health check of one module; zero is 2 s.
	CheckTimeout time.Duration
	// Now is the clock of all parts; nil is [time.Now].
	Now func() time.Time
	// NewID makes the ids of all parts; nil is [platform.NewID].
	NewID func(prefix string) string
}

// withDefaults returns a filled copy, or an error that names each missing field
// and what to write.
func (cfg Config) withDefaults() (Config, error) {
	var errs []error
	if cfg.Relational == nil && cfg.Data == "" {
		errs = append(errs, errors.New("standard: Config.Data: name a folder for the embedded database, "+
			`such as Data: "acme-data", or another store, such as Relational: postgres.Open(url)`))
	}
	if cfg.PublicURL == "" && cfg.Relational == nil {
		cfg.PublicURL = "http://localhost:8080" + cfg.Gateway.BasePath
	}
	if u, err := url.Parse(cfg.PublicURL); err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		errs = append(errs, errors.New("standard: Config.PublicURL: say where clients reach the platform, "+
			`such as PublicURL: "https://api.example.com"`))
	}
	if cfg.Relational != nil && cfg.Sealer == nil {
		errs = append(errs, errors.New("standard: Config.Sealer: say where the keys of stored secrets are, "+
			`such as Sealer: seal.Open(seal.File("/etc/acme/platform.keys"))`))
	}
	if err := errors.Join(errs...); err != nil {
		return Config{}, err
	}
	if cfg.Sealer == nil {
		cfg.Sealer = seal.Open(seal.File(filepath.Join(cfg.Data, "acme.keys")))
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.NewID == nil {
		cfg.NewID = platform.NewID
	}
	if cfg.Mail == nil && cfg.Relational == nil {
		cfg.Mail = &notify.MailFolder{
			Dir: filepath.Join(cfg.Data, "mail"), From: "Acme platform <no-reply@localhost>", Logger: cfg.Logger,
		}
	}
	return cfg, nil
}

// env is what the openers get.
func (cfg Config) env() store.Env {
	return store.Env{Logger: cfg.Logger, Now: cfg.Now, NewID: cfg.NewID, Lease: lease}
}

// share gives a part the logger, clock and ids of all where it has none of its
// own.
func (cfg Config) share(log **slog.Logger, now *func() time.Time, newID *func(string) string) {
	fill(log, cfg.Logger)
	if *now == nil {
		*now = cfg.Now
	}
	if newID != nil && *newID == nil {
		*newID = cfg.NewID
	}
}

// fill sets *field where it is zero.
func fill[T comparable](field *T, value T) {
	var zero T
	if *field == zero {
		*field = value
	}
}

// named says which part an error comes from.
func named(part string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("standard: %s: %w", part, err)
}
