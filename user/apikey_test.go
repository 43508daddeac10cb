package user_test

import (
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/acme/platform"
	"github.com/acme/platform/user"
)

// keyPattern is the one that the documentation gives to secret scanners.
var keyPattern = regexp.MustCompile(`^ak_[0-9a-hjkmnp-tv-z]{26}_[A-Za-z0-9_-]{43}[0-9a-z]{7}$`)

func TestAPIKey(t *testing.T) {
	b := open(t)
	ann := b.signUp(t, "ann@example.com")
	key, credential, err := b.CreateAPIKey(t.Context(), ann.p, user.NewAPIKey{Name: " ci ", Scopes: []string{"data.records.read", "data.records.read"}})
	noError(t, err)
	if !keyPattern.MatchString(string(credential)) || !strings.HasPrefix(string(credential), key.Prefix+"_") || key.Name != "ci" {
		t.Errorf("%+v", key)
	}
	p := b.verify(t, credential)
	if p.Kind != platform.PrincipalAPIKey || p.Subject != ann.User.ID || p.Credential != key.ID || p.Tenant != ann.p.Tenant || !slices.Equal(p.Scopes, []string{"data.records.read"}) {
		t.Errorf("principal %+v", p)
	}
	noError(t, b.Authorize(t.Context(), p, "data.records.read"))
	want(t, b.Authorize(t.Context(), p, "data.records.write"), platform.KindForbidden, "")

	good := string(credential)
	for name, bad := range map[string]string{
		"a character of the secret": flip(good, 40), "of the id": flip(good, 10), "of the checksum": flip(good, len(good)-1),
		"cut": good[:len(good)-1], "longer": good + "0", "upper case": strings.ToUpper(good), "prefix": "ak_", "": "ak",
	} {
		_, err := b.Verify(t.Context(), bad)
		if platform.KindOf(errOr(err)) != platform.KindUnauthenticated {
			t.Errorf("%s: %v", name, err)
		}
	}
	keys, _, err := b.APIKeys(t.Context(), ann.p, 0, "")
	if err != nil || len(keys) != 1 || !keys[0].LastUsedAt.IsZero() {
		t.Errorf("%+v, %v", keys, err)
	}
	noError(t, b.WriteBehind(t.Context()))
	if keys, _, err = b.APIKeys(t.Context(), ann.p, 0, ""); err != nil || !keys[0].LastUsedAt.Equal(b.clock.Now()) {
		t.Errorf("%+v, %v", keys, err)
	}
	noError(t, b.RevokeAPIKey(t.Context(), ann.p, key.ID))
	_, err = b.Verify(t.Context(), good)
	want(t, err, platform.KindUnauthenticated, "")
	want(t, b.RevokeAPIKey(t.Context(), ann.p, key.ID), platform.KindNotFound, "")
}

func flip(s string, i int) string {
	c := byte('0')
	if s[i] == c {
		c = '1'
	}
	return s[:i] + string(c) + s[i+1:]
}

func TestAPIKeyInput(t *testing.T) {
	b := open(t)
	ann := b.signUp(t, "ann@example.com")
	for name, in := range map[string]user.NewAPIKey{
		"no name":    {Scopes: []string{"data.*"}},
		"no scopes":  {Name: "x"},
		"bad scope":  {Name: "x", Scopes: []string{"data.**"}},
		"has ended":  {Name: "x", Scopes: []string{"data.*"}, ExpiresAt: b.clock.Now()},
		"too many":   {Name: "x", Scopes: slices.Repeat([]string{"data.*"}, 51)},
		"line break": {Name: "x\ny", Scopes: []string{"data.*"}},
	} {
		if _, _, err := b.CreateAPIKey(t.Context(), ann.p, in); platform.KindOf(errOr(err)) != platform.KindInvalid {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestAPIKeyExpires(t *testing.T) {
	b := open(t)
	ann := b.signUp(t, "ann@example.com")
	_, credential, err := b.CreateAPIKey(t.Context(), ann.p, user.NewAPIKey{Name: "ci", Scopes: []string{"data.*"}, ExpiresAt: b.clock.Now().Add(2 * time.Second)})
	noError(t, err)
	b.verify(t, credential)
	b.clock.Advance(2 * time.Second) // well within VerifyTTL
	_, err = b.Verify(t.Context(), string(credential))
	want(t, err, platform.KindUnauthenticated, "")
}

func TestAPIKeyRotate(t *testing.T) {
	b := open(t)
	ann := b.signUp(t, "ann@example.com")
	key, old, err := b.CreateAPIKey(t.Context(), ann.p, user.NewAPIKey{Name: "ci", Scopes: []string{"data.*"}})
	noError(t, err)
	b.verify(t, old)
	_, second, err := b.RotateAPIKey(t.Context(), ann.p, key.ID, 3*time.Second)
	noError(t, err)
	b.verify(t, old)
	b.verify(t, second)
	b.clock.Advance(3 * time.Second)
	_, err = b.Verify(t.Context(), string(old))
	want(t, err, platform.KindUnauthenticated, "")
	_, third, err := b.RotateAPIKey(t.Context(), ann.p, key.ID, 0)
	noError(t, err)
	_, err = b.Verify(t.Context(), string(second))
	want(t, err, platform.KindUnauthenticated, "")
	b.verify(t, third)
	for _, grace := range []time.Duration{-1, user.MaxKeyGrace + 1} {
		_, _, err = b.RotateAPIKey(t.Context(), ann.p, key.ID, grace)
		want(t, err, platform.KindInvalid, "")
	}
}

// Who holds a key with an end gets none without one, however the new secret is
// asked for.
func TestAPIKeyRotateWithinItsEnd(t *testing.T) {
	b := open(t)
	ann := b.signUp(t, "ann@example.com")
	scopes := []string{"user.apiKeys.write", "data.*"}
	mortal, credential, err := b.CreateAPIKey(t.Context(), ann.p, user.NewAPIKey{Name: "ci", Scopes: scopes, ExpiresAt: b.clock.Now().Add(time.Hour)})
	noError(t, err)
	eternal, _, err := b.CreateAPIKey(t.Context(), ann.p, user.NewAPIKey{Name: "server", Scopes: []string{"data.*"}})
	noError(t, err)
	p := b.verify(t, credential)
	_, _, err = b.RotateAPIKey(t.Context(), p, eternal.ID, 0)
	want(t, err, platform.KindForbidden, "above_own_rights")
	_, next, err := b.RotateAPIKey(t.Context(), p, mortal.ID, 0)
	noError(t, err)
	b.verify(t, next)
	b.clock.Advance(time.Hour)
	_, err = b.Verify(t.Context(), string(next))
	want(t, err, platform.KindUnauthenticated, "")
}

// A key can do less as soon as its owner can.
func TestAPIKeyFollowsItsOwner(t *testing.T) {
	b := open(t)
	ann := b.signUp(t, "ann@example.com")
	ben, m := b.join(t, ann.p, "ben@example.com", user.RoleAdmin)
	_, credential, err := b.CreateAPIKey(t.Context(), ben, user.NewAPIKey{Name: "ci", Scopes: []string{"data.*"}})
	noError(t, err)
	noError(t, b.Authorize(t.Context(), b.verify(t, credential), "data.collections.write"))
	_, err = b.UpdateMember(t.Context(), ann.p, m.ID, roles(user.RoleViewer))
	noError(t, err)
	p := b.verify(t, credential)
	want(t, b.Authorize(t.Context(), p, "data.collections.write"), platform.KindForbidden, "")
	noError(t, b.Authorize(t.Context(), p, "data.records.read"))
	suspended := user.Suspended
	_, err = b.UpdateMember(t.Context(), ann.p, m.ID, user.MemberChange{Status: &suspended})
	noError(t, err)
	_, err = b.Verify(t.Context(), string(credential))
	want(t, err, platform.KindUnauthenticated, "")
}

func TestKeyPrefix(t *testing.T) {
	b := open(t, func(c *user.Config) { c.KeyPrefix = "acmekey" })
	ann := b.signUp(t, "ann@example.com")
	_, credential, err := b.CreateAPIKey(t.Context(), ann.p, user.NewAPIKey{Name: "ci", Scopes: []string{"data.*"}})
	if err != nil || !strings.HasPrefix(string(credential), "acmekey_") {
		t.Fatal(err)
	}
	b.verify(t, credential)
}

// A key that ends makes none that does not, and a scoped key cannot remove its
// owner.
func TestAPIKeyLimits(t *testing.T) {
	b := open(t)
	ann := b.signUp(t, "ann@example.com")
	b.join(t, ann.p, "ben@example.com", user.RoleOwner)
	end := b.clock.Now().Add(day)
	_, credential, err := b.CreateAPIKey(t.Context(), ann.p, user.NewAPIKey{Name: "ci", Scopes: []string{"user.*"}, ExpiresAt: end})
	noError(t, err)
	p := b.verify(t, credential)
	for at, ok := range map[time.Time]bool{{}: false, end.Add(1): false, end: true} {
		_, _, err := b.CreateAPIKey(t.Context(), p, user.NewAPIKey{Name: "child", Scopes: []string{"user.members.read"}, ExpiresAt: at})
		if ok != (err == nil) {
			t.Errorf("%v: %v", at, err)
		}
	}
	m, err := b.Member(t.Context(), ann.p, ann.p.Subject)
	noError(t, err)
	want(t, b.RemoveMember(t.Context(), p, m.ID), platform.KindForbidden, "own_membership")
}
