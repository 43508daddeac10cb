package user

import (
	"context"
	"net/http"
	"time"

	"github.com/acme/platform"
	"github.com/acme/platform/internal/page"
	"github.com/acme/platform/internal/rest"
)

type teamWire struct {
	ID          string    `json:"id" example:"tea_06d1…"`
	Name        string    `json:"name"`
	Description string    `json:"description"`
	Roles       []string  `json:"roles" nullable:"false" doc:"Names of the roles that its members have beside their own"`
	CreatedAt   time.Time `json:"created_at"`
	UpdatedAt   time.Time `json:"updated_at"`
}

func wireTeam(t Team) teamWire {
	return teamWire{ID: t.ID, Name: t.Name, Description: t.Description, Roles: notNilList(t.Roles), CreatedAt: t.CreatedAt, UpdatedAt: t.UpdatedAt}
}

// teamList is a list without pages: an organization has at most 100 teams.
type teamList struct {
	Data []teamWire `json:"data" nullable:"false"`
}

type newTeamInput struct {
	Body struct {
		Name        string   `json:"name" minLength:"1" maxLength:"100" example:"Support"`
		Description string   `json:"description,omitempty" maxLength:"500"`
		Roles       []string `json:"roles,omitempty" maxItems:"20" nullable:"false" doc:"Names of roles, but not owner"`
	}
}

type teamChangeInput struct {
	ID   string `path:"id" maxLength:"100" doc:"The id that lists and answers show"`
	Body struct {
		Name        *string  `json:"name,omitempty" minLength:"1" maxLength:"100"`
		Description *string  `json:"description,omitempty" maxLength:"500"`
		Roles       []string `json:"roles,omitempty" maxItems:"20" nullable:"false" doc:"Names of roles, but not owner; an empty list removes all"`
	}
}

type teamMembersInput struct {
	page.Input
	ID string `path:"id" maxLength:"100" doc:"The team's id"`
}

type teamMemberInput struct {
	ID     string `path:"id" maxLength:"100" doc:"The team's id"`
	Member string `path:"member" maxLength:"100" doc:"The membership's id"`
}

type newTeamMemberInput struct {
	ID   string `path:"id" maxLength:"100" doc:"The team's id"`
	Body struct {
		MemberID string `json:"member_id" minLength:"1" maxLength:"100" doc:"The membership's id"`
	}
}

func (s *Service) routeTeams(api *rest.API) {
	read, write := platform.Require(permTeamsRead), platform.Require(permTeamsWrite)
	rest.Handle(api, get("teams.list", "/v1/teams", "Teams of the organization", read),
		as(func(ctx context.Context, p platform.Principal, _ *noInput) (*output[teamList], error) {
			all, err := s.Teams(ctx, p)
			return found(all, err, func(all []Team) teamList { return teamList{mapped(all, wireTeam)} })
		}))
	rest.Handle(api, get("teams.get", "/v1/teams/{id}", "One team", read),
		as(func(ctx context.Context, p platform.Principal, in *idInput) (*output[teamWire], error) {
			t, err := s.Team(ctx, p, in.ID)
			return found(t, err, wireTeam)
		}))
	rest.Handle(api, post("teams.create", "/v1/teams", "Make a team", write, http.StatusCreated),
		as(func(ctx context.Context, p platform.Principal, in *newTeamInput) (*created[teamWire], error) {
			t, err := s.CreateTeam(ctx, p, NewTeam{Name: in.Body.Name, Description: in.Body.Description, Roles: in.Body.Roles}, rest.IdempotencyKey(ctx))
			if err != nil {
				return nil, err
			}
			return &created[teamWire]{Location: "/v1/teams/" + t.ID, Body: wireTeam(t)}, nil
		}))
	rest.Handle(api, patch("teams.update", "/v1/teams/{id}", "Change a team", write),
		as(func(ctx context.Context, p platform.Principal, in *teamChangeInput) (*output[teamWire], error) {
			t, err := s.UpdateTeam(ctx, p, in.ID, TeamChange{Name: in.Body.Name, Description: in.Body.Description, Roles: in.Body.Roles})
			return found(t, err, wireTeam)
		}))
	rest.Handle(api, remove("teams.delete", "/v1/teams/{id}", "Delete a team that no rule is about", write),
		as(func(ctx context.Context, p platform.Principal, in *idInput) (*noOutput, error) {
			return &noOutput{}, s.DeleteTeam(ctx, p, in.ID)
		}))
	rest.Handle(api, get("teams.members.list", "/v1/teams/{id}/members", "Members of a team", read),
		as(func(ctx context.Context, p platform.Principal, in *teamMembersInput) (*output[page.Output[memberWire]], error) {
			all, next, err := s.TeamMembers(ctx, p, in.ID, in.Limit, in.Cursor)
			return listed(all, next, err, wireMember)
		}))
	rest.Handle(api, postAgain("teams.members.add", "/v1/teams/{id}/members", "Put a member into a team", write, http.StatusNoContent),
		as(func(ctx context.Context, p platform.Principal, in *newTeamMemberInput) (*noOutput, error) {
			return &noOutput{}, s.AddTeamMember(ctx, p, in.ID, in.Body.MemberID)
		}))
	rest.Handle(api, remove("teams.members.remove", "/v1/teams/{id}/members/{member}", "Take a member out of a team", write),
		as(func(ctx context.Context, p platform.Principal, in *teamMemberInput) (*noOutput, error) {
			return &noOutput{}, s.RemoveTeamMember(ctx, p, in.ID, in.Member)
		}))
}
