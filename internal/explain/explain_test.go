package explain_test

import (
	"testing"
	"time"

	"github.com/acme/platform/internal/explain"
)

type module struct{}

func (module) Name() string { return "things" }

func TestWords(t *testing.T) {
	for got, want := range map[string]string{
		explain.Duration(30 * 24 * time.Hour):    "30 days",
		explain.Duration(24 * time.Hour):         "1 day",
		explain.Duration(36 * time.Hour):         "36 h",
		explain.Duration(90 * time.Minute):       "90 min",
		explain.Duration(90 * time.Second):       "90 s",
		explain.Duration(250 * time.Millisecond): "250ms",
		explain.Duration(0):                      "0s",
		explain.Kept(-1):                         "for good",
		explain.Kept(time.Hour):                  "for 1 h",
		explain.Bytes(64 << 20):                  "64 MiB",
		explain.Bytes(1<<20 + 1<<10):             "1025 KiB",
		explain.Bytes(5 << 30):                   "5 GiB",
		explain.Bytes(0):                         "0 bytes",
		explain.Bytes(1023):                      "1023 bytes",
		explain.Part(nil):                        "nothing",
		explain.Part(module{}):                   "things",
		explain.Part(struct{}{}):                 "the host's own struct {}",
	} {
		if got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}
