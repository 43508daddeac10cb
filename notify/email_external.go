package notify

import (
	"context"

	"github.com/acme/platform"
)

// permEmailsExternal is needed beside the permission of the route for e-mail to
// addresses that are no members'.
const permEmailsExternal = "notify.emails.external"

// Authorizer decides whether a principal may do what a permission names. It
// returns nil, or an error of [platform.KindForbidden] that names the
// permission.
type Authorizer interface {
	Authorize(ctx context.Context, p platform.Principal, permission string) error
}

// mayMailOutside refuses whoever may not send e-mail, under the host's name, to
// people who never asked for it.
func (s *Service) mayMailOutside(ctx context.Context, p platform.Principal) error {
	if s.cfg.Authorizer == nil || s.cfg.VerifiedSender == nil {
		return platform.Errorf(platform.KindForbidden, "external_emails_disabled",
			"this installation sends e-mail to members only; name them by /to/users, /to/roles or /to/everyone")
	}
	if err := s.cfg.Authorizer.Authorize(ctx, p, permEmailsExternal); err != nil {
		return err
	}
	verified, err := s.cfg.VerifiedSender(ctx, p)
	if err != nil {
		return err
	}
	if !verified {
		return platform.Errorf(platform.KindForbidden, "sender_not_verified",
			"e-mail to addresses that are no members' needs a sender whose own e-mail address is verified; accepting an invitation verifies it")
	}
	return nil
}
