package user

import (
	"context"
	"errors"

	"github.com/acme/platform"
)

// FormatRefresh is the refresh token of a grant, or of a session from before grants.
func FormatRefresh(id string, secret, tagKey []byte) Secret { return formatRefresh(id, secret, tagKey) }

// Prove gives p's session new secrets after a further proof, as factors do.
func (s *Service) Prove(ctx context.Context, p platform.Principal, methods ...string) (in SignedIn, err error) {
	key, err := s.keys.signer(ctx)
	if err != nil {
		return in, err
	}
	err = s.inScope(ctx, p.Tenant, func(ctx context.Context, tx writer) error {
		if ok, err := lockOpen(ctx, tx, p.Tenant, p.Subject); err != nil || !ok {
			return errors.Join(err, errNotMember())
		}
		e, err := s.renew(ctx, tx, renewal{
			session: p.Credential, user: p.Subject, tenant: p.Tenant, proof: &signIn{at: s.now(), methods: methods},
		})
		if err != nil {
			return err
		}
		in, err = s.welcome(key, e)
		return err
	})
	return in, err
}

// Internals of browsers for tests.
var (
	NameOfAgent = nameOfAgent
	IsLoopback  = isLoopback
)
