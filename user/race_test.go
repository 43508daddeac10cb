package user_test

import (
	"context"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/acme/platform"
	"github.com/acme/platform/store"
	"github.com/acme/platform/user"
)

// pausing is a cache that has something happen when the throttle forgets the
// failures of an account: after the password was found right, before anything
// is written.
type pausing struct {
	store.Cache
	once func()
}

func (c *pausing) Delete(ctx context.Context, tenant platform.TenantID, keys ...string) error {
	if f := c.once; f != nil {
		c.once = nil
		f()
	}
	return c.Cache.Delete(ctx, tenant, keys...)
}

func openPausing(t *testing.T) (*bundle, *pausing) {
	t.Helper()
	cache := &pausing{}
	return open(t, func(c *user.Config) { cache.Cache, c.Cache = c.Cache, cache }), cache
}

// A new password ends all sessions. A login with the old one that is under way
// meanwhile must not leave another.
func TestPasswordChangesDuringLogIn(t *testing.T) {
	b, cache := openPausing(t)
	ann := b.signUp(t, "ann@example.com")
	password := user.Secret("another good one 77")
	cache.once = func() {
		b.clock.Advance(time.Second)
		_, err := b.UpdateMe(t.Context(), ann.p, user.MeChange{Password: &password, CurrentPassword: goodPassword})
		noError(t, err)
	}
	_, err := b.LogIn(t.Context(), user.LogIn{Email: "ann@example.com", Password: goodPassword})
	want(t, err, platform.KindUnauthenticated, "invalid_credentials")
	if living, _, err := b.Sessions(t.Context(), ann.p, 0, ""); err != nil || len(living) != 1 {
		t.Errorf("sessions %+v, %v", living, err)
	}
}

// Of two changes that were proved with the same password, the later writer
// must not undo the first: it may be the thief's.
func TestPasswordChangesDuringChange(t *testing.T) {
	b, cache := openPausing(t)
	ann := b.signUp(t, "ann@example.com")
	stolen, err := b.LogIn(t.Context(), user.LogIn{Email: "ann@example.com", Password: goodPassword})
	noError(t, err)
	thief := b.verify(t, stolen.Access)
	owners, thiefs := user.Secret("another good one 77"), user.Secret("the thief was here 1")
	cache.once = func() {
		b.clock.Advance(time.Second)
		_, err := b.UpdateMe(t.Context(), ann.p, user.MeChange{Password: &owners, CurrentPassword: goodPassword})
		noError(t, err)
	}
	_, err = b.UpdateMe(t.Context(), thief, user.MeChange{Password: &thiefs, CurrentPassword: goodPassword})
	want(t, err, platform.KindConflict, "password_changed")
	_, err = b.LogIn(t.Context(), user.LogIn{Email: "ann@example.com", Password: owners})
	noError(t, err)
	b.verify(t, ann.Tokens.Access)
}

// Whoever sees that a counter has moved must see that the total has: what was
// read before the change and stamped after it is known by the total alone.
func TestTotalMovesFirst(t *testing.T) {
	e := user.NewVersions()
	var done atomic.Bool
	var writer sync.WaitGroup
	writer.Go(func() {
		for !done.Load() {
			e.Raise("k")
		}
	})
	defer writer.Wait()
	defer done.Store(true)
	for range 200_000 {
		raises := e.Raises("k")
		if total := e.Total(); total < raises {
			t.Fatalf("%d raises of the counter, %d in all", raises, total)
		}
	}
}
