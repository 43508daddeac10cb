package user

import (
	"context"
	"time"

	"github.com/acme/platform"
	"github.com/acme/platform/internal/rest"
)

// meWire is a userWire with more; the schema would not show embedded fields.
type meWire struct {
	ID              string     `json:"id" example:"usr_06d1…"`
	Email           string     `json:"email"`
	Name            string     `json:"name"`
	CreatedAt       time.Time  `json:"created_at"`
	UpdatedAt       time.Time  `json:"updated_at"`
	EmailVerifiedAt *time.Time `json:"email_verified_at,omitempty" doc:"When the user proved that mail to email reaches them; absent until then"`
	Organization    string     `json:"organization,omitempty" doc:"Id of the organization that the credential names; absent where it names none"`
	Roles           []string   `json:"roles" nullable:"false"`
	Scopes          []string   `json:"scopes,omitempty" nullable:"false" doc:"Limits of the API key; absent for a session"`
}

func wireMe(me Profile) meWire {
	return meWire{
		ID: me.User.ID, Email: me.User.Email, Name: me.User.Name, CreatedAt: me.User.CreatedAt, UpdatedAt: me.User.UpdatedAt, EmailVerifiedAt: timeOrNil(me.User.EmailVerifiedAt),
		Organization: string(me.Organization), Roles: notNilList(me.Roles), Scopes: me.Scopes,
	}
}

type meChangeInput struct {
	Body struct {
		Name            *string `json:"name,omitempty" maxLength:"400" example:"Ann"`
		Password        *string `json:"password,omitempty" minLength:"8" maxLength:"256" doc:"8 to 256 characters, as in a sign-up. Needs current_password and ends all other sessions"`
		CurrentPassword string  `json:"current_password,omitempty" maxLength:"1024"`
	}
}

func (s *Service) routeMe(api *rest.API) {
	rest.Handle(api, get("me.get", "/v1/me", "The user of the credential", platform.Account()),
		asPerson(func(ctx context.Context, p platform.Principal, _ *noInput) (*output[meWire], error) {
			me, err := s.Me(ctx, p)
			return found(me, err, wireMe)
		}))
	rest.Handle(api, patch("me.update", "/v1/me", "Change one's name or password", platform.Account()),
		asPerson(func(ctx context.Context, p platform.Principal, in *meChangeInput) (*output[userWire], error) {
			change := MeChange{Name: in.Body.Name, CurrentPassword: Secret(in.Body.CurrentPassword)}
			if in.Body.Password != nil {
				password := Secret(*in.Body.Password)
				change.Password = &password
			}
			u, err := s.UpdateMe(ctx, p, change)
			return found(u, err, wireUser)
		}))
}
