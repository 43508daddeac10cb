package user

import (
	"context"
	"net/http"
	"time"

	"github.com/acme/platform"
	"github.com/acme/platform/internal/rest"
)

type mailAskInput struct {
	AcceptLanguage string `header:"Accept-Language" maxLength:"200" doc:"The language of the mail; that of the account if absent"`
	Body           struct {
		Email    string `json:"email" maxLength:"300" example:"ann@example.com"`
		Redirect string `json:"redirect,omitempty" maxLength:"1000" doc:"Where the page of the link sends the person; one of the URLs that the host allows"`
	}
}

func (in *mailAskInput) ask() MailAsk {
	return MailAsk{Email: in.Body.Email, Locale: in.AcceptLanguage, Redirect: in.Body.Redirect}
}

type mailTokenInput struct {
	Body struct {
		Token string `json:"token" maxLength:"300" doc:"From the fragment of the link"`
	}
}

type resetInput struct {
	Body struct {
		Token        string `json:"token" maxLength:"300" doc:"From the fragment of the link"`
		Password     string `json:"password" maxLength:"1024" doc:"The new one"`
		KeepSessions bool   `json:"keep_sessions,omitempty" doc:"Leave the sessions open; else all end"`
	}
}

type confirmSignUpInput struct {
	Body struct {
		Token        string `json:"token" maxLength:"300" doc:"From the fragment of the link"`
		Password     string `json:"password" maxLength:"1024" doc:"8 to 256 characters, any of them; none of those that are tried first"`
		Name         string `json:"name" maxLength:"400" example:"Ann"`
		Organization string `json:"organization" maxLength:"400" doc:"Name of the organization to make" example:"Ann & Co"`
		Session      string `json:"session,omitempty" enum:"token,cookie" doc:"How to hold the session: token (the default) answers with tokens, cookie sets a cookie that no script reads, for browsers"`
	}
}

type linkInput struct {
	Body struct {
		Token        string `json:"token" maxLength:"300" doc:"From the fragment of the link"`
		Organization string `json:"organization,omitempty" maxLength:"64" doc:"Id of the organization to sign in to"`
		Session      string `json:"session,omitempty" enum:"token,cookie" doc:"How to hold the session: token (the default) answers with tokens, cookie sets a cookie that no script reads, for browsers"`
	}
}

type codeInput struct {
	Body struct {
		Flow         string `json:"flow" maxLength:"300" doc:"From the answer of auth.emailCode.request"`
		Code         string `json:"code" maxLength:"20" doc:"From the mail"`
		Organization string `json:"organization,omitempty" maxLength:"64" doc:"Id of the organization to sign in to"`
		Session      string `json:"session,omitempty" enum:"token,cookie" doc:"How to hold the session: token (the default) answers with tokens, cookie sets a cookie that no script reads, for browsers"`
	}
}

type askedWire struct {
	Status string `json:"status" enum:"accepted" doc:"Whether a mail goes, is not told"`
}

// asked is the answer of a request for a mail, the same whatever becomes of it.
func asked(err error) (*output[askedWire], error) {
	if err != nil {
		return nil, err
	}
	return &output[askedWire]{askedWire{Status: "accepted"}}, nil
}

type flowWire struct {
	Flow string `json:"flow" doc:"The code of the mail is good with it alone"`
}

type flowOutput struct {
	CacheControl string `header:"Cache-Control"`
	Body         flowWire
}

type emailWire struct {
	Email      string     `json:"email"`
	Primary    bool       `json:"primary"`
	VerifiedAt *time.Time `json:"verified_at,omitempty" doc:"Absent until it is confirmed"`
	CreatedAt  time.Time  `json:"created_at"`
}

type emailsWire struct {
	Data []emailWire `json:"data" nullable:"false"`
}

type emailInput struct {
	Body struct {
		Email string `json:"email" maxLength:"300" example:"ann@example.org"`
	}
}

type emailPathInput struct {
	Email string `path:"id" maxLength:"300" doc:"One of one's addresses, as me.emails.list shows it"`
}

// routeEmails registers what goes by mail. The requests answer the same for every
// address.
func (s *Service) routeEmails(api *rest.API) {
	rest.Handle(api, postAgain("auth.passwordReset.request", "/v1/auth/password-reset", "Have a link mailed that sets a new password", platform.Public(), http.StatusAccepted),
		func(ctx context.Context, in *mailAskInput) (*output[askedWire], error) {
			return asked(s.RequestPasswordReset(ctx, in.ask()))
		})
	rest.Handle(api, postAgain("auth.passwordReset.confirm", "/v1/auth/password-reset/confirm", "Set a new password with the token of a mail", platform.Public(), http.StatusNoContent),
		func(ctx context.Context, in *resetInput) (*noOutput, error) {
			return &noOutput{}, s.ResetPassword(ctx, PasswordReset{
				Token: Secret(in.Body.Token), Password: Secret(in.Body.Password), KeepSessions: in.Body.KeepSessions,
			})
		})
	rest.Handle(api, postAgain("auth.emailLink.request", "/v1/auth/email-link", "Have a link mailed that signs in", platform.Public(), http.StatusAccepted),
		func(ctx context.Context, in *mailAskInput) (*output[askedWire], error) {
			return asked(s.RequestSignInLink(ctx, in.ask()))
		})
	rest.Handle(api, postAgain("auth.emailLink.confirm", "/v1/auth/email-link/confirm", "Sign in with the token of a mailed link", platform.Public(), http.StatusOK),
		func(ctx context.Context, in *linkInput) (*signedInOutput, error) {
			return signedInAnswer(s.SignInByLink(ctx, Secret(in.Body.Token), platform.TenantID(in.Body.Organization), SessionKind(in.Body.Session)))
		})
	rest.Handle(api, postAgain("auth.emailCode.request", "/v1/auth/email-code", "Have a code mailed that signs in", platform.Public(), http.StatusAccepted),
		func(ctx context.Context, in *mailAskInput) (*flowOutput, error) {
			flow, err := s.RequestSignInCode(ctx, in.ask())
			if err != nil {
				return nil, err
			}
			return &flowOutput{CacheControl: noStore, Body: flowWire{string(flow)}}, nil
		})
	rest.Handle(api, postAgain("auth.emailCode.confirm", "/v1/auth/email-code/confirm", "Sign in with a mailed code", platform.Public(), http.StatusOK),
		func(ctx context.Context, in *codeInput) (*signedInOutput, error) {
			return signedInAnswer(s.SignInByCode(ctx, Secret(in.Body.Flow), Secret(in.Body.Code), platform.TenantID(in.Body.Organization), SessionKind(in.Body.Session)))
		})
	rest.Handle(api, postAgain("auth.emails.verify", "/v1/auth/emails/verify", "Confirm an address with the token of a mail", platform.Public(), http.StatusNoContent),
		func(ctx context.Context, in *mailTokenInput) (*noOutput, error) {
			return &noOutput{}, s.VerifyEmail(ctx, Secret(in.Body.Token))
		})
	rest.Handle(api, postAgain("auth.emails.restore", "/v1/auth/emails/restore", "Undo a change of the primary address with the token of the mail to the old one", platform.Public(), http.StatusNoContent),
		func(ctx context.Context, in *mailTokenInput) (*noOutput, error) {
			return &noOutput{}, s.RestoreEmail(ctx, Secret(in.Body.Token))
		})
	rest.Handle(api, postAgain("auth.signup.request", "/v1/auth/signup/request", "Have a mail sent that finishes a sign-up, or tells of the account that there is", platform.Public(), http.StatusAccepted),
		func(ctx context.Context, in *mailAskInput) (*output[askedWire], error) {
			return asked(s.RequestSignUp(ctx, in.ask()))
		})
	rest.Handle(api, postAgain("auth.signup.confirm", "/v1/auth/signup/confirm", "Finish a sign-up with the token of a mail: a user, an organization and tokens", platform.Public(), http.StatusCreated),
		func(ctx context.Context, in *confirmSignUpInput) (*signedUpOutput, error) {
			out, err := s.ConfirmSignUp(ctx, ConfirmSignUp{
				Token: Secret(in.Body.Token), Password: Secret(in.Body.Password), Name: in.Body.Name, Organization: in.Body.Organization,
				Session: SessionKind(in.Body.Session),
			})
			return signedUpAnswer(out, err)
		})
	s.routeMyEmails(api)
}

func (s *Service) routeMyEmails(api *rest.API) {
	fresh := platform.Account().Fresh(freshFor)
	rest.Handle(api, get("me.emails.list", "/v1/me/emails", "One's addresses, the primary one first", platform.Account()),
		asPerson(func(ctx context.Context, p platform.Principal, _ *noInput) (*output[emailsWire], error) {
			all, err := s.Emails(ctx, p)
			return found(all, err, func(all []Email) emailsWire {
				return emailsWire{mapped(all, func(e Email) emailWire {
					return emailWire{Email: e.Address, Primary: e.Primary, VerifiedAt: timeOrNil(e.VerifiedAt), CreatedAt: e.CreatedAt}
				})}
			})
		}))
	rest.Handle(api, postAgain("me.emails.add", "/v1/me/emails", "Add an address, or mail its link again: a mail asks to confirm it", fresh, http.StatusAccepted),
		asPerson(func(ctx context.Context, p platform.Principal, in *emailInput) (*output[askedWire], error) {
			return asked(s.AddEmail(ctx, p, in.Body.Email))
		}))
	rest.Handle(api, postAgain("me.emails.primary", "/v1/me/emails/primary", "Make a verified address the primary one; the old one is told and can undo it", fresh, http.StatusNoContent),
		asPerson(func(ctx context.Context, p platform.Principal, in *emailInput) (*noOutput, error) {
			return &noOutput{}, s.SetPrimaryEmail(ctx, p, in.Body.Email)
		}))
	rest.Handle(api, remove("me.emails.remove", "/v1/me/emails/{id}", "Remove an address that is not the primary one", fresh),
		asPerson(func(ctx context.Context, p platform.Principal, in *emailPathInput) (*noOutput, error) {
			return &noOutput{}, s.RemoveEmail(ctx, p, in.Email)
		}))
}
