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
	"strings"
	"time"
)

// options are what the flags and the environment say.
type options struct {
	addr      string
	data      string
	publicURL string

	logFormat string
	logLevel  slog.Level
	accessLog bool

	tokenTTL       time.Duration
	rateLimit      int64
	signInLimit    int64
	corsOrigins    []string
	trustedProxies []netip.Prefix
	shutdown       time.Duration

	smtpAddr, smtpUser, smtpPassword, smtpFrom, smtpTLS string

	webhooksToPrivate bool
}

const usage = `standalone is the platform as a server of its own.

  standalone [serve] [flags]   serve until interrupted
  standalone openapi           print the OpenAPI document
  standalone healthcheck       exit 0 if the server at --addr is ready
  standalone version           print the version

Each flag is also an environment variable: --log-format is PLATFORM_LOG_FORMAT.
A flag goes before the environment.

`

// parse reads the flags, then the environment for those that were not given.
func parse(args []string, env func(string) (string, bool), stderr io.Writer) (options, error) {
	var o options
	var origins, proxies string
	fs := flag.NewFlagSet("standalone", flag.ContinueOnError)
	fs.SetOutput(stderr)
	fs.Usage = func() {
		fmt.Fprint(stderr, usage)
		fs.PrintDefaults()
	}
	fs.StringVar(&o.addr, "addr", "127.0.0.1:8080", "address to listen on")
	fs.StringVar(&o.data, "data", "acme-data", "folder for the data; made where it is missing")
	fs.StringVar(&o.publicURL, "public-url", "", "where clients reach this server; the issuer of access tokens (default http://ADDR)")
	fs.StringVar(&o.logFormat, "log-format", "text", "text or json")
	fs.TextVar(&o.logLevel, "log-level", slog.LevelInfo, "debug, info, warn or error")
	fs.BoolVar(&o.accessLog, "access-log", true, "log a line for each request")
	fs.DurationVar(&o.tokenTTL, "access-token-ttl", 10*time.Minute, "how long an access token is valid")
	fs.Int64Var(&o.rateLimit, "rate-limit", 60_000, "requests a minute that one credential may make; 0 is no limit")
	fs.Int64Var(&o.signInLimit, "sign-in-limit", 120, "sign-ups and logins a minute from one address; 0 is no limit")
	fs.StringVar(&origins, "cors-origins", "", "origins that browsers may call from, separated by commas")
	fs.StringVar(&proxies, "trusted-proxies", "", "networks whose X-Forwarded-For is believed, separated by commas")
	fs.DurationVar(&o.shutdown, "shutdown-timeout", 20*time.Second, "how long requests and jobs may take to end")
	fs.StringVar(&o.smtpAddr, "smtp-addr", "", "host:port of the mail server; empty sends no e-mail")
	fs.StringVar(&o.smtpUser, "smtp-user", "", "user name at the mail server")
	fs.StringVar(&o.smtpPassword, "smtp-password", "", "password at the mail server; better in PLATFORM_SMTP_PASSWORD")
	fs.StringVar(&o.smtpFrom, "smtp-from", "", "sender of e-mails")
	fs.StringVar(&o.smtpTLS, "smtp-tls", "", "mandatory, opportunistic or none; must be said where smtp-addr is")
	fs.BoolVar(&o.webhooksToPrivate, "webhooks-to-private", false, "let webhooks reach private and loopback addresses")
	if err := fs.Parse(args); err != nil {
		return options{}, err
	}
	if fs.NArg() > 0 {
		return options{}, fmt.Errorf("%q is not a flag", fs.Arg(0))
	}
	if err := fromEnvironment(fs, env); err != nil {
		return options{}, err
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

// fromEnvironment sets the flags that were not given.
func fromEnvironment(fs *flag.FlagSet, env func(string) (string, bool)) error {
	given := map[string]bool{}
	fs.Visit(func(f *flag.Flag) { given[f.Name] = true })
	var errs []error
	fs.VisitAll(func(f *flag.Flag) {
		name := "PLATFORM_" + strings.ToUpper(strings.ReplaceAll(f.Name, "-", "_"))
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
	if o.rateLimit < 0 || o.signInLimit < 0 {
		errs = append(errs, errors.New("--rate-limit and --sign-in-limit: must not be negative"))
	}
	if o.shutdown <= 0 || o.tokenTTL <= 0 {
		errs = append(errs, errors.New("--shutdown-timeout and --access-token-ttl: must be positive"))
	}
	if o.smtpAddr != "" {
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
