package user_test

import (
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/acme/platform"
	"github.com/acme/platform/user"
)

const day = 24 * time.Hour

func TestRefresh(t *testing.T) {
	b := open(t)
	ann := b.signUp(t, "ann@example.com")
	seen := map[user.Secret]bool{ann.Tokens.Refresh: true}
	tokens := ann.Tokens
	for range 3 {
		b.clock.Advance(time.Minute)
		next, err := b.Refresh(t.Context(), tokens.Refresh)
		noError(t, err)
		if seen[next.Refresh] || next.Session != tokens.Session || next.Organization != tokens.Organization {
			t.Fatalf("got %+v", next)
		}
		seen[next.Refresh] = true
		b.verify(t, next.Access)
		tokens = next
	}
}

// A token shown again after the grace ends the session, at once.
func TestRefreshReuse(t *testing.T) {
	for name, c := range map[string]struct {
		wait   time.Duration
		reused func(first, second user.Tokens) user.Secret
	}{
		"parent after the grace":        {11 * time.Second, func(_, second user.Tokens) user.Secret { return second.Refresh }},
		"grandparent within the grace":  {0, func(first, _ user.Tokens) user.Secret { return first.Refresh }},
		"grandparent a long time after": {day, func(first, _ user.Tokens) user.Secret { return first.Refresh }},
	} {
		t.Run(name, func(t *testing.T) {
			b := open(t)
			ann := b.signUp(t, "ann@example.com")
			second, err := b.Refresh(t.Context(), ann.Tokens.Refresh)
			noError(t, err)
			third, err := b.Refresh(t.Context(), second.Refresh)
			noError(t, err)
			b.clock.Advance(c.wait)
			_, err = b.Refresh(t.Context(), c.reused(ann.Tokens, second))
			want(t, err, platform.KindUnauthenticated, "invalid_refresh_token")
			_, err = b.Refresh(t.Context(), third.Refresh)
			want(t, err, platform.KindUnauthenticated, "invalid_refresh_token")
			_, err = b.Verify(t.Context(), string(third.Access))
			want(t, err, platform.KindUnauthenticated, "")
			events := b.events(t)
			if events[len(events)-1] != "user.session.reused" {
				t.Errorf("events %v", events)
			}
			again, err := b.LogIn(t.Context(), user.LogIn{Email: "ann@example.com", Password: goodPassword})
			noError(t, err)
			audit, _, err := b.Audit(t.Context(), b.verify(t, again.Access), user.AuditFilter{Action: "session.refresh_reused"}, 0, "")
			if err != nil || len(audit) != 1 || audit[0].Target != ann.Tokens.Session {
				t.Errorf("audit %+v, %v", audit, err)
			}
		})
	}
}

// Within the grace the parent yields the present token, and nothing moves.
func TestRefreshGrace(t *testing.T) {
	b := open(t)
	ann := b.signUp(t, "ann@example.com")
	second, err := b.Refresh(t.Context(), ann.Tokens.Refresh)
	noError(t, err)
	b.clock.Advance(10 * time.Second)
	again, err := b.Refresh(t.Context(), ann.Tokens.Refresh)
	if err != nil || again.Refresh != second.Refresh {
		t.Fatalf("got another token: %v", err)
	}
	_, err = b.Refresh(t.Context(), second.Refresh)
	noError(t, err)
}

func TestRefreshInParallel(t *testing.T) {
	b := open(t)
	ann := b.signUp(t, "ann@example.com")
	var (
		wg   sync.WaitGroup
		mu   sync.Mutex
		next = map[user.Secret]int{}
	)
	for range 20 {
		wg.Go(func() {
			tokens, err := b.Refresh(t.Context(), ann.Tokens.Refresh)
			if err != nil {
				t.Errorf("Refresh: %v", err)
			}
			mu.Lock()
			next[tokens.Refresh]++
			mu.Unlock()
		})
	}
	wg.Wait()
	if len(next) != 1 {
		t.Fatalf("%d lineages", len(next))
	}
	for token := range next {
		_, err := b.Refresh(t.Context(), token)
		noError(t, err)
	}
}

// Who knows the id of a session cannot end it with an invented token.
func TestRefreshInvented(t *testing.T) {
	b := open(t)
	ann := b.signUp(t, "ann@example.com")
	good := string(ann.Tokens.Refresh)
	cut := len("rt_") + strings.IndexByte(good[len("rt_"):], '_') + 1 // the secret may have an underscore too
	for _, bad := range []string{
		"", "rt_", "rt__", good[:cut] + strings.Repeat("A", 64), good[:len(good)-1], good + "A", strings.ToUpper(good),
		"ak" + good[2:], string(ann.Tokens.Access), "rt_00000000000000000000000000_" + good[cut:],
		good[:cut] + "A" + good[cut+1:], good[:cut] + "B" + good[cut+1:], // one of them differs
	} {
		if bad == good {
			continue
		}
		_, err := b.Refresh(t.Context(), user.Secret(bad))
		want(t, err, platform.KindUnauthenticated, "invalid_refresh_token")
	}
	_, err := b.Refresh(t.Context(), ann.Tokens.Refresh)
	noError(t, err)
}

func TestSessionLimits(t *testing.T) {
	b := open(t)
	ann := b.signUp(t, "ann@example.com")
	b.clock.Advance(30 * day)
	_, err := b.Refresh(t.Context(), ann.Tokens.Refresh)
	want(t, err, platform.KindUnauthenticated, "") // idle

	in, err := b.LogIn(t.Context(), user.LogIn{Email: "ann@example.com", Password: goodPassword})
	tokens := in.Tokens
	noError(t, err)
	for d := range 89 {
		b.clock.Advance(day)
		if tokens, err = b.Refresh(t.Context(), tokens.Refresh); err != nil {
			t.Fatalf("day %d: %v", d, err)
		}
	}
	b.clock.Advance(day)
	_, err = b.Refresh(t.Context(), tokens.Refresh)
	want(t, err, platform.KindUnauthenticated, "") // however often it was refreshed
	b.clock.Advance(8 * day)
	noError(t, b.PurgeSessions(t.Context()))
	if n := b.count(t, "user_sessions"); n != 0 {
		t.Errorf("%d sessions are left", n)
	}
}

func TestSessions(t *testing.T) {
	b := open(t)
	ann, ben := b.signUp(t, "ann@example.com"), b.signUp(t, "ben@example.com")
	second, err := b.LogIn(t.Context(), user.LogIn{Email: "ann@example.com", Password: goodPassword})
	noError(t, err)
	b.verify(t, second.Access)
	all, next, err := b.Sessions(t.Context(), ann.p, 1, "")
	if err != nil || len(all) != 1 || next == "" {
		t.Fatalf("%+v %q %v", all, next, err)
	}
	rest, next, err := b.Sessions(t.Context(), ann.p, 1, next)
	if err != nil || len(rest) != 1 || next != "" || rest[0].ID == all[0].ID {
		t.Fatalf("%+v %q %v", rest, next, err)
	}
	if all = append(all, rest...); all[0].Current == all[1].Current {
		t.Errorf("one session is the current one: %+v", all)
	}
	for _, id := range []string{ben.p.Credential, "ses_none", ""} {
		want(t, b.RevokeSession(t.Context(), ann.p, id), platform.KindNotFound, "not_found")
	}
	b.verify(t, ben.Tokens.Access)

	noError(t, b.RevokeSession(t.Context(), ann.p, second.Session))
	_, err = b.Verify(t.Context(), string(second.Access))
	want(t, err, platform.KindUnauthenticated, "")
	_, err = b.Refresh(t.Context(), second.Refresh)
	want(t, err, platform.KindUnauthenticated, "")
	b.verify(t, ann.Tokens.Access)

	noError(t, b.LogOut(t.Context(), ann.p))
	_, err = b.Verify(t.Context(), string(ann.Tokens.Access))
	want(t, err, platform.KindUnauthenticated, "")
	want(t, b.LogOut(t.Context(), ann.p), platform.KindNotFound, "")
}

// Switching is no way round the absolute end of a session, nor round its
// revocation.
func TestSwitchKeepsTheEnd(t *testing.T) {
	b := open(t)
	ann := b.signUp(t, "ann@example.com")
	switched, err := b.Switch(t.Context(), ann.p, ann.p.Tenant)
	noError(t, err)
	tokens := switched.Tokens
	for range 4 {
		b.clock.Advance(20 * day)
		tokens, err = b.Refresh(t.Context(), tokens.Refresh)
		noError(t, err)
	}
	// Ten days before the end a session of its own would have ninety.
	switched, err = b.Switch(t.Context(), b.verify(t, tokens.Access), ann.p.Tenant)
	noError(t, err)
	tokens = switched.Tokens
	b.clock.Advance(10*day - time.Second)
	tokens, err = b.Refresh(t.Context(), tokens.Refresh)
	noError(t, err)
	b.clock.Advance(time.Second)
	_, err = b.Refresh(t.Context(), tokens.Refresh)
	want(t, err, platform.KindUnauthenticated, "")

	in, err := b.LogIn(t.Context(), user.LogIn{Email: "ann@example.com", Password: goodPassword})
	tokens = in.Tokens
	noError(t, err)
	p := b.verify(t, tokens.Access)
	noError(t, b.LogOut(t.Context(), p))
	_, err = b.Switch(t.Context(), p, p.Tenant) // verified before the logout, served after it
	want(t, err, platform.KindUnauthenticated, "")
}

func TestSwitch(t *testing.T) {
	b := open(t)
	ann, ben := b.signUp(t, "ann@example.com"), b.signUp(t, "ben@example.com")
	second, err := b.CreateOrganization(t.Context(), ann.p, " Second ")
	if err != nil || second.Name != "Second" {
		t.Fatalf("%+v, %v", second, err)
	}
	tokens, err := b.Switch(t.Context(), ann.p, second.ID)
	noError(t, err)
	p := b.verify(t, tokens.Access)
	if p.Tenant != second.ID || p.Credential != ann.p.Credential {
		t.Errorf("got %+v", p)
	}
	all, _, err := b.Sessions(t.Context(), p, 0, "")
	if err != nil || len(all) != 1 || len(all[0].Organizations) != 2 {
		t.Errorf("one device is one session: %+v, %v", all, err)
	}
	b.verify(t, ann.Tokens.Access)
	for _, org := range []platform.TenantID{ben.p.Tenant, "org_none", "", "not/valid"} {
		_, err := b.Switch(t.Context(), ann.p, org)
		want(t, err, platform.KindForbidden, "not_a_member")
	}
	orgs, _, err := b.Organizations(t.Context(), ann.p, 0, "")
	if err != nil || len(orgs) != 2 {
		t.Errorf("%+v, %v", orgs, err)
	}
}
