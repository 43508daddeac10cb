package user

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/acme/platform"
	"github.com/acme/platform/store"
	"github.com/acme/platform/store/idempotency"
)

// AccessRule allows or denies something to those who have a role, through others
// too, or are in a team. One that denies wins over all that allow; to an owner
// nothing is denied. It never changes: another one takes its place.
type AccessRule struct {
	ID string // "rul_…"
	// Role is the name of a role, or Team the id of a team.
	Role string
	Team string
	// Permission is a permission or a pattern of some, such as "data.*".
	Permission string
	Effect     Effect
	// Resource limits the rule to a type, or to one resource. Its zero value is
	// no limit. The type must be one of Config.ResourceTypes, or nothing would
	// ever ask for it and the rule would seem to act.
	Resource    Resource
	Description string
	CreatedBy   string // the id of a user; "" for the host
	CreatedAt   time.Time
}

// NewAccessRule is a rule to be made, with a Role that is not owner, or a Team.
type NewAccessRule struct {
	Role, Team  string
	Permission  string
	Effect      Effect
	Resource    Resource
	Description string // up to 500 characters
}

// maxAccessRules bounds the rules of an organization.
const maxAccessRules = 200

// AccessRules returns the rules of the organization, the oldest first; those that
// roles list as their permissions are not among them. The principal needs
// "user.roles.read".
func (s *Service) AccessRules(ctx context.Context, p platform.Principal) ([]AccessRule, error) {
	return readAs(ctx, s, p, permRolesRead, func(ctx context.Context, tx store.Tx) ([]AccessRule, error) {
		return accessRules(ctx, tx, p.Tenant)
	})
}

// AccessRule returns a rule by its id. The principal needs "user.roles.read".
func (s *Service) AccessRule(ctx context.Context, p platform.Principal, id string) (AccessRule, error) {
	return readAs(ctx, s, p, permRolesRead, func(ctx context.Context, tx store.Tx) (AccessRule, error) {
		return accessRuleByID(ctx, tx, p.Tenant, id)
	})
}

// CreateAccessRule makes a rule. Nobody allows or denies what they do not have.
// The principal needs "user.roles.write".
func (s *Service) CreateAccessRule(ctx context.Context, p platform.Principal, in NewAccessRule, keys ...*platform.IdempotencyKey) (AccessRule, error) {
	if err := s.Authorize(ctx, p, permRolesWrite); err != nil {
		return AccessRule{}, err
	}
	if err := s.checkAccessRule(in); err != nil {
		return AccessRule{}, err
	}
	call, err := s.repeats.Call(ctx, idempotency.Only(keys), p, "accessRules.create", in)
	if err != nil {
		return AccessRule{}, err
	}
	var rule AccessRule
	err = s.db.InTenant(ctx, p.Tenant, func(ctx context.Context, tx store.Tx) error {
		replayed, err := call.Begin(ctx, tx, &rule)
		if err != nil {
			return err
		}
		rights, err := s.lockRights(ctx, tx, p)
		if err != nil {
			return err
		}
		if !rights.cover([]string{in.Permission}) {
			return errAboveOwn()
		}
		if replayed {
			return nil
		}
		if in.Role != "" && !rights.rules.hasRole(in.Role) {
			return field("/role", "unknown", "must be the name of a role of the organization")
		}
		if in.Team != "" && !rights.rules.hasTeam(in.Team) {
			return field("/team", "unknown", "must be the id of a team of the organization")
		}
		all, err := accessRules(ctx, tx, p.Tenant)
		if err != nil {
			return err
		}
		if len(all) >= maxAccessRules {
			return platform.Errorf(platform.KindConflict, "too_many_rules", "an organization has at most %d access rules", maxAccessRules)
		}
		rule = AccessRule{
			ID: s.newID("rul"), Role: in.Role, Team: in.Team, Permission: in.Permission, Effect: in.Effect,
			Resource: Resource{Type: in.Resource.Type, ID: in.Resource.ID}, Description: in.Description,
			CreatedBy: p.Subject, CreatedAt: fromMicros(micros(s.now())),
		}
		if p.Kind == platform.PrincipalSystem {
			rule.CreatedBy = ""
		}
		if _, err := tx.Exec(ctx, `INSERT INTO user_access_rules (tenant, id, subject, permission, effect, resource_type, resource_id,
			description, created_by, created_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
			string(p.Tenant), rule.ID, string(rule.subject()), rule.Permission, string(rule.Effect), rule.Resource.Type, rule.Resource.ID,
			rule.Description, rule.CreatedBy, micros(rule.CreatedAt)); err != nil {
			return err
		}
		if err := s.accessRuleChanged(ctx, tx, p, "access_rule.created", rule); err != nil {
			return err
		}
		return call.Keep(ctx, tx, rule)
	})
	if err != nil {
		return AccessRule{}, err
	}
	s.changed(ctx, tenantKey(p.Tenant))
	return rule, nil
}

// DeleteAccessRule removes a rule. Nobody removes one about what they do not have:
// so one that denies them something too. The principal needs "user.roles.write".
func (s *Service) DeleteAccessRule(ctx context.Context, p platform.Principal, id string) error {
	if err := s.Authorize(ctx, p, permRolesWrite); err != nil {
		return err
	}
	err := s.db.InTenant(ctx, p.Tenant, func(ctx context.Context, tx store.Tx) error {
		rights, err := s.lockRights(ctx, tx, p)
		if err != nil {
			return err
		}
		rule, err := accessRuleByID(ctx, tx, p.Tenant, id)
		if err != nil {
			return err
		}
		if !rights.cover([]string{rule.Permission}) {
			return errAboveOwn()
		}
		if _, err := tx.Exec(ctx, `DELETE FROM user_access_rules WHERE tenant = ? AND id = ?`, string(p.Tenant), id); err != nil {
			return err
		}
		return s.accessRuleChanged(ctx, tx, p, "access_rule.deleted", rule)
	})
	if err != nil {
		return err
	}
	s.changed(ctx, tenantKey(p.Tenant))
	return nil
}

func (s *Service) checkAccessRule(in NewAccessRule) error {
	fields := checkDescription(in.Description)
	add := func(path, code, detail string) {
		fields = append(fields, platform.Field{Path: path, Code: code, Detail: detail})
	}
	if (in.Role == "") == (in.Team == "") {
		add("/role", "required", "a role or a team, not both")
	}
	if in.Role == RoleOwner {
		add("/role", "owner", "no rule is about owners: they may do everything")
	}
	if !validPattern(in.Permission) {
		add("/permission", "format", `a permission is like "data.records.read", "data.*" or "*"`)
	}
	if in.Effect != Allow && in.Effect != Deny {
		add("/effect", "unknown", "allow or deny")
	}
	if in.Resource.validate() != nil || len(in.Resource.Attributes) > 0 {
		add("/resource", "format", "a type, and perhaps an id of up to 200 bytes")
	} else if t := in.Resource.Type; t != "" && !slices.Contains(s.cfg.ResourceTypes, t) {
		add("/resource/type", "unknown", "must be a type that this installation asks for")
	}
	if fields != nil {
		return platform.Invalid(fields...)
	}
	return nil
}

// accessRuleChanged writes the audit record and the event.
func (s *Service) accessRuleChanged(ctx context.Context, tx store.Tx, p platform.Principal, action string, r AccessRule) error {
	if err := s.record(ctx, tx, p.Tenant, byPrincipal(p), action, r.ID, map[string]string{
		"role": r.Role, "team": r.Team, "permission": r.Permission, "effect": string(r.Effect),
		"resource_type": r.Resource.Type, "resource_id": r.Resource.ID,
	}); err != nil {
		return err
	}
	return s.emit(ctx, tx, p.Tenant, "user.access_rule.changed", r.ID, p, ruleEvent{
		RuleID: r.ID, Change: strings.TrimPrefix(action, "access_rule."), Role: r.Role, TeamID: r.Team,
		Permission: r.Permission, Effect: string(r.Effect), Type: r.Resource.Type, ID: r.Resource.ID,
	})
}

func (r AccessRule) subject() subject {
	if r.Team != "" {
		return teamSubject(r.Team)
	}
	return roleSubject(r.Role)
}

// policy is the rule as decisions see it.
func (r AccessRule) policy() policyRule {
	return policyRule{id: r.ID, subject: r.subject(), pattern: r.Permission, effect: r.Effect, scope: scope{r.Resource.Type, r.Resource.ID}}
}

const accessRuleColumns = `id, subject, permission, effect, resource_type, resource_id, description, created_by, created_at`

func scanAccessRule(row scanner) (AccessRule, error) {
	var (
		r       AccessRule
		about   subject
		created int64
	)
	err := row.Scan(&r.ID, &about, &r.Permission, &r.Effect, &r.Resource.Type, &r.Resource.ID, &r.Description, &r.CreatedBy, &created)
	r.CreatedAt = fromMicros(created)
	if name, isRole := about.role(); isRole {
		r.Role = name
	} else {
		r.Team = about.team()
	}
	return r, err
}

func accessRuleByID(ctx context.Context, tx store.Tx, tenant platform.TenantID, id string) (AccessRule, error) {
	r, err := scanAccessRule(tx.QueryRow(ctx, `SELECT `+accessRuleColumns+` FROM user_access_rules WHERE tenant = ? AND id = ?`, string(tenant), id))
	return r, notFound(err, "access rule")
}

func accessRules(ctx context.Context, tx store.Tx, tenant platform.TenantID) ([]AccessRule, error) {
	return queryAll(ctx, tx, scanAccessRule, `SELECT `+accessRuleColumns+` FROM user_access_rules WHERE tenant = ? ORDER BY id`, string(tenant))
}
