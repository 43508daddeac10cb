package main

import (
	"crypto/ed25519"
	"errors"
	"flag"
	"fmt"
	"io"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"github.com/acme/platform"
	"github.com/acme/platform/notify"
	"github.com/acme/platform/store/kafka"
)

const usage = `microservices is the platform as processes of their own.

  microservices keys                                print new keys, for the assertions and for stored secrets
  microservices gateway [flags]                     serve the API
  microservices user|data|analytics|notify [flags]  serve one service to the gateway
  microservices ROLE --help                         list the flags

Each flag is also an environment variable: --public-url is PLATFORM_PUBLIC_URL.
A flag goes before the environment.

`

// The names of the processes. A service's is also the audience of the
// assertions that it takes.
const (
	roleGateway   = "gateway"
	roleUser      = "user"
	roleData      = "data"
	roleAnalytics = "analytics"
	roleNotify    = "notify"
)

func services() []string { return []string{roleUser, roleData, roleAnalytics, roleNotify} }

// options are what the flags and the environment say.
type options struct {
	role      string
	addr      string
	publicURL string
	rateLimit int64
	limits    platform.Limits // of every tenant

	postgres, redis, mongo, mongoDatabase string
	sealingKeys                           string
	kafka                                 kafka.Config
	smtp                                  *notify.SMTP // nil is none
	mailDir                               string       // where there is no server

	assertionKey        ed25519.PrivateKey  // of the gateway
	assertionPublicKeys []ed25519.PublicKey // of the services
	trustedProxies      []netip.Prefix
	upstreams           map[string][]string // URLs by service
}

// needs are the flags without which a role cannot be.
func needs(role string) []string {
	return map[string][]string{
		roleGateway:   {"assertion-key", "public-url", "postgres", "sealing-keys", "redis", "user-urls", "data-urls", "analytics-urls", "notify-urls"},
		roleUser:      {"assertion-public-key", "public-url", "trusted-proxies", "postgres", "sealing-keys", "redis", "kafka"},
		roleData:      {"assertion-public-key", "mongo", "kafka"},
		roleAnalytics: {"assertion-public-key", "postgres"},
		roleNotify:    {"assertion-public-key", "public-url", "postgres", "sealing-keys", "redis", "kafka"},
	}[role]
}

// setting is a flag whose value is read by set once it is known where it comes
// from, so that no error shows what was given: it may be a secret.
type setting struct {
	name, usage string
	set         func(string) error
}

// givenLimits are the values of the flag "limit", which may be given again.
type givenLimits []string

func (g *givenLimits) Set(s string) error { *g = append(*g, s); return nil }
func (g *givenLimits) String() string     { return strings.Join(*g, ",") }

// settings are all flags; each role has them all and uses some.
func (o *options) settings() []setting {
	text := func(to *string) func(string) error {
		return func(s string) error { *to = s; return nil }
	}
	all := []setting{
		{"addr", "address to listen on (default 127.0.0.1:8080)", text(&o.addr)},
		{"public-url", "where clients reach the gateway; the issuer of access tokens, the same for all", text(&o.publicURL)},
		{"rate-limit", "requests a minute that one credential may make (default 6000)", func(s string) error {
			n, err := strconv.ParseInt(s, 10, 64)
			if err != nil || n < 1 {
				return errors.New("must be a positive number")
			}
			o.rateLimit = n
			return nil
		}},
		{"limit", limitUsage(), func(s string) (err error) {
			o.limits, err = parseLimits(s)
			return err
		}},
		{"postgres", "postgres://owner@host:5432/database?sslmode=verify-full", text(&o.postgres)},
		{"sealing-keys", "the keys of stored secrets, the same for gateway, user and notify; better in PLATFORM_SEALING_KEYS", text(&o.sealingKeys)},
		{"redis", "rediss://user@host:6379/0", text(&o.redis)},
		{"mongo", "mongodb://user@host:27017/?tls=true", text(&o.mongo)},
		{"mongo-database", "database in MongoDB (default platform)", text(&o.mongoDatabase)},
		{"kafka", "kafkas://host:9093,host:9093/topic?replication=3, with a user and sasl where the brokers ask for one; kafka:// is without TLS", func(s string) (err error) {
			if o.kafka, err = kafka.ParseURL(s); err != nil {
				return fmt.Errorf("must be kafkas://host:port,host:port/topic: %w", err)
			}
			return nil
		}},
		{"smtp", "smtps://user@host:465?from=address, smtp+starttls:// or smtp+plain://, the same for user and notify", func(s string) (err error) {
			o.smtp, err = parseSMTP(s)
			return err
		}},
		{"mail-dir", "folder that notify writes e-mails into where there is no --smtp, said to user as well; the newest 1,000 stay. Without either there is no e-mail and no invitation", text(&o.mailDir)},
		{"assertion-key", "the gateway's private key; better in PLATFORM_ASSERTION_KEY", func(s string) error {
			seed, err := decodeKey(s)
			if err == nil {
				o.assertionKey = ed25519.NewKeyFromSeed(seed)
			}
			return err
		}},
		{"assertion-public-key", "the gateway's public key; while it is replaced the new one as well, separated by a comma", func(s string) error {
			for one := range strings.SplitSeq(s, ",") {
				key, err := decodeKey(strings.TrimSpace(one))
				if err != nil {
					return err
				}
				o.assertionPublicKeys = append(o.assertionPublicKeys, key)
			}
			return nil
		}},
		{"trusted-proxies", "networks whose X-Forwarded-For is believed: before a service the gateway's, before the gateway the load balancer's", func(s string) (err error) {
			o.trustedProxies, err = parseNetworks(s)
			return err
		}},
	}
	for _, name := range services() {
		all = append(all, setting{name + "-urls", "where the replicas of " + name + " are, separated by commas", func(s string) error {
			o.upstreams[name] = strings.Split(s, ",")
			return nil
		}})
	}
	return all
}

// parse reads the flags, and the environment for those that were not given. The
// error names everything that is wrong or missing.
func parse(role string, args []string, env func(string) (string, bool), stderr io.Writer) (options, error) {
	required := needs(role)
	if required == nil {
		return options{}, fmt.Errorf("there is no role %q; there are keys, gateway, %s", role, strings.Join(services(), ", "))
	}
	o := options{
		role: role, addr: "127.0.0.1:8080", rateLimit: 6000, mongoDatabase: "platform", upstreams: make(map[string][]string),
	}
	fs := flag.NewFlagSet("microservices "+role, flag.ContinueOnError)
	fs.SetOutput(stderr)
	all := o.settings()
	for _, s := range all {
		if s.name == "limit" {
			fs.Var(new(givenLimits), s.name, s.usage)
			continue
		}
		fs.String(s.name, "", s.usage)
	}
	if err := fs.Parse(args); err != nil {
		return options{}, err
	}
	if fs.NArg() > 0 {
		return options{}, fmt.Errorf("%q is not a flag", fs.Arg(0))
	}
	var errs []error
	for _, s := range all {
		variable := "PLATFORM_" + strings.ToUpper(strings.ReplaceAll(s.name, "-", "_"))
		value := fs.Lookup(s.name).Value.String()
		if value == "" {
			value, _ = env(variable)
		}
		if value == "" {
			if slices.Contains(required, s.name) {
				errs = append(errs, fmt.Errorf("--%s or %s must be set: %s", s.name, variable, s.usage))
			}
			continue
		}
		if err := s.set(value); err != nil {
			errs = append(errs, fmt.Errorf("--%s: %w", s.name, err))
		}
	}
	if o.smtp != nil && o.mailDir != "" {
		errs = append(errs, errors.New("--mail-dir: is for processes without --smtp"))
	}
	return o, errors.Join(errs...)
}
