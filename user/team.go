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

// Team is some of the members of an organization, who have its roles beside their
// own.
type Team struct {
	ID          string // "tea_…"
	Name        string
	Description string
	// Roles are names, sorted; there may be none.
	Roles     []string
	CreatedAt time.Time
	UpdatedAt time.Time
}

// NewTeam is a team to be made.
type NewTeam struct {
	Name        string // 1 to 100 characters, unique in the organization
	Description string // up to 500 characters
	// Roles are up to 20 names of roles but owner, which members have directly.
	Roles []string
}

// TeamChange is what to change of a team; nil leaves a part as it is.
type TeamChange struct {
	Name        *string
	Description *string
	Roles       []string // an empty one that is not nil removes all
}

// Limits on teams. All that an organization has is in memory while it asks.
const (
	maxTeams       = 100
	maxTeamMembers = 10_000 // of all teams of an organization together
)

// Teams returns the teams of the organization, by name. The principal needs
// "user.teams.read".
func (s *Service) Teams(ctx context.Context, p platform.Principal) ([]Team, error) {
	return readAs(ctx, s, p, permTeamsRead, func(ctx context.Context, tx store.Tx) ([]Team, error) {
		return allTeams(ctx, tx, p.Tenant)
	})
}

// Team returns a team by its id. The principal needs "user.teams.read".
func (s *Service) Team(ctx context.Context, p platform.Principal, id string) (Team, error) {
	return readAs(ctx, s, p, permTeamsRead, func(ctx context.Context, tx store.Tx) (Team, error) {
		return teamByID(ctx, tx, p.Tenant, id)
	})
}

// CreateTeam makes a team. It may have no role that has more than the principal,
// who needs "user.teams.write".
func (s *Service) CreateTeam(ctx context.Context, p platform.Principal, in NewTeam, keys ...*platform.IdempotencyKey) (Team, error) {
	if err := s.Authorize(ctx, p, permTeamsWrite); err != nil {
		return Team{}, err
	}
	t, err := cleanTeam(Team{Name: in.Name, Description: in.Description, Roles: in.Roles})
	if err != nil {
		return Team{}, err
	}
	call, err := s.repeats.Call(ctx, idempotency.Only(keys), p, "teams.create", in)
	if err != nil {
		return Team{}, err
	}
	err = s.db.InTenant(ctx, p.Tenant, func(ctx context.Context, tx store.Tx) error {
		made := t
		replayed, err := call.Begin(ctx, tx, &made)
		if err != nil {
			return err
		}
		rights, err := s.lockRights(ctx, tx, p)
		if err != nil {
			return err
		}
		if err := rights.known("/roles", t.Roles); err != nil {
			return err
		}
		if !rights.coverRoles(t.Roles) {
			return errAboveOwn()
		}
		if replayed {
			t = made
			return nil
		}
		all, err := allTeams(ctx, tx, p.Tenant)
		if err != nil {
			return err
		}
		if err := teamFits(all, t); err != nil {
			return err
		}
		t.ID, t.CreatedAt = s.newID("tea"), fromMicros(micros(s.now()))
		t.UpdatedAt = t.CreatedAt
		if _, err := tx.Exec(ctx, `INSERT INTO user_teams (tenant, id, name, description, roles, created_at, updated_at) VALUES (?, ?, ?, ?, ?, ?, ?)`,
			string(p.Tenant), t.ID, t.Name, t.Description, encodeList(t.Roles), micros(t.CreatedAt), micros(t.UpdatedAt)); err != nil {
			return err
		}
		if err := s.teamChanged(ctx, tx, p, "team.created", t); err != nil {
			return err
		}
		return call.Keep(ctx, tx, t)
	})
	if err != nil {
		return Team{}, err
	}
	s.changed(ctx, tenantKey(p.Tenant))
	return t, nil
}

// UpdateTeam changes a team. What rules say of it, before and after, must be
// within the principal's own rights, and the principal needs "user.teams.write".
func (s *Service) UpdateTeam(ctx context.Context, p platform.Principal, id string, in TeamChange) (Team, error) {
	if err := s.Authorize(ctx, p, permTeamsWrite); err != nil {
		return Team{}, err
	}
	var t Team
	err := s.db.InTenant(ctx, p.Tenant, func(ctx context.Context, tx store.Tx) error {
		rights, err := s.lockRights(ctx, tx, p)
		if err != nil {
			return err
		}
		if t, err = teamByID(ctx, tx, p.Tenant, id); err != nil {
			return err
		}
		if err := rights.known("/roles", in.Roles); err != nil {
			return err
		}
		if !rights.coverSubjects(teamSubject(id)) || !rights.coverRoles(in.Roles) {
			return errAboveOwn()
		}
		if in.Name != nil {
			t.Name = *in.Name
		}
		if in.Description != nil {
			t.Description = *in.Description
		}
		if in.Roles != nil {
			t.Roles = in.Roles
		}
		if t, err = cleanTeam(t); err != nil {
			return err
		}
		all, err := allTeams(ctx, tx, p.Tenant)
		if err != nil {
			return err
		}
		if err := teamFits(all, t); err != nil {
			return err
		}
		t.UpdatedAt = fromMicros(micros(s.now()))
		if _, err := tx.Exec(ctx, `UPDATE user_teams SET name = ?, description = ?, roles = ?, updated_at = ? WHERE tenant = ? AND id = ?`,
			t.Name, t.Description, encodeList(t.Roles), micros(t.UpdatedAt), string(p.Tenant), id); err != nil {
			return err
		}
		return s.teamChanged(ctx, tx, p, "team.updated", t)
	})
	if err != nil {
		return Team{}, err
	}
	s.changed(ctx, tenantKey(p.Tenant))
	return t, nil
}

// DeleteTeam removes a team that no rule is about; its members stay members of
// the organization. What rules say of its roles must be within the principal's
// own rights, and the principal needs "user.teams.write".
func (s *Service) DeleteTeam(ctx context.Context, p platform.Principal, id string) error {
	if err := s.Authorize(ctx, p, permTeamsWrite); err != nil {
		return err
	}
	err := s.db.InTenant(ctx, p.Tenant, func(ctx context.Context, tx store.Tx) error {
		rights, err := s.lockRights(ctx, tx, p)
		if err != nil {
			return err
		}
		t, err := teamByID(ctx, tx, p.Tenant, id)
		if err != nil {
			return err
		}
		if !rights.coverSubjects(teamSubject(id)) {
			return errAboveOwn()
		}
		if rights.rules.refersTo(teamSubject(id)) {
			return platform.Errorf(platform.KindConflict, "team_in_use", "rules are still about this team")
		}
		if _, err := tx.Exec(ctx, `DELETE FROM user_teams WHERE tenant = ? AND id = ?`, string(p.Tenant), id); err != nil {
			return err
		}
		return s.teamChanged(ctx, tx, p, "team.deleted", t)
	}, store.Reserved)
	if err != nil {
		return err
	}
	s.changed(ctx, tenantKey(p.Tenant))
	return nil
}

// teamChanged writes the audit record and the event.
func (s *Service) teamChanged(ctx context.Context, tx store.Tx, p platform.Principal, action string, t Team) error {
	if err := s.record(ctx, tx, p.Tenant, byPrincipal(p), action, t.ID, map[string]string{
		"name": t.Name, "roles": strings.Join(t.Roles, " "),
	}); err != nil {
		return err
	}
	return s.emit(ctx, tx, p.Tenant, "user.team.changed", t.ID, p, teamEvent{
		TeamID: t.ID, Name: t.Name, Change: strings.TrimPrefix(action, "team."), Roles: t.Roles,
	})
}

// cleanTeam brings what a caller gave of a team into its form.
func cleanTeam(t Team) (Team, error) {
	var fields []platform.Field
	name, ok := cleanName(t.Name)
	if !ok {
		fields = append(fields, nameField("/name"))
	}
	fields = append(fields, checkDescription(t.Description)...)
	switch {
	case len(t.Roles) > maxMemberRoles:
		fields = append(fields, platform.Field{Path: "/roles", Code: "too_many", Detail: "at most 20 roles"})
	case slices.Contains(t.Roles, RoleOwner):
		fields = append(fields, platform.Field{Path: "/roles", Code: "owner", Detail: "no team is an owner; members are, directly"})
	}
	if fields != nil {
		return Team{}, platform.Invalid(fields...)
	}
	t.Name, t.Roles = name, tidy(t.Roles)
	return t, nil
}

// teamFits returns an error where the organization has no room for the team
// beside its others.
func teamFits(all []Team, t Team) error {
	others := 0
	for _, o := range all {
		if o.ID == t.ID {
			continue
		}
		if others++; o.Name == t.Name {
			return platform.Errorf(platform.KindConflict, "team_taken", "the organization has a team of this name")
		}
	}
	if others >= maxTeams {
		return platform.Errorf(platform.KindConflict, "too_many_teams", "an organization has at most %d teams", maxTeams)
	}
	return nil
}

const teamColumns = `id, name, description, roles, created_at, updated_at`

func scanTeam(row scanner) (Team, error) {
	var (
		t                Team
		roles            string
		created, updated int64
	)
	if err := row.Scan(&t.ID, &t.Name, &t.Description, &roles, &created, &updated); err != nil {
		return Team{}, err
	}
	t.CreatedAt, t.UpdatedAt = fromMicros(created), fromMicros(updated)
	var err error
	t.Roles, err = decodeList(roles)
	return t, err
}

func teamByID(ctx context.Context, tx store.Tx, tenant platform.TenantID, id string) (Team, error) {
	t, err := scanTeam(tx.QueryRow(ctx, `SELECT `+teamColumns+` FROM user_teams WHERE tenant = ? AND id = ?`, string(tenant), id))
	return t, notFound(err, "team")
}

func allTeams(ctx context.Context, tx store.Tx, tenant platform.TenantID) ([]Team, error) {
	return queryAll(ctx, tx, scanTeam, `SELECT `+teamColumns+` FROM user_teams WHERE tenant = ? ORDER BY name, id`, string(tenant))
}
