package kafka_test

import (
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/acme/platform/store"
	"github.com/acme/platform/store/kafka"
)

func TestParseURL(t *testing.T) {
	cfg, err := kafka.ParseURL("kafkas://ann:p%40ss%3A@a:9092,b:9093/acme.events?sasl=scram-sha-512&replication=2&min_in_sync=1&partitions=6")
	if err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(cfg.Brokers, []string{"a:9092", "b:9093"}) || cfg.Topic != "acme.events" || cfg.Plaintext || cfg.TLS == nil ||
		cfg.SASL == nil || cfg.SASL.Name() != "SCRAM-SHA-512" || cfg.Replication != 2 || cfg.MinInSync != 1 || cfg.Partitions != 6 {
		t.Errorf("got %+v", cfg)
	}
	cfg, err = kafka.ParseURL("kafka://a:9092")
	if err != nil || cfg.Topic != "platform" || !cfg.Plaintext || cfg.TLS != nil || cfg.SASL != nil {
		t.Errorf("got %+v, %v", cfg, err)
	}
}

// What is wrong with a URL is named, no password is shown, and the opener says
// the same before anything is connected.
func TestParseURLRefuses(t *testing.T) {
	empty := filepath.Join(t.TempDir(), "empty.pem")
	if err := os.WriteFile(empty, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for url, says := range map[string]string{
		"broker:9092":                           "cannot be read",
		"amqp://u:hunter2@a:1":                  "must begin with kafkas://",
		"kafka://u:hunter%2@a:9092":             "cannot be read",
		"kafka://u:hunter2@x@a:9092":            "cannot be read",
		"kafka:///topic":                        "cannot be read",
		"kafka://a:9092?hunter2=1":              "unknown or repeated parameter",
		"kafka://a:9092?sasl=plain&sasl=plain":  "unknown or repeated parameter",
		"kafkas://u:hunter2@a:9092":             "a user and the parameter sasl",
		"kafkas://a:9092?sasl=plain":            "a user and the parameter sasl",
		"kafka://u:hunter2@a:9092?sasl=plain":   "sasl=plain needs kafkas",
		"kafkas://u:hunter2@a:9092?sasl=gssapi": "sasl must be",
		"kafka://a:9092?ca=x.pem":               "ca, cert and key need kafkas",
		"kafkas://a:9092?ca=/nowhere/x.pem":     "ca: open",
		"kafkas://a:9092?ca=" + empty:           "ca: the file holds no",
		"kafkas://a:9092?cert=/nowhere/x.pem":   "cert and key: open",
		"kafka://a:9092?replication=0":          "replication must be",
	} {
		_, err := kafka.ParseURL(url)
		_, opening := kafka.Open(url)(store.Env{})
		for _, err := range []error{err, opening} {
			if err == nil || !strings.Contains(err.Error(), says) || strings.Contains(err.Error(), "hunter2") {
				t.Errorf("%v: got %v, want it to say %q", url, err, says)
			}
		}
	}
}
