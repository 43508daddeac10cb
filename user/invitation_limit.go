package user

import (
	"context"
	"time"

	"github.com/acme/platform"
)

// An invitation sends mail to whom the inviter names. These limits keep that
// from being used on people: a stranger's mailbox, and strangers at all.
const (
	// invitesToAddress is how often an organization may invite one address
	// in an hour, so that a mail that got lost can be sent again.
	invitesToAddress = 5
	// invitesByUser is how many one user may make in a day, in all of their
	// organizations together: organizations cost nothing.
	invitesByUser = 200
)

// inviteCount is a counter of invitations.
type inviteCount struct {
	tenant platform.TenantID
	key    string
	most   int64
	window time.Duration
}

func inviteCounts(p platform.Principal, email string) []inviteCount {
	return []inviteCount{
		{p.Tenant, "user.invite.to:" + digest(email), invitesToAddress, time.Hour},
		{platform.NoTenant, "user.invite.by:" + p.Subject, invitesByUser, day},
	}
}

// countInvitation counts an invitation before it is made, so that parallel
// ones count, and refuses it with KindLimited beyond the limits. The host's own
// principals have none.
func (s *Service) countInvitation(ctx context.Context, p platform.Principal, email string) error {
	if p.Kind == platform.PrincipalSystem {
		return nil
	}
	for i, c := range inviteCounts(p, email) {
		n, left, err := s.cfg.Cache.Increment(ctx, c.tenant, c.key, 1, c.window)
		if err != nil {
			return err
		}
		if n > c.most {
			s.uncount(ctx, inviteCounts(p, email)[:i+1])
			return &platform.Error{
				Kind: platform.KindLimited, Code: "too_many_invitations",
				Message: "too many invitations; wait and try again", RetryAfter: left,
			}
		}
	}
	return nil
}

// uncountInvitation takes back what was counted for one that was not made.
func (s *Service) uncountInvitation(ctx context.Context, p platform.Principal, email string) {
	if p.Kind != platform.PrincipalSystem {
		s.uncount(ctx, inviteCounts(p, email))
	}
}

// uncount is best effort: a count that stays lowers a limit for a while.
func (s *Service) uncount(ctx context.Context, counts []inviteCount) {
	for _, c := range counts {
		_, _, _ = s.cfg.Cache.Increment(context.WithoutCancel(ctx), c.tenant, c.key, -1, c.window)
	}
}
