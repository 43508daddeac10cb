package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func configFile(t *testing.T, text string, mode os.FileMode) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "platform.env")
	if err := os.WriteFile(file, []byte(text), mode); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(file, mode); err != nil { // whatever the umask
		t.Fatal(err)
	}
	return file
}

func TestConfigFile(t *testing.T) {
	file := configFile(t, `# where the data is
PLATFORM_POSTGRES=postgres://owner:s=cr#t@db/acme?sslmode=disable
PLATFORM_SEALING_KEYS=e30=

PLATFORM_ADDR = 127.0.0.1:1
PLATFORM_LOG_LEVEL=warn
PLATFORM_SMTP_PASSWORD='two words'
PLATFORM_LOG_FORMAT="json"
PLATFORM_TRUSTED_PROXIES="
`, 0o640)
	_, err := parse([]string{"--config", file}, environment(nil), &bytes.Buffer{})
	if err == nil || !strings.Contains(err.Error(), "--trusted-proxies") { // one quote is no pair
		t.Errorf("got %v", err)
	}
	o, err := parse([]string{"--addr", "127.0.0.1:3", "--trusted-proxies="}, environment(map[string]string{
		"PLATFORM_CONFIG": file, "PLATFORM_ADDR": "127.0.0.1:2", "PLATFORM_LOG_LEVEL": "error",
	}), &bytes.Buffer{})
	if err != nil {
		t.Fatal(err)
	}
	if o.addr != "127.0.0.1:3" || o.logLevel.String() != "ERROR" || o.logFormat != "json" || o.smtpPassword != "two words" ||
		o.stores.postgres != "postgres://owner:s=cr#t@db/acme?sslmode=disable" {
		t.Errorf("got %+v", o)
	}
}

func TestBadConfigFiles(t *testing.T) {
	for says, file := range map[string]string{
		"no such file":                       filepath.Join(t.TempDir(), "missing"),
		"everybody may read":                 configFile(t, "", 0o644),
		":2: must be PLATFORM_NAME=value":    configFile(t, "\nPLATFORM_POSTGRES: hunter2?a=b", 0o600),
		":1: must be PLATFORM_NAME=value":    configFile(t, "POSTGRES=hunter2", 0o600),
		"PLATFORM_POSTGRESS is not":          configFile(t, "PLATFORM_POSTGRESS=hunter2", 0o600),
		"PLATFORM_CONFIG is not":             configFile(t, "PLATFORM_CONFIG=hunter2", 0o600),
		":2: PLATFORM_REDIS is there twice":  configFile(t, "PLATFORM_REDIS=\nPLATFORM_REDIS=hunter2", 0o600),
		"PLATFORM_RATE_LIMIT: must be reque": configFile(t, "PLATFORM_RATE_LIMIT=hunter2", 0o600),
	} {
		_, err := parse([]string{"--config", file}, environment(nil), &bytes.Buffer{})
		if err == nil || !strings.Contains(err.Error(), says) || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("got %v, want it to say %q", err, says)
		}
	}
}
