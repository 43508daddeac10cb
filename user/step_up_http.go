package user

import (
	"context"
	"net/http"

	"github.com/acme/platform"
	"github.com/acme/platform/internal/rest"
)

type stepUpInput struct {
	Body struct {
		Password     string `json:"password,omitempty" maxLength:"1024" doc:"Enough where one has no second factor" example:"correct horse battery"`
		Code         string `json:"code,omitempty" maxLength:"20" doc:"Six digits of the authenticator app" example:"123456"`
		RecoveryCode string `json:"recovery_code,omitempty" maxLength:"60"`

		Passkey rest.Object `json:"passkey,omitempty" doc:"What the browser has answered, as toJSON of PublicKeyCredential gives it"`
	}
}

type stepUpOptionsWire struct {
	Methods []string    `json:"methods" nullable:"false" doc:"One's second factors: passkey, totp, recovery_code; without any it is the password"`
	Passkey rest.Object `json:"passkey,omitempty" doc:"The options of navigator.credentials.get, where a passkey is one of the methods"`
}

type stepUpOptionsOutput struct {
	CacheControl string `header:"Cache-Control"`
	Body         stepUpOptionsWire
}

func (s *Service) routeStepUp(api *rest.API) {
	rest.Handle(api, postAgain("auth.stepUp.options", "/v1/auth/step-up/options", "What a step-up can be made with", platform.Account(), http.StatusOK),
		asPerson(func(ctx context.Context, p platform.Principal, _ *noInput) (*stepUpOptionsOutput, error) {
			out, err := s.StepUpOptions(ctx, p)
			if err != nil {
				return nil, err
			}
			return &stepUpOptionsOutput{CacheControl: noStore, Body: stepUpOptionsWire{
				Methods: notNilList(mapped(out.Methods, func(k FactorKind) string { return string(k) })), Passkey: rest.Object(out.Passkey),
			}}, nil
		}))
	rest.Handle(api, postAgain("auth.stepUp", "/v1/auth/step-up", "Prove again who one is, before a sensitive act", platform.Account(), http.StatusOK),
		asPerson(func(ctx context.Context, p platform.Principal, in *stepUpInput) (*signedInOutput, error) {
			return signedInAnswer(s.StepUp(ctx, p, StepUp{Password: Secret(in.Body.Password), FactorProof: FactorProof{
				Code: Secret(in.Body.Code), RecoveryCode: Secret(in.Body.RecoveryCode), Passkey: givenPasskey(in.Body.Passkey),
			}}))
		}))
}
