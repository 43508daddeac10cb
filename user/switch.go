package user

import (
	"context"

	"github.com/acme/platform"
	"github.com/acme/platform/store"
	"github.com/acme/platform/store/idempotency"
)

// Switch leads the user's session to another of their organizations: it goes on,
// with new secrets. Of one that is held in tokens they are of that organization
// alone, and those of others work on; a second switch to an organization replaces
// its refresh token. A cookie gets a new value, for which the present one must be
// in the request that ctx carries ([WithRequest]). The session ends as before:
// switching does not prolong it. Where the organization's limits keep the session
// out, the error is [platform.Reauthenticate].
func (s *Service) Switch(ctx context.Context, p platform.Principal, organization platform.TenantID, keys ...*platform.IdempotencyKey) (SignedIn, error) {
	if p.Kind != platform.PrincipalUser {
		return SignedIn{}, errUserNeeded()
	}
	// A name that no organization can have gets the answer of one that the
	// user is not in.
	if organization.Validate() != nil {
		return SignedIn{}, errNotMember()
	}
	key, err := s.keys.signer(ctx)
	if err != nil {
		return SignedIn{}, err
	}
	call, err := s.repeats.Call(ctx, idempotency.Only(keys), p, "auth.switch", organization)
	if err != nil {
		return SignedIn{}, err
	}
	var (
		out      keptSignedIn
		replayed bool
	)
	err = s.db.InTenant(ctx, organization, func(ctx context.Context, tx store.Tx) error {
		var err error
		if replayed, err = call.Begin(ctx, tx, &out); err != nil {
			return err
		}
		if ok, err := lockOpen(ctx, tx, organization, p.Subject); err != nil {
			return err
		} else if !ok {
			return errNotMember()
		}
		r := renewal{session: p.Credential, user: p.Subject, tenant: organization}
		if replayed { // a session that has ended since gets nothing
			_, _, err := s.living(ctx, tx, r)
			return err
		}
		e, err := s.renew(ctx, tx, r)
		if err != nil {
			return err
		}
		if err := s.record(ctx, tx, organization, byUser(p.Subject, e.session), "session.switched", e.session, nil); err != nil {
			return err
		}
		in, err := s.welcome(key, e)
		if err != nil {
			return err
		}
		out = keepSignedIn(in)
		return call.Keep(ctx, tx, out)
	}, store.Reserved)
	if err != nil {
		return SignedIn{}, err
	}
	if out.Cookie != nil && !replayed {
		s.changed(ctx, credentialKey(p.Credential))
	}
	return out.signedIn(), nil
}
