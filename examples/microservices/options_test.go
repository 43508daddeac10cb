package main

import (
	"bytes"
	"crypto/ed25519"
	"strings"
	"testing"

	"github.com/acme/platform/store/kafka"
)

// environment is what os.LookupEnv would be.
func environment(values map[string]string) func(string) (string, bool) {
	return func(name string) (string, bool) { v, ok := values[name]; return v, ok }
}

func TestKeysFit(t *testing.T) {
	var out bytes.Buffer
	if code := run(t.Context(), []string{"keys"}, environment(nil), &out, &out); code != 0 {
		t.Fatalf("code %d: %s", code, &out)
	}
	values := make(map[string]string)
	for line := range strings.Lines(out.String()) {
		name, value, _ := strings.Cut(strings.TrimSpace(line), "=")
		values[name] = value
	}
	for _, name := range []string{"PUBLIC_URL", "TRUSTED_PROXIES", "POSTGRES", "REDIS", "USER_URLS", "DATA_URLS", "ANALYTICS_URLS", "NOTIFY_URLS"} {
		values["PLATFORM_"+name] = "10.0.0.0/8"
	}
	values["PLATFORM_KAFKA"] = "kafka://a:1"
	edge, err := parse(roleGateway, nil, environment(values), &out)
	if err != nil {
		t.Fatal(err)
	}
	service, err := parse(roleUser, nil, environment(values), &out)
	if err != nil {
		t.Fatal(err)
	}
	if text := []byte("who calls"); !ed25519.Verify(service.assertionPublicKeys[0], text, ed25519.Sign(edge.assertionKey, text)) {
		t.Error("the service would not believe the gateway")
	}
	values["PLATFORM_ASSERTION_PUBLIC_KEY"] += ", " + strings.Repeat("B", 42) + "A="
	if service, err = parse(roleUser, nil, environment(values), &out); err != nil || len(service.assertionPublicKeys) != 2 {
		t.Errorf("while the key is replaced: %d keys, %v", len(service.assertionPublicKeys), err)
	}
}

func TestOptions(t *testing.T) {
	var stderr bytes.Buffer
	o, err := parse(roleData, []string{"--addr", "127.0.0.1:1", "--kafka", "kafkas://a:1,b:2/topic?replication=2"}, environment(map[string]string{
		"PLATFORM_ADDR": "127.0.0.1:2", "PLATFORM_MONGO": "mongodb://m:1", "PLATFORM_ASSERTION_PUBLIC_KEY": strings.Repeat("A", 43) + "=",
	}), &stderr)
	if err != nil {
		t.Fatal(err)
	}
	if o.addr != "127.0.0.1:1" || o.mongo != "mongodb://m:1" || o.mongoDatabase != "platform" {
		t.Errorf("got %+v; a flag goes before the environment, and that before the default", o)
	}
	if k := o.kafka; len(k.Brokers) != 2 || k.Brokers[1] != "b:2" || k.Topic != "topic" || k.TLS == nil || k.Plaintext || k.Replication != 2 {
		t.Errorf("kafka: %+v", k)
	}
}

func TestOptionsRefused(t *testing.T) {
	full := map[string]string{
		"PLATFORM_PUBLIC_URL": "http://a.test", "PLATFORM_POSTGRES": "postgres://a", "PLATFORM_SEALING_KEYS": "e30=", "PLATFORM_REDIS": "redis://a", "PLATFORM_KAFKA": "kafka://a:1",
		"PLATFORM_ASSERTION_PUBLIC_KEY": strings.Repeat("A", 43) + "=", "PLATFORM_TRUSTED_PROXIES": "10.0.0.0/8",
	}
	const secret = "s3cret"
	for name, c := range map[string]struct {
		args []string
		env  map[string]string
		want []string
	}{
		"no role":           {nil, nil, []string{"microservices keys"}},
		"unknown role":      {[]string{"users"}, nil, []string{`no role "users"`, "analytics"}},
		"nothing set":       {[]string{roleUser}, nil, []string{"--postgres or PLATFORM_POSTGRES", "--kafka", "--redis", "--assertion-public-key", "--trusted-proxies", "--sealing-keys or PLATFORM_SEALING_KEYS"}},
		"gateway, no key":   {[]string{roleGateway}, full, []string{"--assertion-key", "--notify-urls"}},
		"not a flag":        {[]string{roleUser, "postgres"}, full, []string{`"postgres" is not a flag`}},
		"bad public key":    {[]string{roleUser, "--assertion-public-key", secret}, full, []string{"--assertion-public-key: must be a key"}},
		"bad second key":    {[]string{roleUser, "--assertion-public-key", strings.Repeat("A", 43) + "=," + secret}, full, []string{"--assertion-public-key: must be a key"}},
		"short public key":  {[]string{roleUser, "--assertion-public-key", "AAAA"}, full, []string{"--assertion-public-key: must be a key"}},
		"bad rate limit":    {[]string{roleUser, "--rate-limit", "0"}, full, []string{"--rate-limit: must be"}},
		"bad network":       {[]string{roleUser, "--trusted-proxies", "10.0.0.0"}, full, []string{"--trusted-proxies: must be networks"}},
		"kafka, no scheme":  {[]string{roleUser, "--kafka", "a:1"}, full, []string{"--kafka: must be"}},
		"kafka, a password": {[]string{roleUser, "--kafka", "kafka://u:" + secret + "@a:1"}, full, []string{"--kafka: must be"}},
		"kafka, no copies":  {[]string{roleUser, "--kafka", "kafka://a:1/t?replication=0"}, full, []string{"replication must be"}},
		"smtp, no policy":   {[]string{roleNotify, "--smtp", "smtp://u:" + secret + "@a:25?from=a@b.test"}, full, []string{"--smtp: must be smtps://"}},
		"smtp, no sender":   {[]string{roleNotify, "--smtp", "smtps://u:" + secret + "@a:25"}, full, []string{"--smtp: must be smtps://"}},
		"smtp, no URL":      {[]string{roleNotify, "--smtp", "smtps://u:" + secret + "@a:b"}, full, []string{"--smtp: must be"}},
	} {
		t.Run(name, func(t *testing.T) {
			var stdout, stderr bytes.Buffer
			if code := run(t.Context(), c.args, environment(c.env), &stdout, &stderr); code != 2 {
				t.Errorf("code %d, want 2", code)
			}
			for _, want := range c.want {
				if !strings.Contains(stderr.String(), want) {
					t.Errorf("%q is not in: %s", want, &stderr)
				}
			}
			if strings.Contains(stderr.String(), secret) {
				t.Errorf("shows what was given: %s", &stderr)
			}
		})
	}
}

// A plain scheme is the only way to no TLS.
func TestPlaintextIsSaid(t *testing.T) {
	for raw, plain := range map[string]bool{"kafka://a:1": true, "kafkas://a:1": false} {
		cfg, err := kafka.ParseURL(raw)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := kafka.New(cfg); err != nil || cfg.Plaintext != plain || (cfg.TLS == nil) != plain {
			t.Errorf("%s: %+v, %v", raw, cfg, err)
		}
	}
}
