package user

import (
	"context"
	"encoding/json"

	"github.com/acme/platform"
)

// The data of the events that the documentation of the package lists.

type signedUpEvent struct {
	UserID       string `json:"user_id"`
	Email        string `json:"email"`
	Name         string `json:"name"`
	Organization string `json:"organization"`
}

type organizationEvent struct {
	Organization string `json:"organization"`
	Name         string `json:"name"`
	UserID       string `json:"user_id"`
}

type statusEvent struct {
	Organization string `json:"organization"`
}

type memberEvent struct {
	MembershipID string   `json:"membership_id"`
	UserID       string   `json:"user_id"`
	Roles        []string `json:"roles,omitempty"`
	Status       string   `json:"status,omitempty"`
	InvitationID string   `json:"invitation_id,omitempty"`
}

type invitationEvent struct {
	InvitationID string   `json:"invitation_id"`
	Email        string   `json:"email"`
	Roles        []string `json:"roles"`
	InvitedBy    string   `json:"invited_by"`
}

type roleEvent struct {
	RoleID      string   `json:"role_id"`
	Name        string   `json:"name"`
	Change      string   `json:"change"`
	Permissions []string `json:"permissions"`
	Parents     []string `json:"parents,omitempty"`
}

type teamEvent struct {
	TeamID string   `json:"team_id"`
	Name   string   `json:"name"`
	Change string   `json:"change"`
	Roles  []string `json:"roles"`
}

type teamMemberEvent struct {
	TeamID       string `json:"team_id"`
	MembershipID string `json:"membership_id"`
	UserID       string `json:"user_id"`
	Change       string `json:"change"`
}

type ruleEvent struct {
	RuleID     string `json:"rule_id"`
	Change     string `json:"change"`
	Role       string `json:"role,omitempty"`
	TeamID     string `json:"team_id,omitempty"`
	Permission string `json:"permission"`
	Effect     string `json:"effect"`
	Type       string `json:"resource_type,omitempty"`
	ID         string `json:"resource_id,omitempty"`
}

type keyEvent struct {
	KeyID  string `json:"key_id"`
	Name   string `json:"name"`
	UserID string `json:"user_id"`
}

type sessionEvent struct {
	SessionID string `json:"session_id"`
	UserID    string `json:"user_id"`
}

type factorEvent struct {
	UserID string `json:"user_id"`
	Factor string `json:"factor"`
}

type recoveryCodeEvent struct {
	UserID string `json:"user_id"`
	Left   int    `json:"left"`
}

type policyEvent struct {
	Organization  string `json:"organization"`
	RequireFactor bool   `json:"require_factor"`
}

type emailEvent struct {
	UserID string `json:"user_id"`
}

// limitsEvent has the limits in seconds; 0 is the host's.
type limitsEvent struct {
	Organization string `json:"organization"`
	SessionIdle  int64  `json:"session_idle"`
	SessionMax   int64  `json:"session_max"`
}

type userEvent struct {
	UserID string `json:"user_id"`
}

// byPerson is the principal of an event that a user causes without one, as by
// signing up.
func byPerson(user string) platform.Principal { return platform.Principal{Subject: user} }

// emit adds an event to the transaction's outbox.
func (s *Service) emit(ctx context.Context, tx writer, tenant platform.TenantID, kind, subject string, by platform.Principal, data any) error {
	raw, err := json.Marshal(data)
	if err != nil {
		return err
	}
	actor, onBehalfOf := by.Attribution()
	return tx.Emit(ctx, platform.Event{
		ID: s.newID("evt"), Source: "/user", Type: kind, Tenant: tenant,
		Subject: subject, Time: s.now().UTC(), Actor: actor, OnBehalfOf: onBehalfOf, Data: raw,
	})
}
