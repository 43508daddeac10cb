package user

import (
	"context"
	"net/http"
	"time"

	"github.com/acme/platform"
	"github.com/acme/platform/internal/rest"
)

type pendingWire struct {
	SignIn    string    `json:"sign_in" doc:"Names the half-done sign-in to the operations auth.factor.*; it is no credential"`
	Methods   []string  `json:"methods" nullable:"false" doc:"Kinds of factor that can be shown, or added where enroll is true: passkey, totp, recovery_code"`
	Enroll    bool      `json:"enroll" doc:"Whether the organization requires a factor that the person has yet to add"`
	ExpiresAt time.Time `json:"expires_at"`

	Passkey rest.Object `json:"passkey,omitempty" doc:"The options of navigator.credentials.get, where a passkey is one of the methods; auth.factor.options alone has them"`
}

func wirePending(p PendingSignIn) pendingWire {
	return pendingWire{
		SignIn: string(p.Token), Methods: notNilList(mapped(p.Methods, func(k FactorKind) string { return string(k) })),
		Enroll: p.Enroll, ExpiresAt: p.Expires, Passkey: rest.Object(p.Passkey),
	}
}

func texts(secrets []Secret) []string {
	if secrets == nil {
		return nil
	}
	return mapped(secrets, func(s Secret) string { return string(s) })
}

type pendingInput struct {
	Body struct {
		SignIn string `json:"sign_in" maxLength:"300" doc:"The sign_in of the first answer"`
	}
}

type pendingOutput struct {
	CacheControl string `header:"Cache-Control"`
	Body         pendingWire
}

type enrollInput struct {
	Body struct {
		SignIn string `json:"sign_in" maxLength:"300"`
		Method string `json:"method" enum:"totp,passkey" doc:"The kind of factor to add"`
	}
}

type enrollmentWire struct {
	TOTP    *totpWire   `json:"totp,omitempty"`
	Passkey rest.Object `json:"passkey,omitempty" doc:"The options of navigator.credentials.create"`
}

type enrollmentOutput struct {
	CacheControl string `header:"Cache-Control"`
	Body         enrollmentWire
}

type proveInput struct {
	Body struct {
		SignIn       string `json:"sign_in" maxLength:"300"`
		Code         string `json:"code,omitempty" maxLength:"20" doc:"Six digits of the authenticator app" example:"123456"`
		RecoveryCode string `json:"recovery_code,omitempty" maxLength:"60"`

		Passkey     rest.Object `json:"passkey,omitempty" doc:"What the browser has answered, as toJSON of PublicKeyCredential gives it"`
		PasskeyName string      `json:"passkey_name,omitempty" maxLength:"400" doc:"Names a passkey that is just added" example:"Laptop"`
	}
}

type totpWire struct {
	Seed string `json:"seed" doc:"The shared secret in base 32; shown this once"`
	URI  string `json:"uri" doc:"The otpauth URI, for a QR code"`
}

type totpOutput struct {
	CacheControl string `header:"Cache-Control"`
	Body         totpWire
}

type totpCodeInput struct {
	Body struct {
		Code string `json:"code" maxLength:"20" doc:"Six digits of the new app" example:"123456"`
	}
}

type recoveryCodesWire struct {
	RecoveryCodes []string `json:"recovery_codes" nullable:"false" doc:"Each works once in place of a second factor; shown this once"`
}

type recoveryCodesOutput struct {
	CacheControl string `header:"Cache-Control"`
	Body         recoveryCodesWire
}

func recoveryCodesAnswer(codes []Secret, err error) (*recoveryCodesOutput, error) {
	if err != nil {
		return nil, err
	}
	return &recoveryCodesOutput{CacheControl: noStore, Body: recoveryCodesWire{notNilList(texts(codes))}}, nil
}

type factorsWire struct {
	TOTPSince         *time.Time `json:"totp_since,omitempty" doc:"When the authenticator app was added; absent where there is none"`
	Passkeys          int        `json:"passkeys" doc:"How many there are"`
	RecoveryCodesLeft int        `json:"recovery_codes_left"`
}

func (s *Service) routeFactors(api *rest.API) {
	rest.Handle(api, postAgain("auth.factor.options", "/v1/auth/factor/options", "What a half-done sign-in waits for", platform.Public(), http.StatusOK),
		func(ctx context.Context, in *pendingInput) (*pendingOutput, error) {
			out, err := s.FactorOptions(ctx, Secret(in.Body.SignIn))
			if err != nil {
				return nil, err
			}
			return &pendingOutput{CacheControl: noStore, Body: wirePending(out)}, nil
		})
	rest.Handle(api, postAgain("auth.factor.enroll", "/v1/auth/factor/enroll", "Begin a second factor that the organization requires", platform.Public(), http.StatusOK),
		func(ctx context.Context, in *enrollInput) (*enrollmentOutput, error) {
			out, err := s.EnrollFactor(ctx, Secret(in.Body.SignIn), FactorKind(in.Body.Method))
			if err != nil {
				return nil, err
			}
			body := enrollmentWire{Passkey: rest.Object(out.Passkey)}
			if out.TOTP != nil {
				body.TOTP = &totpWire{string(out.TOTP.Seed), string(out.TOTP.URI)}
			}
			return &enrollmentOutput{CacheControl: noStore, Body: body}, nil
		})
	rest.Handle(api, postAgain("auth.factor.verify", "/v1/auth/factor/verify", "Finish a sign-in with a second factor", platform.Public(), http.StatusOK),
		func(ctx context.Context, in *proveInput) (*signedInOutput, error) {
			return signedInAnswer(s.VerifyFactor(ctx, Secret(in.Body.SignIn), FactorProof{
				Code: Secret(in.Body.Code), RecoveryCode: Secret(in.Body.RecoveryCode),
				Passkey: givenPasskey(in.Body.Passkey), PasskeyName: in.Body.PasskeyName,
			}))
		})
	rest.Handle(api, get("me.factors.get", "/v1/me/factors", "One's second factors", platform.Account()),
		asPerson(func(ctx context.Context, p platform.Principal, _ *noInput) (*output[factorsWire], error) {
			f, err := s.Factors(ctx, p)
			return found(f, err, func(f Factors) factorsWire {
				return factorsWire{TOTPSince: timeOrNil(f.TOTPSince), Passkeys: f.Passkeys, RecoveryCodesLeft: f.RecoveryCodes}
			})
		}))
	rest.Handle(api, postAgain("me.totp.begin", "/v1/me/totp", "Begin an authenticator app; its first code confirms it", platform.Account().Fresh(freshFor), http.StatusOK),
		asPerson(func(ctx context.Context, p platform.Principal, _ *noInput) (*totpOutput, error) {
			out, err := s.BeginTOTP(ctx, p)
			if err != nil {
				return nil, err
			}
			return &totpOutput{CacheControl: noStore, Body: totpWire{string(out.Seed), string(out.URI)}}, nil
		}))
	rest.Handle(api, postAgain("me.totp.confirm", "/v1/me/totp/confirm", "Add the authenticator app", platform.Account().Fresh(freshFor), http.StatusOK),
		asPerson(func(ctx context.Context, p platform.Principal, in *totpCodeInput) (*recoveryCodesOutput, error) {
			return recoveryCodesAnswer(s.ConfirmTOTP(ctx, p, Secret(in.Body.Code)))
		}))
	rest.Handle(api, remove("me.totp.remove", "/v1/me/totp", "Remove the authenticator app", platform.Account().Fresh(freshFor)),
		asPerson(func(ctx context.Context, p platform.Principal, _ *noInput) (*noOutput, error) {
			return &noOutput{}, s.RemoveTOTP(ctx, p)
		}))
	rest.Handle(api, postAgain("me.recoveryCodes.create", "/v1/me/recovery-codes", "Replace one's recovery codes with new ones", platform.Account().Fresh(freshFor), http.StatusOK),
		asPerson(func(ctx context.Context, p platform.Principal, _ *noInput) (*recoveryCodesOutput, error) {
			return recoveryCodesAnswer(s.MakeRecoveryCodes(ctx, p))
		}))
}
