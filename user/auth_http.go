package user

import (
	"context"
	"net/http"
	"time"

	"github.com/acme/platform"
	"github.com/acme/platform/internal/rest"
)

type userWire struct {
	ID              string     `json:"id" example:"usr_06d1…"`
	Email           string     `json:"email"`
	Name            string     `json:"name"`
	CreatedAt       time.Time  `json:"created_at"`
	UpdatedAt       time.Time  `json:"updated_at"`
	EmailVerifiedAt *time.Time `json:"email_verified_at,omitempty" doc:"When the user proved that mail to email reaches them; absent until then"`
}

func wireUser(u User) userWire {
	return userWire{
		ID: u.ID, Email: u.Email, Name: u.Name, CreatedAt: u.CreatedAt, UpdatedAt: u.UpdatedAt,
		EmailVerifiedAt: timeOrNil(u.EmailVerifiedAt),
	}
}

type tokensWire struct {
	AccessToken  string `json:"access_token" doc:"Send it as Authorization: Bearer"`
	RefreshToken string `json:"refresh_token" doc:"Works once, for the next tokens"`
	TokenType    string `json:"token_type" enum:"Bearer"`
	ExpiresIn    int64  `json:"expires_in" doc:"Seconds that access_token is valid"`
	Organization string `json:"organization" doc:"The organization that access_token names"`
}

func wireTokens(t Tokens) tokensWire {
	return tokensWire{
		AccessToken: string(t.Access), RefreshToken: string(t.Refresh), TokenType: "Bearer",
		ExpiresIn: int64(t.ExpiresIn / time.Second), Organization: string(t.Organization),
	}
}

type tokensOutput struct {
	CacheControl string `header:"Cache-Control"`
	Body         tokensWire
}

func tokensAnswer(t Tokens, err error) (*tokensOutput, error) {
	if err != nil {
		return nil, err
	}
	return &tokensOutput{CacheControl: noStore, Body: wireTokens(t)}, nil
}

// signedInWire is a tokensWire or a half-done sign-in.
type signedInWire struct {
	AccessToken  string `json:"access_token,omitempty" doc:"Send it as Authorization: Bearer; absent where factor is there"`
	RefreshToken string `json:"refresh_token,omitempty" doc:"Works once, for the next tokens"`
	TokenType    string `json:"token_type,omitempty" enum:"Bearer"`
	ExpiresIn    int64  `json:"expires_in,omitempty" doc:"Seconds that access_token is valid"`
	Organization string `json:"organization,omitempty" doc:"The organization that access_token names"`

	Factor        *pendingWire `json:"factor,omitempty" doc:"The second factor that is to come before there is a session"`
	RecoveryCodes []string     `json:"recovery_codes,omitempty" nullable:"false" doc:"Come with a first factor that this sign-in has added; shown once"`
}

type signedInOutput struct {
	CacheControl string `header:"Cache-Control"`
	Body         signedInWire
}

// signedInAnswer is what the client of a way in is told. Every operation that
// signs somebody in answers with it.
func signedInAnswer(in SignedIn, err error) (*signedInOutput, error) {
	if err != nil {
		return nil, err
	}
	out := &signedInOutput{CacheControl: noStore}
	if in.Pending != nil {
		pending := wirePending(*in.Pending)
		out.Body.Factor = &pending
		return out, nil
	}
	t := wireTokens(in.Tokens)
	out.Body = signedInWire{
		AccessToken: t.AccessToken, RefreshToken: t.RefreshToken, TokenType: t.TokenType, ExpiresIn: t.ExpiresIn, Organization: t.Organization,
		RecoveryCodes: texts(in.RecoveryCodes),
	}
	return out, nil
}

type signUpInput struct {
	Body struct {
		Email        string `json:"email" maxLength:"300" example:"ann@example.com"`
		Password     string `json:"password" minLength:"8" maxLength:"256" doc:"8 to 256 characters, any of them; none of those that are tried first" example:"correct horse battery"`
		Name         string `json:"name" maxLength:"400" example:"Ann"`
		Organization string `json:"organization" maxLength:"400" doc:"Name of the organization to make" example:"Ann & Co"`
	}
}

type signedUpWire struct {
	User         userWire         `json:"user"`
	Organization organizationWire `json:"organization"`
	Tokens       tokensWire       `json:"tokens"`
}

func signedUpAnswer(out SignedUp, err error) (*created[signedUpWire], error) {
	if err != nil {
		return nil, err
	}
	return &created[signedUpWire]{Location: "/v1/me", CacheControl: noStore, Body: signedUpWire{
		User: wireUser(out.User), Organization: wireOrganization(out.Organization), Tokens: wireTokens(out.Tokens),
	}}, nil
}

type loginInput struct {
	Body struct {
		Email        string `json:"email" maxLength:"300" example:"ann@example.com"`
		Password     string `json:"password" maxLength:"1024" example:"correct horse battery"`
		Organization string `json:"organization,omitempty" maxLength:"64" doc:"Id of the organization to sign in to; the first that was joined if absent"`
	}
}

type refreshInput struct {
	Body struct {
		RefreshToken string `json:"refresh_token" maxLength:"300"`
	}
}

type switchInput struct {
	Body struct {
		Organization string `json:"organization" maxLength:"64" doc:"Id of another of one's organizations"`
	}
}

func (s *Service) routeAuth(api *rest.API) {
	rest.Handle(api, post("auth.signup", "/v1/auth/signup", "Sign up: a user, an organization and tokens", platform.Public(), http.StatusCreated),
		func(ctx context.Context, in *signUpInput) (*created[signedUpWire], error) {
			out, err := s.SignUp(ctx, SignUp{
				Email: in.Body.Email, Password: Secret(in.Body.Password), Name: in.Body.Name, Organization: in.Body.Organization,
			}, rest.IdempotencyKey(ctx))
			return signedUpAnswer(out, err)
		})
	rest.Handle(api, postAgain("auth.login", "/v1/auth/login", "Sign in with e-mail and password", platform.Public(), http.StatusOK),
		func(ctx context.Context, in *loginInput) (*signedInOutput, error) {
			out, err := s.LogIn(ctx, LogIn{
				Email: in.Body.Email, Password: Secret(in.Body.Password), Organization: platform.TenantID(in.Body.Organization),
			})
			return signedInAnswer(out, err)
		})
	rest.Handle(api, postAgain("auth.refresh", "/v1/auth/refresh", "Change a refresh token for new tokens", platform.Public(), http.StatusOK),
		func(ctx context.Context, in *refreshInput) (*tokensOutput, error) {
			return tokensAnswer(s.Refresh(ctx, Secret(in.Body.RefreshToken)))
		})
	rest.Handle(api, postAgain("auth.logout", "/v1/auth/logout", "End the present session", platform.Account(), http.StatusNoContent),
		asPerson(func(ctx context.Context, p platform.Principal, _ *noInput) (*noOutput, error) {
			return &noOutput{}, s.LogOut(ctx, p)
		}))
	rest.Handle(api, post("auth.switch", "/v1/auth/switch", "Tokens for another of one's organizations", platform.Account(), http.StatusOK),
		asPerson(func(ctx context.Context, p platform.Principal, in *switchInput) (*tokensOutput, error) {
			return tokensAnswer(s.Switch(ctx, p, platform.TenantID(in.Body.Organization), rest.IdempotencyKey(ctx)))
		}))
}
