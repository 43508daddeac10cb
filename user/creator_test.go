package user_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/acme/platform"
	"github.com/acme/platform/internal/test/testdb"
	"github.com/acme/platform/store"
	"github.com/acme/platform/user"
)

// planned gives every tenant the limits.
func planned(l platform.Limits) func(*user.Config) {
	return func(c *user.Config) {
		c.Limits = func(context.Context, platform.TenantID) (platform.Limits, error) { return l, nil }
	}
}

// A user creates as many organizations as the plan says, in parallel too, and
// one user's are not another's.
func TestOrganizationsHaveALimit(t *testing.T) {
	b := open(t, planned(platform.Limits{Organizations: 4}))
	ann, ben := b.signUp(t, "ann@example.com"), b.signUp(t, "ben@example.com")
	var (
		wg   sync.WaitGroup
		made atomic.Int64
	)
	for i := range 12 {
		wg.Go(func() {
			_, err := b.CreateOrganization(t.Context(), ann.p, fmt.Sprint("Number ", i))
			if err == nil {
				made.Add(1)
			} else {
				want(t, err, platform.KindForbidden, "limit_exceeded")
			}
		})
	}
	wg.Wait()
	if made.Load() != 3 { // the fourth is that of the sign-up
		t.Errorf("%d were made", made.Load())
	}
	if n := b.count(t, "user_organizations"); n != 5 {
		t.Errorf("%d organizations in the store", n)
	}
	_, err := b.CreateOrganization(t.Context(), ben.p, "Ben's second")
	noError(t, err)
	usage, err := b.Usage(t.Context(), ann.p.Tenant)
	noError(t, err)
	if usage[1] != (platform.Usage{Name: "organizations", Used: 4, Limit: 4}) {
		t.Errorf("usage %+v", usage)
	}
}

func TestOrganizationsWithoutLimit(t *testing.T) {
	b := open(t, planned(platform.Limits{Organizations: -1}))
	ann := b.signUp(t, "ann@example.com")
	for i := range 12 {
		_, err := b.CreateOrganization(t.Context(), ann.p, fmt.Sprint("Number ", i))
		noError(t, err)
	}
}

// A host whose plans fail has nobody create anything.
func TestPlansFail(t *testing.T) {
	failing := errors.New("no plans today")
	b := open(t, func(c *user.Config) {
		c.Limits = func(context.Context, platform.TenantID) (platform.Limits, error) { return platform.Limits{}, failing }
	})
	ann := b.signUp(t, "ann@example.com")
	if _, err := b.CreateOrganization(t.Context(), ann.p, "Second"); !errors.Is(err, failing) {
		t.Errorf("created: %v", err)
	}
	if _, _, err := b.Invite(t.Context(), ann.p, user.NewInvitation{Email: "ben@example.com", Roles: []string{"member"}}); !errors.Is(err, failing) {
		t.Errorf("invited: %v", err)
	}
	if _, err := b.Limits(func(context.Context, platform.TenantID) (platform.Limits, error) { return platform.Limits{}, failing })(t.Context(), "x"); !errors.Is(err, failing) {
		t.Errorf("shared: %v", err)
	}
}

// Members and open invitations are bounded together.
func TestMembersHaveALimit(t *testing.T) {
	limit := int64(3)
	b := open(t, func(c *user.Config) {
		c.Limits = func(context.Context, platform.TenantID) (platform.Limits, error) {
			return platform.Limits{Members: limit}, nil
		}
	})
	ann := b.signUp(t, "ann@example.com")
	invite := func(email string) (user.Secret, error) {
		_, token, err := b.Invite(t.Context(), ann.p, user.NewInvitation{Email: email, Roles: []string{"member"}})
		return token, err
	}
	var (
		wg   sync.WaitGroup
		made atomic.Int64
	)
	for i := range 8 {
		wg.Go(func() {
			if _, err := invite(fmt.Sprintf("p%d@example.com", i)); err == nil {
				made.Add(1)
			} else {
				want(t, err, platform.KindForbidden, "limit_exceeded")
			}
		})
	}
	wg.Wait()
	if made.Load() != 2 {
		t.Fatalf("%d invitations beside the owner", made.Load())
	}
	open, _, err := b.Invitations(t.Context(), ann.p, 0, "")
	noError(t, err)
	// The same address again takes no further place.
	token, err := invite(open[0].Email)
	noError(t, err)
	guest := b.signUp(t, open[0].Email)
	limit = 1 // a smaller plan since then
	_, _, err = b.AcceptInvitation(t.Context(), guest.p, token)
	want(t, err, platform.KindForbidden, "limit_exceeded")
	limit = 2
	_, _, err = b.AcceptInvitation(t.Context(), guest.p, token)
	noError(t, err)
	usage, err := b.Usage(t.Context(), ann.p.Tenant)
	noError(t, err)
	if usage[0] != (platform.Usage{Name: "members", Used: 3, Limit: 2}) {
		t.Errorf("usage %+v", usage)
	}
	// What has expired holds no place.
	limit = 3
	b.clock.Advance(8 * 24 * 3600e9)
	_, err = invite("late@example.com")
	noError(t, err)
}

// The organizations of one creator have one share; a plan's share and a tenant
// that nobody created keep their own; who created is read once.
func TestShareIsTheCreators(t *testing.T) {
	b := open(t)
	ann, ben := b.signUp(t, "ann@example.com"), b.signUp(t, "ben@example.com")
	second, err := b.CreateOrganization(t.Context(), ann.p, "Second")
	noError(t, err)
	b.join(t, ann.p, "cy@example.com", "owner") // who comes later changes nothing
	db := &reading{DB: b.db}
	limits := user.ShareByCreator(db, func(_ context.Context, tenant platform.TenantID) (platform.Limits, error) {
		if tenant == "partner" {
			return platform.Limits{Share: "partners", Streams: 7}, nil
		}
		return platform.Limits{Streams: 5}, nil
	})
	for range 3 {
		for tenant, share := range map[platform.TenantID]string{
			ann.p.Tenant: ann.User.ID, second.ID: ann.User.ID, ben.p.Tenant: ben.User.ID,
			"host": "host", "partner": "partners", platform.NoTenant: string(platform.NoTenant),
		} {
			l, err := limits.Of(t.Context(), tenant)
			if err != nil || l.Share != share || l.Streams < 5 {
				t.Errorf("%s: %+v, %v, want %s", tenant, l, err, share)
			}
		}
	}
	if n := db.reads.Load(); n != 4 {
		t.Errorf("%d reads", n)
	}
	l, err := b.Limits(nil).Of(t.Context(), second.ID)
	if err != nil || l.Share != ann.User.ID || l.Members != platform.DefaultLimits().Members {
		t.Errorf("without plans: %+v, %v", l, err)
	}
	cancelled, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := b.Limits(nil)(cancelled, second.ID); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
}

// reading counts the reads of single rows.
type reading struct {
	testdb.DB
	reads atomic.Int64
}

func (r *reading) ReadRow(ctx context.Context, tenant platform.TenantID, query string, args []any, dest ...any) error {
	r.reads.Add(1)
	return store.ReadRow(ctx, r.DB, tenant, query, args, dest...)
}
