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
	Organization string `json:"organization,omitempty" doc:"The organization that access_token names; absent where the person is in none"`
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

// signedInWire is a session in tokens, one in a cookie, or a half-done sign-in.
type signedInWire struct {
	AccessToken  string `json:"access_token,omitempty" doc:"Send it as Authorization: Bearer; absent, as are the next three, where the session is in a cookie or factor is there"`
	RefreshToken string `json:"refresh_token,omitempty" doc:"Works once, for the next tokens"`
	TokenType    string `json:"token_type,omitempty" enum:"Bearer"`
	ExpiresIn    int64  `json:"expires_in,omitempty" doc:"Seconds that access_token is valid"`
	Organization string `json:"organization,omitempty" doc:"The organization that one is signed in to; absent where the person is in none"`
	SessionID    string `json:"session_id,omitempty" doc:"The id of the session among one's sessions; absent where factor is there"`

	Factor        *pendingWire `json:"factor,omitempty" doc:"The second factor that is to come before there is a session"`
	RecoveryCodes []string     `json:"recovery_codes,omitempty" nullable:"false" doc:"Come with a first factor that this sign-in has added; shown once"`
}

// wireSignedIn is what the body of an answer says of a way in. The answer must set
// the cookie too, which setCookie gives.
func wireSignedIn(in SignedIn) signedInWire {
	if in.Pending != nil {
		pending := wirePending(*in.Pending)
		return signedInWire{Factor: &pending}
	}
	w := signedInWire{Organization: string(in.Organization), SessionID: in.Session, RecoveryCodes: texts(in.RecoveryCodes)}
	if in.Cookie == nil {
		t := wireTokens(in.Tokens)
		w.AccessToken, w.RefreshToken, w.TokenType, w.ExpiresIn = t.AccessToken, t.RefreshToken, t.TokenType, t.ExpiresIn
	}
	return w
}

// setCookie is the header Set-Cookie of an answer, "" where the session is held in
// tokens.
func setCookie(in SignedIn) string {
	if in.Cookie == nil {
		return ""
	}
	return in.Cookie.HTTP().String()
}

type signedInOutput struct {
	CacheControl string `header:"Cache-Control"`
	SetCookie    string `header:"Set-Cookie" doc:"The session, where it was asked for in a cookie"`
	Body         signedInWire
}

// signedInAnswer is what the client of a way in is told: tokens, the cookie and no
// tokens, or the factor that is to come. Every operation that signs somebody in
// answers with it, and its body takes "session" as auth.login does.
func signedInAnswer(in SignedIn, err error) (*signedInOutput, error) {
	if err != nil {
		return nil, err
	}
	return &signedInOutput{CacheControl: noStore, SetCookie: setCookie(in), Body: wireSignedIn(in)}, nil
}

type signUpInput struct {
	Body struct {
		Email        string `json:"email" maxLength:"300" example:"ann@example.com"`
		Password     string `json:"password" minLength:"8" maxLength:"256" doc:"8 to 256 characters, any of them; none of those that are tried first" example:"correct horse battery"`
		Name         string `json:"name" maxLength:"400" example:"Ann"`
		Organization string `json:"organization" maxLength:"400" doc:"Name of the organization to make" example:"Ann & Co"`
		Session      string `json:"session,omitempty" enum:"token,cookie" doc:"How to hold the session: token (the default) answers with tokens, cookie sets a cookie that no script reads, for browsers"`
	}
}

type signedUpWire struct {
	User         userWire         `json:"user"`
	Organization organizationWire `json:"organization"`
	Tokens       signedInWire     `json:"tokens" doc:"The session"`
}

type signedUpOutput struct {
	Location     string `header:"Location"`
	CacheControl string `header:"Cache-Control"`
	SetCookie    string `header:"Set-Cookie" doc:"The session, where it was asked for in a cookie"`
	Body         signedUpWire
}

func signedUpAnswer(out SignedUp, err error) (*signedUpOutput, error) {
	if err != nil {
		return nil, err
	}
	return &signedUpOutput{Location: "/v1/me", CacheControl: noStore, SetCookie: setCookie(out.SignedIn), Body: signedUpWire{
		User: wireUser(out.User), Organization: wireOrganization(out.Organization), Tokens: wireSignedIn(out.SignedIn),
	}}, nil
}

type loginInput struct {
	Body struct {
		Email        string `json:"email" maxLength:"300" example:"ann@example.com"`
		Password     string `json:"password" maxLength:"1024" example:"correct horse battery"`
		Organization string `json:"organization,omitempty" maxLength:"64" doc:"Id of the organization to sign in to; if absent the one where one last was, else the first that was joined, else none"`
		Session      string `json:"session,omitempty" enum:"token,cookie" doc:"How to hold the session: token (the default) answers with tokens, cookie sets a cookie that no script reads, for browsers"`
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
	rest.Handle(api, post("auth.signup", "/v1/auth/signup", "Sign up: a user, an organization and a session", platform.Public(), http.StatusCreated),
		func(ctx context.Context, in *signUpInput) (*signedUpOutput, error) {
			out, err := s.SignUp(ctx, SignUp{
				Email: in.Body.Email, Password: Secret(in.Body.Password), Name: in.Body.Name, Organization: in.Body.Organization,
				Session: SessionKind(in.Body.Session),
			}, rest.IdempotencyKey(ctx))
			return signedUpAnswer(out, err)
		})
	rest.Handle(api, postAgain("auth.login", "/v1/auth/login", "Sign in with e-mail and password", platform.Public(), http.StatusOK),
		func(ctx context.Context, in *loginInput) (*signedInOutput, error) {
			out, err := s.LogIn(ctx, LogIn{
				Email: in.Body.Email, Password: Secret(in.Body.Password), Organization: platform.TenantID(in.Body.Organization),
				Session: SessionKind(in.Body.Session),
			})
			return signedInAnswer(out, err)
		})
	rest.Handle(api, postAgain("auth.refresh", "/v1/auth/refresh", "Change a refresh token for new tokens", platform.Public(), http.StatusOK),
		func(ctx context.Context, in *refreshInput) (*tokensOutput, error) {
			return tokensAnswer(s.Refresh(ctx, Secret(in.Body.RefreshToken)))
		})
	rest.Handle(api, postAgain("auth.logout", "/v1/auth/logout", "End the present session", platform.Account(), http.StatusNoContent),
		asPerson(func(ctx context.Context, p platform.Principal, _ *noInput) (*endedOutput, error) {
			return s.endedAnswer(ctx, p, true, s.LogOut(ctx, p))
		}))
	rest.Handle(api, post("auth.switch", "/v1/auth/switch", "Go to another of one's organizations", platform.Account(), http.StatusOK),
		asPerson(func(ctx context.Context, p platform.Principal, in *switchInput) (*signedInOutput, error) {
			return signedInAnswer(s.Switch(ctx, p, platform.TenantID(in.Body.Organization), rest.IdempotencyKey(ctx)))
		}))
}
