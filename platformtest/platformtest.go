package platformtest

import (
	"context"
	"path/filepath"
	"testing"
	"time"

	"github.com/acme/platform"
	"github.com/acme/platform/platformtest/testclock"
	"github.com/acme/platform/standard"
	"github.com/acme/platform/store/seal"
)

// stopTime bounds the end of a platform, in the time of the test.
const stopTime = 30 * time.Second

// Platform is a started platform that ends with its test. All its parts are
// reached by name: tp.Users, tp.Records, tp.DB, tp.Jobs.
type Platform struct {
	*standard.Platform
	// Clock is the time of all parts. It is nil where Config.Now was set.
	Clock *testclock.Clock
	// Mail is where all e-mails go. It is nil where Config.Mail was set.
	Mail *Mail

	tb testing.TB
}

// New starts a platform, and closes it at the end of the test. Of cfg it fills in
// what is not set: Data with a folder of the test's (where there is no Relational),
// Now with Clock, which stands at the time of the call, and Mail with the sink.
func New(tb testing.TB, cfg standard.Config) *Platform {
	tb.Helper()
	p := &Platform{tb: tb}
	if cfg.Data == "" && cfg.Relational == nil {
		cfg.Data = tb.TempDir()
	}
	if cfg.Relational != nil && cfg.Sealer == nil {
		cfg.Sealer = seal.Open(seal.File(filepath.Join(tb.TempDir(), "acme.keys")))
	}
	if cfg.Now == nil {
		p.Clock = testclock.At(time.Now().UTC().Truncate(time.Second))
		cfg.Now = p.Clock.Now
	}
	if cfg.Mail == nil {
		p.Mail = NewMail()
		cfg.Mail = p.Mail
	}
	var err error
	if p.Platform, err = standard.Open(tb.Context(), cfg); err != nil {
		tb.Fatalf("platformtest: %v", err)
	}
	tb.Cleanup(func() {
		// The context of the test has ended by now.
		ctx, cancel := context.WithTimeout(context.Background(), stopTime)
		defer cancel()
		if err := p.Close(ctx); err != nil {
			tb.Errorf("platformtest: close: %v", err)
		}
	})
	return p
}

// Principal returns a person of a tenant with roles there, as the gateway would
// put it into the context of a request. Nobody of that name needs to exist.
func Principal(tenant platform.TenantID, subject string, roles ...string) platform.Principal {
	return platform.Principal{
		Tenant: tenant, Subject: subject, Kind: platform.PrincipalUser, Credential: "ses_" + subject, Roles: roles,
	}
}
