package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"time"
)

// options are what the flags, the environment and the file say.
type options struct {
	addr      string
	data      string
	publicURL string
	stores    storeURLs
	sealing   sealingKeys

	startTimeout time.Duration
	diskReserve  int64 // MiB

	// How long things are kept; 0 is the service's default, negative for ever.
	messageRetention, deliveryRetention, eventRetention time.Duration

	logFormat string
	logLevel  slog.Level
	accessLog bool

	tokenTTL       time.Duration
	signing        string
	rateLimit      int64
	signInLimit    int64
	refusedLimit   int64
	limits         tenantLimits
	corsOrigins    []string
	trustedProxies []netip.Prefix
	shutdown       time.Duration

	smtpAddr, smtpUser, smtpPassword, smtpFrom, smtpTLS string

	mailDir string

	breachList, breachUnavailable string

	passwordMemory int64 // MiB

	webhooksToPrivate bool
}

const usage = `standalone is the platform as a server of its own.

  standalone [serve] [flags]   serve until interrupted
  standalone openapi           print the OpenAPI document
  standalone healthcheck       exit 0 if the server at --addr is ready
  standalone operator key NAME make a key of who runs the installation
  standalone sealing COMMAND   make, list, rotate or retire the keys of stored secrets
  standalone users import FILE bring people with the hashes of their passwords
  standalone version           print the version

Each flag is also an environment variable: --log-format is PLATFORM_LOG_FORMAT.
--config names a file of such variables, NAME=value on a line; put passwords
there, since flags are seen in the list of processes. A flag goes before the
environment, the environment before the file.

Signing keys, secrets of webhooks and the like are stored sealed, under keys that
are in the file acme.keys of --data. With --postgres say where they are, with
--sealing-keys-file or PLATFORM_SEALING_KEYS, the same for all replicas. Without
them those secrets are lost: keep a copy, apart from the backups of the data.

Without further flags all data is in one SQLite file, for one process. Each of
--postgres, --mongo, --redis and --kafka puts a server in the place of a part,
in any combination. With --postgres several replicas can serve the same data.
What they share only through --redis: the cache, rate limits, the counters of
failed logins, and live messages. Without it each replica counts for itself, a
session that one revokes ends at the others within 5 s, and a live stream shows
at once only what its own replica did.

A server that does not answer at the start is asked again for --start-timeout,
with a line in the log each time; then the program ends with exit code 1. So long
/livez answers 200 and everything else 503.

`

// envPrefix begins the names of the environment variables.
const envPrefix = "PLATFORM_"

// parse reads the flags, then the environment and the file for those that were
// not given.
func parse(args []string, env func(string) (string, bool), stderr io.Writer) (options, error) {
	var o options
	var origins, proxies, file string
	fs := flag.NewFlagSet("standalone", flag.ContinueOnError)
	fs.SetOutput(stderr)
	fs.Usage = func() {
		fmt.Fprint(stderr, usage)
		fs.PrintDefaults()
	}
	fs.StringVar(&o.addr, "addr", "127.0.0.1:8080", "address to listen on")
	fs.StringVar(&o.data, "data", "acme-data", "folder for the SQLite file; made where it is missing, not used with --postgres")
	fs.StringVar(&file, "config", "", "file of environment variables, NAME=value on a line; not readable for everybody")
	o.stores.flags(fs)
	o.sealing.flags(fs)
	fs.DurationVar(&o.startTimeout, "start-timeout", time.Minute, "how long to ask again at the start for stores that do not answer")
	fs.Int64Var(&o.diskReserve, "disk-reserve", 64, "MiB of the disk of the SQLite file that are kept for signing in and deleting; with less left other writes are refused, and /readyz says so")
	fs.StringVar(&o.publicURL, "public-url", "", "where clients reach this server; the issuer of access tokens (default http://ADDR)")
	fs.StringVar(&o.logFormat, "log-format", "text", "text or json")
	fs.TextVar(&o.logLevel, "log-level", slog.LevelInfo, "debug, info, warn or error")
	fs.BoolVar(&o.accessLog, "access-log", true, "log a line for each request")
	fs.DurationVar(&o.tokenTTL, "access-token-ttl", 10*time.Minute, "how long an access token is valid")
	fs.StringVar(&o.signing, "signing-algorithm", "EdDSA", "EdDSA, ES256 or RS256, of the keys that sign access tokens; a change takes effect a day after the start, and tokens from before it stay good")
	fs.Int64Var(&o.rateLimit, "rate-limit", 60_000, "requests a minute that one credential may make; 0 is no limit")
	fs.Int64Var(&o.signInLimit, "sign-in-limit", 120, "sign-ups and logins a minute from one address; 0 is no limit")
	fs.Int64Var(&o.refusedLimit, "bad-credential-limit", 300, "credentials that are not valid a minute from one address, before only known ones are looked at; 0 is no limit")
	fs.Var(&o.limits, "limit", limitUsage())
	fs.DurationVar(&o.messageRetention, "message-retention", 0, "how long messages are kept, at least 168h (default 2160h); a negative one keeps them")
	fs.DurationVar(&o.deliveryRetention, "delivery-retention", 0, "how long webhook deliveries are kept, at least 168h (default 720h); a negative one keeps them")
	fs.DurationVar(&o.eventRetention, "event-retention", 0, "how long analytics events are kept after they came in, at least 24h (default 9600h); a negative one keeps them")
	fs.StringVar(&origins, "cors-origins", "", "origins that browsers may call from, separated by commas")
	fs.StringVar(&proxies, "trusted-proxies", "", "networks whose X-Forwarded-For is believed, separated by commas")
	fs.DurationVar(&o.shutdown, "shutdown-timeout", 20*time.Second, "how long requests and jobs may take to end")
	fs.StringVar(&o.smtpAddr, "smtp-addr", "", "host:port of the mail server")
	fs.StringVar(&o.smtpUser, "smtp-user", "", "user name at the mail server")
	fs.StringVar(&o.smtpPassword, "smtp-password", "", "password at the mail server; better in PLATFORM_SMTP_PASSWORD")
	fs.StringVar(&o.smtpFrom, "smtp-from", "", "sender of e-mails; must be said where smtp-addr is")
	fs.StringVar(&o.smtpTLS, "smtp-tls", "", "mandatory, opportunistic or none; must be said where smtp-addr is")
	fs.StringVar(&o.mailDir, "mail-dir", "", "folder that e-mails are written into where there is no mail server; the newest 1,000 stay (default mail in --data, with --postgres none: then there is no e-mail)")
	fs.Int64Var(&o.passwordMemory, "password-memory", 0, "MiB that all hashing of passwords may take at once; imported hashes that need more are refused (default 19 for each second core, at least 64)")
	fs.StringVar(&o.breachList, "breach-list", "", "URL that new passwords are looked up at, of which it learns five digits of a hash: https://api.pwnedpasswords.com/range/ or a mirror (default none)")
	fs.StringVar(&o.breachUnavailable, "breach-list-unavailable", "", "accept or refuse new passwords while breach-list does not answer; must be said where breach-list is")
	fs.BoolVar(&o.webhooksToPrivate, "webhooks-to-private", false, "let webhooks reach private and loopback addresses")
	if err := fs.Parse(args); err != nil {
		return options{}, err
	}
	if fs.NArg() > 0 {
		return options{}, errors.New(stray(fs.Arg(0)))
	}
	if err := fromEnvironment(fs, env); err != nil {
		return options{}, err
	}
	if file != "" {
		if err := fromFile(fs, file); err != nil {
			return options{}, fmt.Errorf("--config: %w", err)
		}
	}
	o.corsOrigins = list(origins)
	if o.publicURL == "" {
		o.publicURL = "http://" + o.addr
	}
	var errs []error
	for _, p := range list(proxies) {
		prefix, err := netip.ParsePrefix(p)
		if err != nil {
			errs = append(errs, fmt.Errorf("--trusted-proxies: %q must be a network such as 10.0.0.0/8", p))
		}
		o.trustedProxies = append(o.trustedProxies, prefix)
	}
	return o, errors.Join(append(errs, o.validate()...)...)
}

// stray says what is wrong with an argument that is no flag. It may be a URL
// that a space has cut off its flag.
func stray(arg string) string {
	if strings.Contains(arg, "://") {
		return "there is a URL without a flag in front of it"
	}
	return fmt.Sprintf("%q is not a flag", arg)
}

// fromEnvironment sets the flags that were not given.
func fromEnvironment(fs *flag.FlagSet, env func(string) (string, bool)) error {
	given := map[string]bool{}
	fs.Visit(func(f *flag.Flag) { given[f.Name] = true })
	var errs []error
	fs.VisitAll(func(f *flag.Flag) {
		name := variable(f)
		value, ok := env(name)
		if !ok || given[f.Name] {
			return
		}
		if err := fs.Set(f.Name, value); err != nil {
			// The value is left out: it may be a password.
			errs = append(errs, fmt.Errorf("%s: must be %s", name, f.Usage))
		}
	})
	return errors.Join(errs...)
}

// fromFile sets the flags that neither the command line nor the environment
// has set. A name that means nothing is an error: it may be a setting with a
// slip of the pen.
func fromFile(fs *flag.FlagSet, file string) error {
	values, err := readConfig(file)
	if err != nil {
		return err
	}
	known := map[string]bool{}
	fs.VisitAll(func(f *flag.Flag) { known[variable(f)] = f.Name != "config" })
	for name := range values {
		if !known[name] {
			return fmt.Errorf("%s: %s is not a setting", file, name)
		}
	}
	return fromEnvironment(fs, func(name string) (string, bool) {
		value, ok := values[name]
		return value, ok
	})
}

// variable is the flag's name in the environment.
func variable(f *flag.Flag) string {
	return envPrefix + strings.ToUpper(strings.ReplaceAll(f.Name, "-", "_"))
}

func (o options) validate() (errs []error) {
	if _, _, err := net.SplitHostPort(o.addr); err != nil {
		errs = append(errs, fmt.Errorf("--addr: %q must be host:port", o.addr))
	}
	if u, err := url.Parse(o.publicURL); err != nil || u.Host == "" || (u.Scheme != "http" && u.Scheme != "https") {
		errs = append(errs, fmt.Errorf("--public-url: %q must be an http or https URL", o.publicURL))
	}
	if o.data == "" {
		errs = append(errs, errors.New("--data: must name a folder"))
	}
	if o.logFormat != "text" && o.logFormat != "json" {
		errs = append(errs, fmt.Errorf("--log-format: %q must be text or json", o.logFormat))
	}
	if o.rateLimit < 0 || o.signInLimit < 0 || o.refusedLimit < 0 {
		errs = append(errs, errors.New("--rate-limit, --sign-in-limit and --bad-credential-limit: must not be negative"))
	}
	if o.shutdown <= 0 || o.tokenTTL <= 0 {
		errs = append(errs, errors.New("--shutdown-timeout and --access-token-ttl: must be positive"))
	}
	if !slices.Contains([]string{"EdDSA", "ES256", "RS256"}, o.signing) {
		errs = append(errs, errors.New("--signing-algorithm: must be EdDSA, ES256 or RS256"))
	}
	if o.diskReserve < 0 || o.diskReserve > 1<<20 {
		errs = append(errs, errors.New("--disk-reserve: must be a number of MiB, at most 1048576"))
	}
	if o.startTimeout < 0 {
		errs = append(errs, errors.New("--start-timeout: must not be negative"))
	}
	errs = append(errs, o.stores.validate()...)
	errs = append(errs, o.sealing.validate(o.stores.postgres != "")...)
	if o.passwordMemory != 0 && (o.passwordMemory < 19 || o.passwordMemory > 16384) {
		errs = append(errs, errors.New("--password-memory: must be from 19 to 16384 MiB"))
	}
	if o.breachList != "" {
		if u, err := url.Parse(o.breachList); err != nil || u.Host == "" || (u.Scheme != "http" && u.Scheme != "https") {
			errs = append(errs, errors.New("--breach-list: must be an http or https URL"))
		}
		if _, ok := unchecked[o.breachUnavailable]; !ok {
			errs = append(errs, errors.New("--breach-list-unavailable: must be accept or refuse where --breach-list is set"))
		}
	}
	if o.smtpAddr != "" {
		if o.mailDir != "" {
			errs = append(errs, errors.New("--mail-dir: is for servers without --smtp-addr"))
		}
		if _, _, err := net.SplitHostPort(o.smtpAddr); err != nil {
			errs = append(errs, fmt.Errorf("--smtp-addr: %q must be host:port", o.smtpAddr))
		}
		if o.smtpFrom == "" {
			errs = append(errs, errors.New("--smtp-from: must be set where --smtp-addr is"))
		}
		switch o.smtpTLS {
		case "mandatory", "opportunistic", "none":
		default:
			errs = append(errs, errors.New("--smtp-tls: must be mandatory, opportunistic or none where --smtp-addr is set"))
		}
	}
	return errs
}

// logger writes to w in the chosen form.
func (o options) logger(w io.Writer) *slog.Logger {
	h := &slog.HandlerOptions{Level: o.logLevel}
	if o.logFormat == "json" {
		return slog.New(slog.NewJSONHandler(w, h))
	}
	return slog.New(slog.NewTextHandler(w, h))
}

// list splits at commas and drops what is empty.
func list(s string) []string {
	return strings.FieldsFunc(s, func(r rune) bool { return r == ',' || r == ' ' })
}
