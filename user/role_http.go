package user

import (
	"context"
	"net/http"
	"time"

	"github.com/acme/platform"
	"github.com/acme/platform/internal/rest"
)

type roleWire struct {
	ID          string     `json:"id" doc:"The name for a built-in role" example:"rol_06d1…"`
	Name        string     `json:"name"`
	Description string     `json:"description"`
	Permissions []string   `json:"permissions" nullable:"false"`
	Parents     []string   `json:"parents" nullable:"false" doc:"Names of roles that the role inherits"`
	BuiltIn     bool       `json:"built_in"`
	CreatedAt   *time.Time `json:"created_at,omitempty" doc:"Absent for a built-in role"`
	UpdatedAt   *time.Time `json:"updated_at,omitempty"`
}

func wireRole(r Role) roleWire {
	return roleWire{
		ID: r.ID, Name: r.Name, Description: r.Description, Permissions: notNilList(r.Permissions), Parents: notNilList(r.Parents), BuiltIn: r.BuiltIn,
		CreatedAt: timeOrNil(r.CreatedAt), UpdatedAt: timeOrNil(r.UpdatedAt),
	}
}

type newRoleInput struct {
	Body struct {
		Name        string   `json:"name" maxLength:"63" pattern:"^[a-z][a-z0-9_-]{0,62}$" doc:"Letters, digits, - and _ in lower case; never changes" example:"editor"`
		Description string   `json:"description,omitempty" maxLength:"500"`
		Permissions []string `json:"permissions" maxItems:"500" nullable:"false" doc:"Permissions, and patterns of them such as data.*; at least one where there are no parents" example:"[\"data.records.read\"]"`
		Parents     []string `json:"parents,omitempty" maxItems:"10" nullable:"false" doc:"Names of roles to inherit, but not owner"`
	}
}

type roleChangeInput struct {
	ID   string `path:"id" maxLength:"100" doc:"The id that lists and answers show"`
	Body struct {
		Description *string  `json:"description,omitempty" maxLength:"500"`
		Permissions []string `json:"permissions,omitempty" maxItems:"500" nullable:"false"`
		Parents     []string `json:"parents,omitempty" maxItems:"10" nullable:"false" doc:"Names of roles to inherit; an empty list removes all"`
	}
}

// roleList is a list without pages: an organization has at most 50 roles.
type roleList struct {
	Data []roleWire `json:"data" nullable:"false"`
}

func (s *Service) routeRoles(api *rest.API) {
	rest.Handle(api, get("roles.list", "/v1/roles", "Roles that members can have", platform.Require(permRolesRead)),
		as(func(ctx context.Context, p platform.Principal, _ *noInput) (*output[roleList], error) {
			all, err := s.Roles(ctx, p)
			return found(all, err, func(all []Role) roleList { return roleList{mapped(all, wireRole)} })
		}))
	rest.Handle(api, get("roles.get", "/v1/roles/{id}", "One role", platform.Require(permRolesRead)),
		as(func(ctx context.Context, p platform.Principal, in *idInput) (*output[roleWire], error) {
			r, err := s.Role(ctx, p, in.ID)
			return found(r, err, wireRole)
		}))
	rest.Handle(api, post("roles.create", "/v1/roles", "Make a role of the organization", platform.Require(permRolesWrite), http.StatusCreated),
		as(func(ctx context.Context, p platform.Principal, in *newRoleInput) (*created[roleWire], error) {
			r, err := s.CreateRole(ctx, p, NewRole{Name: in.Body.Name, Description: in.Body.Description, Permissions: in.Body.Permissions, Parents: in.Body.Parents}, rest.IdempotencyKey(ctx))
			if err != nil {
				return nil, err
			}
			return &created[roleWire]{Location: "/v1/roles/" + r.ID, Body: wireRole(r)}, nil
		}))
	rest.Handle(api, patch("roles.update", "/v1/roles/{id}", "Change a role of the organization", platform.Require(permRolesWrite)),
		as(func(ctx context.Context, p platform.Principal, in *roleChangeInput) (*output[roleWire], error) {
			r, err := s.UpdateRole(ctx, p, in.ID, RoleChange{Description: in.Body.Description, Permissions: in.Body.Permissions, Parents: in.Body.Parents})
			return found(r, err, wireRole)
		}))
	rest.Handle(api, remove("roles.delete", "/v1/roles/{id}", "Delete a role that nothing refers to", platform.Require(permRolesWrite)),
		as(func(ctx context.Context, p platform.Principal, in *idInput) (*noOutput, error) {
			return &noOutput{}, s.DeleteRole(ctx, p, in.ID)
		}))
}
