package redis

import (
	"cmp"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"strings"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/acme/platform/internal/setting"
)

// Config configures a [Client]. Either URL or Client is required.
//
// Zero is the default that each field names. A negative number is refused by
// [New]. When in doubt set no more than these, Prefix where platforms share
// a server, and Logger.
type Config struct { //nolint:recvcheck // Open is taken of a literal, the others change a copy
	// URL names the server: redis://user:password@host:6379/0, rediss:// with
	// TLS, or unix:///path. Its parameters set options of go-redis by their
	// names in snake case, such as pool_size=50 or read_timeout=300ms; prefix is
	// ours, and sets Prefix where that is empty.
	URL string
	// Cluster says that URL names a node of a cluster; the parameter addr,
	// host:port, names further ones. A cluster has no database number.
	Cluster bool
	// TLS is used for rediss:// in place of the system's certificate
	// authorities: for an authority of one's own, or a client certificate.
	TLS *tls.Config
	// Client is the host's own client in place of URL. It must have
	// ContextTimeoutEnabled. [Client.Stop] does not close it.
	Client goredis.UniversalClient

	// Prefix begins every key and channel: at most 64 letters, digits, '_',
	// '-' and '.'; empty is "platform". Platforms that share a server, be it
	// in different databases, must have different ones.
	Prefix string
	// Logger is told when the server does not answer and when it does again;
	// nil is silence.
	Logger *slog.Logger

	// Timeout bounds a call, with the wait for a connection, and how long a
	// subscription may take to be confirmed; zero is 1 s, the least 10 ms.
	Timeout time.Duration
	// Retry is how often an unavailable server is asked whether it answers again;
	// zero is 500 ms, the least 10 ms.
	Retry time.Duration
	// Heartbeat is how often the connection of the subscriptions is tested;
	// zero is 5 s, the least 10 ms.
	Heartbeat time.Duration
}

func (c *Config) setDefaults() {
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	c.Prefix = cmp.Or(c.Prefix, "platform")
	c.Timeout = cmp.Or(c.Timeout, time.Second)
	c.Retry = cmp.Or(c.Retry, 500*time.Millisecond)
	c.Heartbeat = cmp.Or(c.Heartbeat, 5*time.Second)
}

func (c *Config) validate() error {
	const least = 10 * time.Millisecond
	check := setting.For("redis")
	check.Need((c.URL == "") != (c.Client == nil), "URL", "or Config.Client must be set, and not both")
	check.Need(c.Client == nil || !c.Cluster, "Cluster", "must not be set with Client, which knows itself")
	check.Need(c.Client == nil || c.TLS == nil, "TLS", "must not be set with Client, which has its own")
	check.Need(heedsContexts(c.Client), "Client", "must have ContextTimeoutEnabled")
	check.Need(validPrefix(c.Prefix), "Prefix", "must be 1 to 64 letters, digits, '_', '-' and '.'")
	check.Need(c.Timeout >= least, "Timeout", "must be at least 10 ms")
	check.Need(c.Retry >= least, "Retry", "must be at least 10 ms")
	check.Need(c.Heartbeat >= least, "Heartbeat", "must be at least 10 ms")
	return check.Err()
}

// heedsContexts reports whether the deadlines of contexts count for a client
// of a known sort.
func heedsContexts(c goredis.UniversalClient) bool {
	switch c := c.(type) {
	case *goredis.Client:
		return c.Options().ContextTimeoutEnabled
	case *goredis.ClusterClient:
		return c.Options().ContextTimeoutEnabled
	}
	return true
}

// readPrefix takes the parameter prefix out of the URL.
func (c *Config) readPrefix() error {
	address, query, found := strings.Cut(c.URL, "?")
	if !found {
		return nil
	}
	params, err := url.ParseQuery(query)
	if err != nil {
		return errors.New("redis: Config.URL cannot be read")
	}
	if !params.Has("prefix") {
		return nil
	}
	c.Prefix = cmp.Or(c.Prefix, params.Get("prefix"))
	params.Del("prefix")
	c.URL = address
	if len(params) > 0 {
		c.URL += "?" + params.Encode()
	}
	return nil
}

// clientSettings are the options of one of go-redis's clients.
type clientSettings interface {
	client() goredis.UniversalClient
}

type (
	singleSettings  goredis.Options
	clusterSettings goredis.ClusterOptions
)

func (s *singleSettings) client() goredis.UniversalClient {
	o := goredis.Options(*s)
	return goredis.NewClient(&o)
}

func (s *clusterSettings) client() goredis.UniversalClient {
	o := goredis.ClusterOptions(*s)
	return goredis.NewClusterClient(&o)
}

// settings reads URL.
func (c *Config) settings() (clientSettings, error) {
	if c.Cluster {
		o, err := goredis.ParseClusterURL(c.URL)
		if err != nil {
			return nil, urlError(err)
		}
		if o.TLSConfig, err = c.tls(o.TLSConfig); err != nil {
			return nil, err
		}
		o.ContextTimeoutEnabled = true
		c.bound(&o.MaxRetries, &o.DialerRetries, &o.DialTimeout, &o.ReadTimeout, &o.WriteTimeout, &o.PoolTimeout)
		return (*clusterSettings)(o), nil
	}
	o, err := goredis.ParseURL(c.URL)
	if err != nil {
		return nil, urlError(err)
	}
	if o.TLSConfig, err = c.tls(o.TLSConfig); err != nil {
		return nil, err
	}
	o.ContextTimeoutEnabled = true
	c.bound(&o.MaxRetries, &o.DialerRetries, &o.DialTimeout, &o.ReadTimeout, &o.WriteTimeout, &o.PoolTimeout)
	return (*singleSettings)(o), nil
}

// bound fills what the URL leaves open: no wait is longer than Timeout, and
// nothing is tried twice, since a caller who can do without Redis does so
// sooner, and the others may try again.
func (c *Config) bound(retries, dials *int, waits ...*time.Duration) {
	const none = -1 // as go-redis has it
	*retries = cmp.Or(*retries, none)
	*dials = cmp.Or(*dials, 1)
	for _, w := range waits {
		*w = cmp.Or(*w, c.Timeout)
	}
}

// tls returns the TLS settings in place of those that the URL asks for.
func (c *Config) tls(asked *tls.Config) (*tls.Config, error) {
	if c.TLS == nil {
		return asked, nil
	}
	if asked == nil {
		return nil, errors.New("redis: Config.TLS needs a URL that begins with rediss://")
	}
	own := c.TLS.Clone()
	own.ServerName = cmp.Or(own.ServerName, asked.ServerName)
	return own, nil
}

// urlError keeps the URL, which holds a password, out of the error.
func urlError(err error) error {
	var parse *url.Error
	if errors.As(err, &parse) {
		return errors.New("redis: Config.URL cannot be read")
	}
	return fmt.Errorf("redis: Config.URL: %w", err)
}
