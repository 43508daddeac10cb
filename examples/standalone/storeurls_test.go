package main

import (
	"bytes"
	"os"
	"path/filepath"
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
