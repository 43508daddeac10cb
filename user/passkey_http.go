package user

import (
	"context"
	"encoding/json"
	"net/http"
	"time"

	"github.com/acme/platform"
	"github.com/acme/platform/internal/rest"
)

type passkeyWire struct {
	ID           string     `json:"id" example:"pky_06d1…"`
	Name         string     `json:"name"`
	Synchronized bool       `json:"synchronized" doc:"Whether it is backed up, so that it outlives its device"`
	CreatedAt    time.Time  `json:"created_at"`
	LastUsedAt   *time.Time `json:"last_used_at,omitempty"`
}

func wirePasskey(k Passkey) passkeyWire {
	return passkeyWire{ID: k.ID, Name: k.Name, Synchronized: k.Synchronized, CreatedAt: k.CreatedAt, LastUsedAt: timeOrNil(k.LastUsedAt)}
}

// passkeyOptionsWire holds options for the browser: they are given to
// PublicKeyCredential.parseCreationOptionsFromJSON or parseRequestOptionsFromJSON.
type passkeyOptionsWire struct {
	PublicKey rest.Object `json:"public_key" nullable:"false" doc:"What PublicKeyCredential.parseCreationOptionsFromJSON or parseRequestOptionsFromJSON takes"`
}

type passkeyOptionsOutput struct {
	CacheControl string `header:"Cache-Control"`
	Body         passkeyOptionsWire
}

func passkeyOptionsAnswer(options json.RawMessage, err error) (*passkeyOptionsOutput, error) {
	if err != nil {
		return nil, err
	}
	return &passkeyOptionsOutput{CacheControl: noStore, Body: passkeyOptionsWire{rest.Object(options)}}, nil
}

// givenPasskey is nil where the member is absent or null.
func givenPasskey(o rest.Object) json.RawMessage {
	if len(o) == 0 || string(o) == "null" {
		return nil
	}
	return json.RawMessage(o)
}

type newPasskeyInput struct {
	Body struct {
		Name    string      `json:"name" maxLength:"400" example:"Laptop"`
		Passkey rest.Object `json:"passkey" doc:"What the browser has answered, as toJSON of PublicKeyCredential gives it"`
	}
}

type newPasskeyWire struct {
	Passkey       passkeyWire `json:"passkey"`
	RecoveryCodes []string    `json:"recovery_codes,omitempty" nullable:"false" doc:"Come with one's first factor; each works once, shown this once"`
}

type passkeysWire struct {
	Data []passkeyWire `json:"data" nullable:"false"`
}

type passkeyChangeInput struct {
	ID   string `path:"id" maxLength:"100" doc:"The id that lists and answers show"`
	Body struct {
		Name string `json:"name" maxLength:"400" example:"Laptop"`
	}
}

type passkeyLoginInput struct {
	Body struct {
		Passkey      rest.Object `json:"passkey" doc:"What the browser has answered, as toJSON of PublicKeyCredential gives it"`
		Organization string      `json:"organization,omitempty" maxLength:"64" doc:"Id of the organization to sign in to; if absent the one where one last was, else the first that was joined, else none"`
		Session      string      `json:"session,omitempty" enum:"token,cookie" doc:"How to hold the session: token (the default) answers with tokens, cookie sets a cookie that no script reads, for browsers"`
	}
}

func (s *Service) routePasskeys(api *rest.API) {
	rest.Handle(api, postAgain("auth.passkey.options", "/v1/auth/passkey/options", "Begin a sign-in with a passkey alone", platform.Public(), http.StatusOK),
		func(ctx context.Context, _ *noInput) (*passkeyOptionsOutput, error) {
			return passkeyOptionsAnswer(s.PasskeyLogInOptions(ctx))
		})
	rest.Handle(api, postAgain("auth.passkey.verify", "/v1/auth/passkey/verify", "Sign in with a passkey alone", platform.Public(), http.StatusOK),
		func(ctx context.Context, in *passkeyLoginInput) (*signedInOutput, error) {
			return signedInAnswer(s.LogInWithPasskey(ctx, PasskeyLogIn{
				Answer: givenPasskey(in.Body.Passkey), Organization: platform.TenantID(in.Body.Organization),
				Session: SessionKind(in.Body.Session),
			}))
		})
	rest.Handle(api, get("me.passkeys.list", "/v1/me/passkeys", "One's passkeys, at most 20", platform.Account()),
		asPerson(func(ctx context.Context, p platform.Principal, _ *noInput) (*output[passkeysWire], error) {
			all, err := s.Passkeys(ctx, p)
			return found(all, err, func(all []Passkey) passkeysWire { return passkeysWire{mapped(all, wirePasskey)} })
		}))
	rest.Handle(api, postAgain("me.passkeys.options", "/v1/me/passkeys/options", "Begin a passkey", platform.Account().Fresh(freshFor), http.StatusOK),
		asPerson(func(ctx context.Context, p platform.Principal, _ *noInput) (*passkeyOptionsOutput, error) {
			return passkeyOptionsAnswer(s.PasskeyOptions(ctx, p))
		}))
	rest.Handle(api, postAgain("me.passkeys.create", "/v1/me/passkeys", "Add the passkey that the browser has made", platform.Account().Fresh(freshFor), http.StatusCreated),
		asPerson(func(ctx context.Context, p platform.Principal, in *newPasskeyInput) (*created[newPasskeyWire], error) {
			added, codes, err := s.AddPasskey(ctx, p, in.Body.Name, givenPasskey(in.Body.Passkey))
			if err != nil {
				return nil, err
			}
			return &created[newPasskeyWire]{
				Location: "/v1/me/passkeys/" + added.ID, CacheControl: noStore,
				Body: newPasskeyWire{Passkey: wirePasskey(added), RecoveryCodes: texts(codes)},
			}, nil
		}))
	rest.Handle(api, patch("me.passkeys.update", "/v1/me/passkeys/{id}", "Rename a passkey", platform.Account()),
		asPerson(func(ctx context.Context, p platform.Principal, in *passkeyChangeInput) (*output[passkeyWire], error) {
			k, err := s.RenamePasskey(ctx, p, in.ID, in.Body.Name)
			return found(k, err, wirePasskey)
		}))
	rest.Handle(api, remove("me.passkeys.remove", "/v1/me/passkeys/{id}", "Remove a passkey", platform.Account().Fresh(freshFor)),
		asPerson(func(ctx context.Context, p platform.Principal, in *idInput) (*noOutput, error) {
			return &noOutput{}, s.RemovePasskey(ctx, p, in.ID)
		}))
}
