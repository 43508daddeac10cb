package main

import (
	"context"
	"errors"

	"github.com/acme/platform"
	"github.com/acme/platform/notify"
	"github.com/acme/platform/user"
)

// directory tells notify who is in an organization.
type directory struct{ users *user.Service }

func (d directory) Recipients(ctx context.Context, tenant platform.TenantID, to notify.Audience) ([]notify.Recipient, error) {
	var members []user.Member
	if to.Everyone || len(to.Roles) > 0 {
		roles := to.Roles
		if to.Everyone {
			roles = nil
		}
		var err error
		if members, err = d.users.Members(ctx, platform.System(tenant, "notify"), roles...); err != nil {
			return nil, err
		}
	}
	for _, id := range to.Users {
		m, err := d.users.Member(ctx, platform.System(tenant, "notify"), id)
		if errors.Is(err, platform.ErrNotFound) {
			continue
		}
		if err != nil {
			return nil, err
		}
		members = append(members, m)
	}
	var found []notify.Recipient
	seen := make(map[string]bool)
	for _, m := range members {
		if !seen[m.UserID] && m.Status == user.Active {
			seen[m.UserID] = true
			found = append(found, notify.Recipient{ID: m.UserID, Email: m.Email, Name: m.Name})
		}
	}
	return found, nil
}

// verified reports whether whoever calls, or owns the key that does, has proved
// that mail to their address reaches them.
func (d directory) verified(ctx context.Context, p platform.Principal) (bool, error) {
	verified, err := d.users.EmailVerified(ctx, p.Subject)
	if errors.Is(err, platform.ErrNotFound) { // the call is no user's
		return false, nil
	}
	return verified, err
}

// rules hold for every organization, which can switch them off.
func rules() []notify.Rule {
	return []notify.Rule{{
		ID: "record-created", Name: "A record was created", Event: "data.record.created",
		Channels: []notify.Channel{notify.ChannelInbox},
		To:       notify.RuleAudience{Audience: notify.Audience{Roles: []string{"owner", "admin"}}},
		Title:    "A record was created in {{.data.collection}}",
		Body:     "Record {{.data.id}} was created in the collection {{.data.collection}}.",
	}}
}
