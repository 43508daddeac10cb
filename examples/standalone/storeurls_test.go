package main

import (
	"bytes"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
)

// TestBadStoreURLs sees what is wrong named, and no password shown.
func TestBadStoreURLs(t *testing.T) {
	empty := filepath.Join(t.TempDir(), "empty.pem")
	if err := os.WriteFile(empty, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		says string
		args []string
	}{
		{"--postgres: must be a URL", []string{"--postgres", "host=db password=hunter2"}},
		{"--postgres: must be a URL", []string{"--postgres", "postgres://"}},
		{"--redis: must be a URL", []string{"--redis", "http://u:hunter2@cache"}},
		{"--kafka: must be a URL", []string{"--kafka", "broker:9092"}},
		{"--postgres-runtime and --postgres-system", []string{"--postgres", "postgres://a/b", "--postgres-runtime", "postgres://r:hunter2@a/b"}},
		{"--postgres-runtime: needs --postgres", []string{"--postgres-runtime", "postgres://r:hunter2@a/b", "--postgres-system", "postgres://s@a/b"}},
		{"a URL without a flag", []string{"--postgres=", "postgres://u:hunter2@a/b"}},
		{"--kafka: the URL cannot be read", []string{"--kafka", "kafka://u:hunter%2@a:9092"}},
		{"--kafka: the URL cannot be read", []string{"--kafka", "kafka://u:hunter2@x@a:9092"}},
		{"--kafka: the URL cannot be read", []string{"--kafka", "kafka:///topic"}},
		{"unknown or repeated parameter", []string{"--kafka", "kafka://a:9092?hunter2=1"}},
		{"unknown or repeated parameter", []string{"--kafka", "kafka://a:9092?sasl=plain&sasl=plain"}},
		{"a user and the parameter sasl", []string{"--kafka", "kafkas://u:hunter2@a:9092"}},
		{"a user and the parameter sasl", []string{"--kafka", "kafkas://a:9092?sasl=plain"}},
		{"sasl=plain needs kafkas", []string{"--kafka", "kafka://u:hunter2@a:9092?sasl=plain"}},
		{"sasl must be", []string{"--kafka", "kafkas://u:hunter2@a:9092?sasl=gssapi"}},
		{"ca, cert and key need kafkas", []string{"--kafka", "kafka://a:9092?ca=x.pem"}},
		{"ca: open", []string{"--kafka", "kafkas://a:9092?ca=/nowhere/x.pem"}},
		{"ca: the file holds no", []string{"--kafka", "kafkas://a:9092?ca=" + empty}},
		{"cert and key: open", []string{"--kafka", "kafkas://a:9092?cert=/nowhere/x.pem"}},
		{"replication must be", []string{"--kafka", "kafka://a:9092?replication=0"}},
		{"--start-timeout", []string{"--start-timeout", "-1s"}},
	} {
		_, err := parse(c.args, environment(nil), &bytes.Buffer{})
		if err == nil || !strings.Contains(err.Error(), c.says) || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%v: got %v, want it to say %q", c.args, err, c.says)
		}
	}
}

func TestKafkaURL(t *testing.T) {
	cfg, err := kafkaConfig("kafkas://ann:p%40ss%3A@a:9092,b:9093/acme.events?sasl=scram-sha-512&replication=2&min_in_sync=1&partitions=6")
	if err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(cfg.Brokers, []string{"a:9092", "b:9093"}) || cfg.Topic != "acme.events" || cfg.Plaintext || cfg.TLS == nil ||
		cfg.SASL == nil || cfg.SASL.Name() != "SCRAM-SHA-512" || cfg.Replication != 2 || cfg.MinInSync != 1 || cfg.Partitions != 6 {
		t.Errorf("got %+v", cfg)
	}
	cfg, err = kafkaConfig("kafka://a:9092")
	if err != nil || cfg.Topic != "platform" || !cfg.Plaintext || cfg.TLS != nil || cfg.SASL != nil {
		t.Errorf("got %+v, %v", cfg, err)
	}
}

func TestServerURL(t *testing.T) {
	u, err := parseServerURL("mongodb+srv://a%2Fnn:p%40ss%3A%2F@one.example,two.example:27018/acme?tls=true&x=a%26b")
	if err != nil {
		t.Fatal(err)
	}
	want := serverURL{
		scheme: "mongodb+srv", user: "a/nn", password: "p@ss:/", hosts: []string{"one.example", "two.example:27018"}, path: "acme",
		query: map[string][]string{"tls": {"true"}, "x": {"a&b"}},
	}
	if !reflect.DeepEqual(u, want) {
		t.Errorf("got %+v", u)
	}
}

func TestRedisPrefix(t *testing.T) {
	for raw, want := range map[string][2]string{
		"redis://h:1/0":                              {"redis://h:1/0", ""},
		"redis://u:p@h:1/0?prefix=acme":              {"redis://u:p@h:1/0", "acme"},
		"rediss://h/0?pool_size=5&prefix=a&db=2":     {"rediss://h/0?db=2&pool_size=5", "a"},
		"unix:///run/redis.sock?prefix=acme.eu&db=1": {"unix:///run/redis.sock?db=1", "acme.eu"},
	} {
		address, prefix, err := redisPrefix(raw)
		if err != nil || address != want[0] || prefix != want[1] {
			t.Errorf("%s: got %q, %q, %v", raw, address, prefix, err)
		}
	}
	if _, _, err := redisPrefix("redis://u:hunter2@h?a=%zz"); err == nil || strings.Contains(err.Error(), "hunter2") {
		t.Errorf("got %v", err)
	}
}
