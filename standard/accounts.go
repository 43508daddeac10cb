package standard

import (
	"context"
	"errors"

	"github.com/acme/platform"
	"github.com/acme/platform/gateway"
	"github.com/acme/platform/notify"
	"github.com/acme/platform/store"
	"github.com/acme/platform/user"
)

// Accounts is what the platform needs to know of people: who calls, what they
// may do, and whom a message reaches. Package user is one; a host that has
// accounts of its own implements it in place of that.
//
// The platform uses what more the value offers: it starts, stops and serves one
// that is a [platform.Module]; asks a [platform.Suspensions] whose work rests;
// lets those send e-mail to strangers whom a [VerifiedSender] knows; takes
// each tenant's limits from a [Sharer]; and tells an [Auditor] what operators do.
type Accounts interface {
	// Authenticators find out who calls, in this order.
	Authenticators() []gateway.Authenticator
	// Authorizer decides what a caller may do.
	gateway.Authorizer
	// Directory tells whom a message to a tenant's people reaches.
	notify.Directory
}

// VerifiedSender is an [Accounts] that knows who has proved that mail to their
// address reaches them.
type VerifiedSender interface {
	VerifiedSender(ctx context.Context, p platform.Principal) (bool, error)
}

// Auditor is an [Accounts] that keeps an audit, which notes what operators do to a
// tenant in the other services.
type Auditor interface {
	RecordOperator(ctx context.Context, tx store.Tx, p platform.Principal, operation, target string) error
}

// Sharer is an [Accounts] that knows which tenants belong together: those of one
// share have what runs at once in common.
type Sharer interface {
	Limits(plans platform.LimitsFunc) platform.LimitsFunc
}

// People makes a user service the [Accounts] of a platform.
type People struct{ *user.Service }

var (
	_ Accounts             = People{}
	_ VerifiedSender       = People{}
	_ Sharer               = People{}
	_ Auditor              = People{}
	_ platform.Suspensions = People{}
)

// Authenticators implements [Accounts]: access tokens and API keys, then session
// cookies.
func (p People) Authenticators() []gateway.Authenticator {
	return append(gateway.Credentials(p.Service), gateway.Cookie(p.Cookie()))
}

// Recipients implements [notify.Directory]: the active members.
func (p People) Recipients(ctx context.Context, tenant platform.TenantID, to notify.Audience) ([]notify.Recipient, error) {
	system := platform.System(tenant, "notify")
	var members []user.Member
	if to.Everyone || len(to.Roles) > 0 {
		roles := to.Roles
		if to.Everyone {
			roles = nil
		}
		var err error
		if members, err = p.Members(ctx, system, roles...); err != nil {
			return nil, err
		}
	}
	for _, id := range to.Users {
		m, err := p.Member(ctx, system, id)
		if errors.Is(err, platform.ErrNotFound) {
			continue
		}
		if err != nil {
			return nil, err
		}
		members = append(members, m)
	}
	var found []notify.Recipient
	seen := make(map[string]bool, len(members))
	for _, m := range members {
		if !seen[m.UserID] && m.Status == user.Active {
			seen[m.UserID] = true
			found = append(found, notify.Recipient{ID: m.UserID, Email: m.Email, Name: m.Name})
		}
	}
	return found, nil
}

// VerifiedSender implements [VerifiedSender] for whoever calls, or owns the key
// that does.
func (p People) VerifiedSender(ctx context.Context, caller platform.Principal) (bool, error) {
	verified, err := p.EmailVerified(ctx, caller.Subject)
	if errors.Is(err, platform.ErrNotFound) { // the call is no user's
		return false, nil
	}
	return verified, err
}
