package user

import (
	"context"

	"github.com/acme/platform"
	"github.com/acme/platform/internal/page"
	"github.com/acme/platform/store"
)

// TeamMembers returns up to limit members of a team, those suspended too, the
// oldest memberships first, and the cursor for more. The principal needs
// "user.teams.read".
func (s *Service) TeamMembers(ctx context.Context, p platform.Principal, team string, limit int, cursor string) ([]Member, string, error) {
	if err := s.Authorize(ctx, p, permTeamsRead); err != nil {
		return nil, "", err
	}
	list := "teams.members.list:" + team
	after, err := afterID(list, cursor)
	if err != nil {
		return nil, "", err
	}
	var all []Member
	err = s.db.InTenant(ctx, p.Tenant, func(ctx context.Context, tx store.Tx) error {
		if _, err := teamByID(ctx, tx, p.Tenant, team); err != nil {
			return err
		}
		var err error
		all, err = queryAll(ctx, tx, scanMember, `SELECT `+memberColumns+memberTables+` AND m.id > ? AND EXISTS
			(SELECT 1 FROM user_team_members x WHERE x.tenant = m.tenant AND x.member_id = m.id AND x.team_id = ?) ORDER BY m.id LIMIT ?`,
			string(p.Tenant), after, team, pageLimit(limit)+1)
		return err
	}, store.ReadOnly)
	if err != nil {
		return nil, "", err
	}
	all, next := page.Cut(list, all, pageLimit(limit), func(m Member) []string { return []string{m.ID} })
	return all, next, nil
}

// AddTeamMember puts a member into a team; one who is in it stays in it. What
// rules say of the team and its roles must be within the principal's own rights,
// and the principal needs "user.teams.write". Nobody adds themselves.
func (s *Service) AddTeamMember(ctx context.Context, p platform.Principal, team, member string) error {
	return s.changeTeamMember(ctx, p, team, member, true)
}

// RemoveTeamMember takes a member out of a team. What rules say of the team and
// its roles must be within the principal's own rights, or the member would be rid
// of what they deny; the principal needs "user.teams.write". Nobody removes
// themselves.
func (s *Service) RemoveTeamMember(ctx context.Context, p platform.Principal, team, member string) error {
	return s.changeTeamMember(ctx, p, team, member, false)
}

func (s *Service) changeTeamMember(ctx context.Context, p platform.Principal, team, member string, add bool) error {
	if err := s.Authorize(ctx, p, permTeamsWrite); err != nil {
		return err
	}
	err := s.db.InTenant(ctx, p.Tenant, func(ctx context.Context, tx store.Tx) error {
		rights, err := s.lockRights(ctx, tx, p)
		if err != nil {
			return err
		}
		if _, err := teamByID(ctx, tx, p.Tenant, team); err != nil {
			return err
		}
		m, err := memberByID(ctx, tx, p.Tenant, member)
		if err != nil {
			return err
		}
		if m.UserID == p.Subject {
			return platform.Errorf(platform.KindForbidden, "own_membership", "nobody changes their own teams")
		}
		if !rights.coverSubjects(teamSubject(team)) {
			return errAboveOwn()
		}
		if add {
			return s.joinTeam(ctx, tx, p, team, m)
		}
		removed, err := changedOne(ctx, tx, `DELETE FROM user_team_members WHERE tenant = ? AND team_id = ? AND member_id = ?`,
			string(p.Tenant), team, member)
		if err != nil {
			return err
		}
		if !removed {
			return platform.NotFound("member of the team")
		}
		return s.teamMemberChanged(ctx, tx, p, "team.member_removed", team, m)
	})
	if err != nil {
		return err
	}
	s.changed(ctx, tenantKey(p.Tenant))
	return nil
}

func (s *Service) joinTeam(ctx context.Context, tx store.Tx, p platform.Principal, team string, m Member) error {
	var all int64
	if err := tx.QueryRow(ctx, `SELECT count(*) FROM user_team_members WHERE tenant = ?`, string(p.Tenant)).Scan(&all); err != nil {
		return err
	}
	added, err := changedOne(ctx, tx, `INSERT INTO user_team_members (tenant, team_id, member_id, created_at) VALUES (?, ?, ?, ?) ON CONFLICT DO NOTHING`,
		string(p.Tenant), team, m.ID, micros(s.now()))
	if err != nil || !added {
		return err
	}
	if all >= maxTeamMembers {
		return platform.Errorf(platform.KindConflict, "too_many_team_members", "all teams together have at most %d members", maxTeamMembers)
	}
	return s.teamMemberChanged(ctx, tx, p, "team.member_added", team, m)
}

func (s *Service) teamMemberChanged(ctx context.Context, tx store.Tx, p platform.Principal, action, team string, m Member) error {
	if err := s.record(ctx, tx, p.Tenant, byPrincipal(p), action, team, map[string]string{"member": m.ID, "user": m.UserID}); err != nil {
		return err
	}
	change := "added"
	if action == "team.member_removed" {
		change = "removed"
	}
	return s.emit(ctx, tx, p.Tenant, "user.team.member_changed", team, p, teamMemberEvent{
		TeamID: team, MembershipID: m.ID, UserID: m.UserID, Change: change,
	})
}
