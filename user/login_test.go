package user_test

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/acme/platform"
	"github.com/acme/platform/internal/test/testdb"
	"github.com/acme/platform/store"
	"github.com/acme/platform/user"
)

// Nobody learns from a login whether an address is known.
func TestLogInTellsNothing(t *testing.T) {
	b := open(t)
	ann := b.signUp(t, "ann@example.com")
	noError(t, b.SetUserStatus(t.Context(), ann.User.ID, user.Suspended))
	b.signUp(t, "ben@example.com")
	var first error
	for _, in := range []user.LogIn{
		{Email: "ben@example.com", Password: "wrong password"},
		{Email: "nobody@example.com", Password: "wrong password"},
		{Email: "nobody@example.com", Password: goodPassword, Organization: ann.p.Tenant},
		{Email: "ann@example.com", Password: goodPassword},
		{Email: "no address", Password: "x"},
		{Email: "ben@example.com", Password: user.Secret(strings.Repeat("long", 1000))},
	} {
		_, err := b.LogIn(t.Context(), in)
		want(t, err, platform.KindUnauthenticated, "invalid_credentials")
		if first == nil {
			first = err
		}
		if err.Error() != first.Error() {
			t.Errorf("%s: %v, not %v", in.Email, err, first)
		}
	}
}

// An unknown address costs a hash like a known one: both find the hasher busy.
func TestLogInAlwaysHashes(t *testing.T) {
	b := open(t, func(c *user.Config) { c.PasswordConcurrency, c.PasswordQueue, c.Cache = 1, 1, noCache{} })
	b.signUp(t, "ann@example.com")
	release, err := b.HoldHasher(t.Context())
	noError(t, err)
	defer release()
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		_, _ = b.LogIn(ctx, user.LogIn{Email: "ann@example.com", Password: goodPassword})
	}()
	b.AwaitQueue(1)
	for _, email := range []string{"ann@example.com", "nobody@example.com", "no address"} {
		_, err = b.LogIn(t.Context(), user.LogIn{Email: email, Password: "wrong password"})
		want(t, err, platform.KindUnavailable, "busy")
	}
	cancel()
	<-done
}

// noCache counts nothing.
type noCache struct{ store.Cache }

func (noCache) Increment(context.Context, platform.TenantID, string, int64, time.Duration) (int64, time.Duration, error) {
	return 1, 0, nil
}
func (noCache) Delete(context.Context, platform.TenantID, ...string) error { return nil }

func TestLogInChoosesOrganization(t *testing.T) {
	b := open(t)
	ann, ben := b.signUp(t, "ann@example.com"), b.signUp(t, "ben@example.com")
	b.clock.Advance(time.Second)
	second, err := b.CreateOrganization(t.Context(), ann.p, "Second")
	noError(t, err)
	for _, wanted := range []platform.TenantID{"", second.ID, ann.p.Tenant} {
		got := wanted
		if wanted == "" {
			got = ann.p.Tenant
		}
		tokens, err := b.LogIn(t.Context(), user.LogIn{Email: "ann@example.com", Password: goodPassword, Organization: wanted})
		if err != nil || tokens.Organization != got {
			t.Errorf("%q: %+v, %v", wanted, tokens, err)
		}
	}
	var texts []string
	for _, wanted := range []platform.TenantID{ben.p.Tenant, "org_none", "not an id/"} {
		_, err := b.LogIn(t.Context(), user.LogIn{Email: "ann@example.com", Password: goodPassword, Organization: wanted})
		want(t, err, platform.KindForbidden, "not_a_member")
		texts = append(texts, err.Error())
	}
	if texts[0] != texts[1] {
		t.Errorf("another's organization is told from none: %q", texts)
	}
}

func TestThrottle(t *testing.T) {
	b := open(t)
	b.signUp(t, "ann@example.com")
	b.signUp(t, "ben@example.com")
	wrong := user.LogIn{Email: "ann@example.com", Password: "wrong password"}
	var (
		wg      sync.WaitGroup
		mu      sync.Mutex
		limited int
	)
	const tries = 30
	for range tries { // in parallel: they count all the same
		wg.Go(func() {
			_, err := b.LogIn(t.Context(), wrong)
			var e *platform.Error
			if errors.As(err, &e) && e.Kind == platform.KindLimited {
				mu.Lock()
				limited++
				mu.Unlock()
				if e.RetryAfter <= 0 || e.RetryAfter > user.MaxDelay {
					t.Errorf("RetryAfter %v", e.RetryAfter)
				}
			}
		})
	}
	wg.Wait()
	if limited != tries-user.FreeTries-1 { // one more takes the first turn
		t.Errorf("%d of %d refused", limited, tries)
	}
	_, err := b.LogIn(t.Context(), user.LogIn{Email: "ann@example.com", Password: goodPassword})
	want(t, err, platform.KindLimited, "too_many_logins")
	_, err = b.LogIn(t.Context(), user.LogIn{Email: "ben@example.com", Password: goodPassword})
	noError(t, err)
	// An unknown address is throttled alike.
	wrong.Email = "nobody@example.com"
	for range user.FreeTries + 1 {
		_, err = b.LogIn(t.Context(), wrong)
		want(t, err, platform.KindUnauthenticated, "")
	}
	_, err = b.LogIn(t.Context(), wrong)
	want(t, err, platform.KindLimited, "")
	// One try for each delay, which grows with the tries that were made.
	for _, seconds := range []int{1, 2, 4, 8, 16, 30, 30} {
		b.clock.Advance(time.Duration(seconds)*time.Second - 1)
		_, err = b.LogIn(t.Context(), wrong)
		want(t, err, platform.KindLimited, "")
		b.clock.Advance(1)
		_, err = b.LogIn(t.Context(), wrong)
		want(t, err, platform.KindUnauthenticated, "")
	}
	// The owner of the other account comes in at their turn, and is free again.
	_, err = b.LogIn(t.Context(), user.LogIn{Email: "ann@example.com", Password: goodPassword})
	noError(t, err)
	for range user.FreeTries {
		_, err = b.LogIn(t.Context(), user.LogIn{Email: "ann@example.com", Password: "wrong password"})
		want(t, err, platform.KindUnauthenticated, "")
	}
	b.clock.Advance(15 * time.Minute)
	_, err = b.LogIn(t.Context(), wrong)
	want(t, err, platform.KindUnauthenticated, "")
}

func from(ctx context.Context, client string) context.Context {
	return platform.WithClient(ctx, netip.MustParseAddr(client))
}

// Guessing from elsewhere keeps the owner out neither of a known place nor of
// another one.
func TestThrottleSparesTheOwner(t *testing.T) {
	b := open(t)
	b.signUp(t, "ann@example.com")
	home, good := from(t.Context(), "192.0.2.1"), user.LogIn{Email: "ann@example.com", Password: goodPassword}
	_, err := b.LogIn(home, good)
	noError(t, err)
	for i := range 3 * user.FreeTries {
		_, _ = b.LogIn(from(t.Context(), fmt.Sprint("198.51.100.", i)), user.LogIn{Email: "ann@example.com", Password: "wrong password"})
	}
	_, err = b.LogIn(from(t.Context(), "203.0.113.9"), good)
	noError(t, err)
	_, err = b.LogIn(home, good)
	noError(t, err)
}

// One client that tries one password on many accounts is slowed down.
func TestThrottleSpraying(t *testing.T) {
	b := open(t)
	ctx, limited := from(t.Context(), "198.51.100.7"), 0
	for i := range 80 {
		_, err := b.LogIn(ctx, user.LogIn{Email: fmt.Sprintf("user%d@example.com", i), Password: "Summer2026!"})
		if errors.Is(err, platform.ErrLimited) {
			limited++
		}
	}
	if limited < 20 {
		t.Errorf("%d of 80 refused", limited)
	}
}

// A host has a whole /64 of IPv6: taking another address of it each time is
// still one client.
func TestThrottleSprayingFromOneNetwork(t *testing.T) {
	b := open(t)
	spray := func(address func(int) string) (limited int) {
		for i := range 80 {
			_, err := b.LogIn(from(t.Context(), address(i)), user.LogIn{Email: fmt.Sprintf("user%d@example.com", i), Password: user.Secret(fmt.Sprint("Summer2026!", i))})
			if errors.Is(err, platform.ErrLimited) {
				limited++
			}
		}
		b.clock.Advance(time.Hour)
		return limited
	}
	if n := spray(func(i int) string { return fmt.Sprintf("2001:db8:0:1::%x", i) }); n < 20 {
		t.Errorf("%d of 80 refused from one /64", n)
	}
	if n := spray(func(i int) string { return fmt.Sprintf("2001:db8:%x::1", i) }); n != 0 {
		t.Errorf("%d of 80 refused from different networks", n)
	}
	if n := spray(func(i int) string { return []string{"192.0.2.1", "::ffff:192.0.2.1"}[i%2] }); n < 20 {
		t.Errorf("%d of 80 refused from one IPv4 address", n)
	}
}

func TestDelay(t *testing.T) {
	for n, d := range map[int64]time.Duration{1: time.Second, 2: 2 * time.Second, 5: 16 * time.Second, 6: 30 * time.Second, 1 << 40: 30 * time.Second} {
		if got := user.DelayAfter(n); got != d {
			t.Errorf("%d: got %v, want %v", n, got, d)
		}
	}
}

func TestFailedLoginIsRecorded(t *testing.T) {
	b := open(t)
	ann, ben := b.signUp(t, "ann@example.com"), b.signUp(t, "ben@example.com")
	ctx := platform.WithRequestID(from(t.Context(), "192.0.2.1"), "req_1")
	// Naming a stranger's organization does not tell the stranger.
	for _, org := range []platform.TenantID{"", ann.p.Tenant, ben.p.Tenant, "nonsense/"} {
		_, err := b.LogIn(ctx, user.LogIn{Email: "ann@example.com", Password: "wrong password", Organization: org})
		want(t, err, platform.KindUnauthenticated, "")
	}
	noError(t, b.WriteBehind(t.Context()))
	var failed []user.AuditRecord
	for len(failed) < 4 { // the goroutine in the background may still hold one
		var err error
		failed, _, err = b.Audit(t.Context(), ann.p, user.AuditFilter{Action: "login.failed"}, 0, "")
		noError(t, err)
	}
	for _, r := range failed {
		if r.Target != ann.User.ID || r.Outcome != "failed" || r.RequestID != "req_1" || r.Client != "192.0.2.1" || r.Actor != "" {
			t.Errorf("record %+v", r)
		}
	}
	other, _, err := b.Audit(t.Context(), ben.p, user.AuditFilter{Action: "login.failed"}, 0, "")
	if err != nil || len(other) != 0 {
		t.Errorf("a stranger's organization heard of it: %+v, %v", other, err)
	}
}

// A hash of other parameters still verifies and is made again.
func TestRehash(t *testing.T) {
	b := open(t)
	b.signUp(t, "ann@example.com")
	old := user.PasswordHash(goodPassword, 128, 3)
	b.exec(t, `UPDATE user_passwords SET hash = ?`, old)
	in := user.LogIn{Email: "ann@example.com", Password: goodPassword}
	_, err := b.LogIn(t.Context(), in)
	noError(t, err)
	var now string
	noError(t, b.db.AcrossTenants(t.Context(), testdb.Crossing(b.db), func(ctx context.Context, tx store.CrossTx) error {
		return tx.QueryRow(ctx, `SELECT hash FROM user_passwords`).Scan(&now)
	}))
	if now == old || !strings.HasPrefix(now, "$argon2id$v=19$m=64,t=1,p=1$") {
		t.Errorf("hash %q", now)
	}
	_, err = b.LogIn(t.Context(), in)
	noError(t, err)
	// A hash that would take the machine's memory is a fault of ours.
	b.exec(t, `UPDATE user_passwords SET hash = ?`, "$argon2id$v=19$m=4194304,t=2,p=1$AAAAAAAAAAAAAAAAAAAAAA$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA")
	_, err = b.LogIn(t.Context(), in)
	if err == nil || platform.KindOf(err) != platform.KindInternal {
		t.Errorf("got %v", err)
	}
}

// More logins than may wait are refused at once, and those that wait give up
// with their context.
func TestPasswordQueue(t *testing.T) {
	b := open(t, func(c *user.Config) { c.PasswordConcurrency, c.PasswordQueue, c.Cache = 1, 1, noCache{} })
	b.signUp(t, "ann@example.com")
	release, err := b.HoldHasher(t.Context())
	noError(t, err)
	in := user.LogIn{Email: "ann@example.com", Password: goodPassword}
	ctx, cancel := context.WithCancel(t.Context())
	waiting := make(chan error)
	go func() {
		_, err := b.LogIn(ctx, in)
		waiting <- err
	}()
	b.AwaitQueue(1)
	_, err = b.LogIn(t.Context(), in)
	want(t, err, platform.KindUnavailable, "busy")
	cancel()
	if err := <-waiting; !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	release()
	b.signUp(t, "ben@example.com")
}

// What no store of text takes is an address, or an organization, that is not
// there.
func TestLogInWithControlCharacters(t *testing.T) {
	b := open(t)
	b.signUp(t, "ann@example.com")
	for _, email := range []string{"ann\x00@example.com", "\xff@example.com"} {
		_, err := b.LogIn(t.Context(), user.LogIn{Email: email, Password: goodPassword})
		want(t, err, platform.KindUnauthenticated, "invalid_credentials")
	}
	_, err := b.LogIn(t.Context(), user.LogIn{Email: "ann@example.com", Password: goodPassword, Organization: "org\x00"})
	want(t, err, platform.KindForbidden, "not_a_member")
}
