package redis_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"math/big"
	"net"
	"strings"
	"testing"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/acme/platform"
	"github.com/acme/platform/store/redis"
)

func TestConfig(t *testing.T) {
	deaf := goredis.NewClient(&goredis.Options{Addr: "127.0.0.1:1"})
	defer deaf.Close()
	deafCluster := goredis.NewClusterClient(&goredis.ClusterOptions{Addrs: []string{"127.0.0.1:1"}})
	defer deafCluster.Close()
	heeds := goredis.NewClient(&goredis.Options{Addr: "127.0.0.1:1", ContextTimeoutEnabled: true})
	defer heeds.Close()
	for _, c := range []struct {
		cfg  redis.Config
		want string
	}{
		{redis.Config{}, "Config.URL or Config.Client must be set"},
		{redis.Config{URL: "redis://h", Client: heeds}, "and not both"},
		{redis.Config{Client: deaf}, "ContextTimeoutEnabled"},
		{redis.Config{Client: deafCluster}, "ContextTimeoutEnabled"},
		{redis.Config{Client: heeds, Cluster: true}, "Config.Cluster must not"},
		{redis.Config{Client: heeds, TLS: &tls.Config{MinVersion: tls.VersionTLS12}}, "Config.TLS must not"},
		{redis.Config{URL: "redis://h", Prefix: "a:b"}, "Config.Prefix"},
		{redis.Config{URL: "redis://h", Timeout: time.Millisecond}, "Config.Timeout"},
		{redis.Config{URL: "redis://h", Retry: -1}, "Config.Retry"},
		{redis.Config{URL: "redis://h", Heartbeat: 1}, "Config.Heartbeat"},
		{redis.Config{URL: "http://u:secret@h"}, "Config.URL"},
		{redis.Config{URL: "redis://u:secret@h:secret"}, "Config.URL cannot be read"},
		{redis.Config{URL: "redis://u:secret@h/x"}, "Config.URL"},
		{redis.Config{URL: "redis://u:secret@h?no_such=1"}, "no_such"},
		{redis.Config{URL: "unix://u:secret@h", Cluster: true}, "Config.URL"},
		{redis.Config{URL: "redis://u:secret@127.0.0.1:1", TLS: &tls.Config{MinVersion: tls.VersionTLS12}}, "rediss://"},
		{redis.Config{URL: "redis://u:secret@127.0.0.1:1", Cluster: true, TLS: &tls.Config{MinVersion: tls.VersionTLS12}}, "rediss://"},
		{redis.Config{URL: "redis://u:secret@127.0.0.1:1"}, "refused"},
		{redis.Config{URL: "redis://u:secret@127.0.0.1:1", Cluster: true}, "refused"},
	} {
		_, err := started(t.Context(), c.cfg)
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%+v: got %v, want %q", c.cfg, err, c.want)
		}
		if err != nil && strings.Contains(err.Error(), "secret") {
			t.Errorf("the error shows the password: %v", err)
		}
	}
}

func TestModule(t *testing.T) {
	c := open(t)
	p, err := platform.New(platform.Config{}, c)
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	if h := p.Health(t.Context()); !h.Ready {
		t.Errorf("health %+v", h)
	}
	if err := p.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := c.Check(t.Context()); platform.KindOf(err) != platform.KindUnavailable {
		t.Errorf("a check after Stop: %v", err)
	}
}

func TestHostsClientStaysOpen(t *testing.T) {
	o, err := goredis.ParseURL(server(t))
	if err != nil {
		t.Fatal(err)
	}
	o.ContextTimeoutEnabled = true
	host := goredis.NewClient(o)
	defer host.Close()
	c, err := started(t.Context(), redis.Config{Client: host, Prefix: newPrefix()})
	if err != nil {
		t.Fatal(err)
	}
	s := subscribe(t, c.PubSub(), "topic")
	publish(t, c.PubSub(), "topic", "x")
	if m := receive(t, s); string(m.Payload) != "x" {
		t.Errorf("got %q", m.Payload)
	}
	if err := c.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := host.Ping(t.Context()).Err(); err != nil {
		t.Errorf("the host's client after Stop: %v", err)
	}
}

// restrict makes a user, with the password "pass", who may do what doc.go says
// and more.
func restrict(t *testing.T, r *goredis.Client, prefix string, more ...any) {
	t.Helper()
	rules := append([]any{
		"ACL", "SETUSER", prefix, "on", ">pass", "resetchannels", "~" + prefix + ":*", "&" + prefix + ":*",
		"+get", "+set", "+unlink", "+eval", "+evalsha", "+incrby", "+pttl", "+pexpire",
		"+publish", "+subscribe", "+unsubscribe", "+ping",
	}, more...)
	if err := r.Do(t.Context(), rules...).Err(); err != nil {
		t.Fatal(err)
	}
}

// The access list of doc.go is enough, and keeps other names away.
func TestAccessList(t *testing.T) {
	prefix := newPrefix()
	r := raw(t)
	restrict(t, r, prefix)
	t.Cleanup(func() { r.ACLDelUser(t.Context(), prefix) })
	url := strings.Replace(server(t), "redis://", "redis://"+prefix+":pass@", 1)
	c := openWith(t, redis.Config{URL: url, Prefix: prefix})
	for name, call := range methods(c) {
		for range 2 {
			if err := call(t.Context(), acme); err != nil {
				t.Errorf("%s: %v", name, err)
			}
		}
	}
	if n, _, err := c.Cache().Increment(t.Context(), acme, "n", 9223372036854775807, time.Minute); err != nil {
		t.Errorf("at the end of int64: %d, %v", n, err)
	}
	foreign := openWith(t, redis.Config{URL: url, Prefix: newPrefix()})
	for name, call := range methods(foreign) {
		if err := call(t.Context(), acme); err == nil {
			t.Errorf("%s reaches other names", name)
		}
	}
	wrong := strings.Replace(url, "pass@", "wrong@", 1)
	if _, err := started(t.Context(), redis.Config{URL: wrong}); err == nil || !strings.Contains(err.Error(), "WRONGPASS") {
		t.Errorf("a wrong password: %v", err)
	}
}

func TestTLS(t *testing.T) {
	cert, authority := certificate(t)
	p := newTLSProxy(t, server(t), cert)
	url := strings.Replace(p.url(), "redis://", "rediss://", 1)
	trusted := &tls.Config{RootCAs: authority, MinVersion: tls.VersionTLS12}
	c := openWith(t, redis.Config{URL: url, TLS: trusted, Prefix: newPrefix()})
	set(t, c.Cache(), acme, "k", "v")
	want(t, c.Cache(), acme, "k", "v")
	s := subscribe(t, c.PubSub(), "topic")
	publish(t, c.PubSub(), "topic", "x")
	if m := receive(t, s); string(m.Payload) != "x" {
		t.Errorf("got %q", m.Payload)
	}
	if trusted.ServerName != "" {
		t.Error("the host's settings were changed")
	}
	for name, cfg := range map[string]redis.Config{
		"an unknown authority": {URL: url},
		"another name":         {URL: url, TLS: &tls.Config{RootCAs: authority, ServerName: "other.test", MinVersion: tls.VersionTLS12}},
	} {
		if _, err := started(t.Context(), cfg); err == nil || !strings.Contains(err.Error(), "certificate") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// certificate returns one for 127.0.0.1 and who signed it.
func certificate(t *testing.T) (tls.Certificate, *x509.CertPool) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	authority := x509.NewCertPool()
	authority.AddCert(leaf)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, authority
}

// A value that finds no room is an error of its own.
func TestFull(t *testing.T) {
	r := raw(t)
	c := open(t).Cache()
	if err := r.ConfigSet(t.Context(), "maxmemory", "1").Err(); err != nil {
		t.Fatal(err)
	}
	err := c.Set(t.Context(), acme, "k", []byte("v"), time.Minute)
	if back := r.ConfigSet(t.Context(), "maxmemory", "0").Err(); back != nil {
		t.Fatal(back)
	}
	if fmt.Sprint(platform.KindOf(err)) != "unavailable" || !strings.Contains(err.Error(), "store_full") {
		t.Errorf("got %v", err)
	}
	set(t, c, acme, "k", "v")
}
