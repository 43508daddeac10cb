package user

import (
	"context"
	"strings"
	"time"

	"github.com/acme/platform"
	"github.com/acme/platform/store"
)

// SignedIn is what every way in returns: a password, a link or a code by e-mail,
// a passkey, the acceptance of an invitation.
type SignedIn struct {
	// UserID is the id of the person.
	UserID string
	// Tokens hold the session; of one that is held in a cookie they have the ids
	// alone, and they are empty where Pending is set.
	Tokens
	// Cookie holds the session where that was asked for ([CookieSession]); nil
	// elsewhere.
	Cookie *Cookie
	// Pending is the half-done sign-in of a person who must show a second factor,
	// see [Service.VerifyFactor]; nil where a session was opened.
	Pending *PendingSignIn
	// RecoveryCodes come with a first factor that this sign-in has added; they are
	// shown this once.
	RecoveryCodes []Secret
}

// arrival is a person who has proved who they are and has no session yet.
type arrival struct {
	user string
	// wanted is the organization to sign in to; "" leaves the choice to openTo.
	wanted platform.TenantID
	signIn signIn
	// tell records what the sign-in has changed besides; nil is nothing.
	tell tellFunc
	// kind is how the client holds the session; "" is in tokens.
	kind SessionKind
}

// entry is an open session, or a half-done sign-in, that its holder has not been
// told of.
type entry struct {
	arrival
	tenant  platform.TenantID
	pending *PendingSignIn // without a session where it is set
	session string
	ends    time.Time
	refresh Secret // of a session that is held in tokens
	cookie  Secret // of one that is held in a cookie
	// replaced is the session of the same person that the browser had before.
	replaced string
}

// detail is what the audit says of an entry.
func (e entry) detail() map[string]string {
	detail := map[string]string{"methods": strings.Join(e.signIn.methods, " ")}
	if e.replaced != "" {
		detail["replaced"] = e.replaced
	}
	return detail
}

// admit opens a session for a person who has proved who they are. Every way in
// ends here, so that what a sign-in needs besides its proof is asked for in one
// place. It locks the account and the membership; spend then uses the proof up in
// the same transaction, or refuses one that has changed meanwhile.
func (s *Service) admit(ctx context.Context, a arrival, spend func(ctx context.Context, tx writer) error) (SignedIn, error) {
	tenant, err := s.openTo(ctx, a.user, a.wanted)
	if err != nil {
		return SignedIn{}, err
	}
	key, err := s.keys.signer(ctx)
	if err != nil {
		return SignedIn{}, err
	}
	var e entry
	err = s.inScope(ctx, tenant, func(ctx context.Context, tx writer) error {
		if ok, err := lockOpen(ctx, tx, tenant, a.user); err != nil {
			return err
		} else if !ok {
			return errNotMember()
		}
		if err := spend(ctx, tx); err != nil {
			return err
		}
		if e, err = s.enter(ctx, tx, tenant, a); err != nil {
			return err
		}
		return s.noteEntry(ctx, tx, e)
	})
	if err != nil {
		return SignedIn{}, err
	}
	return s.welcome(key, e)
}

// noteEntry records a sign-in.
func (s *Service) noteEntry(ctx context.Context, tx writer, e entry) error {
	by := byUser(e.user, e.session)
	if e.pending != nil {
		return s.record(ctx, tx, e.tenant, by, "login.factor_asked", e.user, nil)
	}
	if err := s.record(ctx, tx, e.tenant, by, "login.succeeded", e.user, e.detail()); err != nil || e.tell == nil {
		return err
	}
	return e.tell(ctx, tx, e.tenant, by)
}

// enter opens the session of an arrival in a transaction that has locked the
// account and the membership, or has made them. Where a second factor must be
// shown it opens none: this is the only place where that is decided.
func (s *Service) enter(ctx context.Context, tx writer, tenant platform.TenantID, a arrival) (entry, error) {
	if err := s.checkKind(ctx, a.kind); err != nil {
		return entry{}, err
	}
	if pending, err := s.factorAsked(ctx, tx, tenant, a); err != nil || pending != nil {
		return entry{arrival: a, tenant: tenant, pending: pending}, err
	}
	e, err := s.openSession(ctx, tx, tenant, a)
	if err != nil {
		return entry{}, err
	}
	if err := rememberOrganization(ctx, tx, a.user, tenant); err != nil {
		return entry{}, err
	}
	return e, s.rememberDevice(ctx, tx, a.user, s.now())
}

// welcome is what the holder of a session with new secrets is told.
func (s *Service) welcome(key signingKey, e entry) (SignedIn, error) {
	if e.pending != nil {
		return SignedIn{UserID: e.user, Pending: e.pending}, nil
	}
	if e.kind == CookieSession {
		return SignedIn{
			UserID: e.user, Tokens: Tokens{Organization: named(e.tenant), Session: e.session},
			Cookie: &Cookie{Name: s.cookieName, Value: e.cookie, Ends: e.ends},
		}, nil
	}
	tokens, err := s.tokens(key, e)
	return SignedIn{UserID: e.user, Tokens: tokens}, err
}

// inScope runs fn in a transaction of the tenant, or in one of the installation
// for a person who is in no organization.
func (s *Service) inScope(ctx context.Context, tenant platform.TenantID, fn func(context.Context, writer) error) error {
	if tenant == platform.NoTenant {
		return s.db.AcrossTenants(ctx, s.cross.account, func(ctx context.Context, tx store.CrossTx) error { return fn(ctx, tx) }, store.Reserved)
	}
	return s.db.InTenant(ctx, tenant, func(ctx context.Context, tx store.Tx) error { return fn(ctx, tx) }, store.Reserved)
}
