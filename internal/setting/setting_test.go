package setting_test

import (
	"testing"

	"github.com/acme/platform/internal/setting"
)

func TestCheck(t *testing.T) {
	c := setting.For("user")
	c.Need(true, "Fine", "must be set")
	if err := c.Err(); err != nil {
		t.Fatal(err)
	}
	c.Need(false, "Issuer", "must be set")
	c.Need(false, "TTL", "must be positive")
	if got, want := c.Err().Error(), "user: Config.Issuer must be set; Config.TTL must be positive"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}
