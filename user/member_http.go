package user

import (
	"context"
	"time"

	"github.com/acme/platform"
	"github.com/acme/platform/internal/page"
	"github.com/acme/platform/internal/rest"
)

type memberWire struct {
	ID        string    `json:"id" doc:"Id of the membership" example:"mem_06d1…"`
	UserID    string    `json:"user_id"`
	Email     string    `json:"email"`
	Name      string    `json:"name"`
	Roles     []string  `json:"roles" nullable:"false"`
	Status    string    `json:"status" enum:"active,suspended"`
	CreatedAt time.Time `json:"created_at"`
	UpdatedAt time.Time `json:"updated_at"`
}

func wireMember(m Member) memberWire {
	return memberWire{
		ID: m.ID, UserID: m.UserID, Email: m.Email, Name: m.Name, Roles: notNilList(m.Roles), Status: string(m.Status),
		CreatedAt: m.CreatedAt, UpdatedAt: m.UpdatedAt,
	}
}

type memberInput struct {
	ID string `path:"id" maxLength:"100" doc:"Id of the membership, not of the user"`
}

type memberChangeInput struct {
	ID   string `path:"id" maxLength:"100" doc:"Id of the membership, not of the user"`
	Body struct {
		Roles  []string `json:"roles,omitempty" minItems:"1" maxItems:"20" nullable:"false" doc:"Names of roles"`
		Status *string  `json:"status,omitempty" enum:"active,suspended"`
	}
}

func (s *Service) routeMembers(api *rest.API) {
	rest.Handle(api, get("members.list", "/v1/members", "Members of the organization", platform.Require(permMembersRead)),
		as(func(ctx context.Context, p platform.Principal, in *page.Input) (*output[page.Output[memberWire]], error) {
			all, next, err := s.ListMembers(ctx, p, in.Limit, in.Cursor)
			return listed(all, next, err, wireMember)
		}))
	rest.Handle(api, patch("members.update", "/v1/members/{id}", "Change a member's roles or status", platform.Require(permMembersWrite)),
		as(func(ctx context.Context, p platform.Principal, in *memberChangeInput) (*output[memberWire], error) {
			m, err := s.UpdateMember(ctx, p, in.ID, MemberChange{Roles: in.Body.Roles, Status: (*Status)(in.Body.Status)})
			return found(m, err, wireMember)
		}))
	rest.Handle(api, remove("members.remove", "/v1/members/{id}", "Remove another member", platform.Require(permMembersWrite)),
		as(func(ctx context.Context, p platform.Principal, in *memberInput) (*noOutput, error) {
			return &noOutput{}, s.RemoveMember(ctx, p, in.ID)
		}))
}
