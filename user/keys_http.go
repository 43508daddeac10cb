package user

import (
	"context"
	"encoding/json"
	"net/http"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/acme/platform"
	"github.com/acme/platform/internal/rest"
)

// jwk describes a public key after RFC 7517: which members there are besides the
// first depends on the algorithm. It is for the description alone; jose writes them.
type jwk struct {
	KeyType   string `json:"kty" enum:"OKP,EC,RSA"`
	KeyID     string `json:"kid"`
	Use       string `json:"use" enum:"sig"`
	Algorithm string `json:"alg" enum:"EdDSA,ES256,RS256"`
	Curve     string `json:"crv,omitempty" doc:"Of OKP and EC"`
	X         string `json:"x,omitempty" doc:"Of OKP and EC"`
	Y         string `json:"y,omitempty" doc:"Of EC"`
	N         string `json:"n,omitempty" doc:"Of RSA"`
	E         string `json:"e,omitempty" doc:"Of RSA"`
}

type jwkSet struct {
	Keys []jwk `json:"keys" nullable:"false"`
}

// jwksMaxAge is shorter than the time for which a key is published before it
// signs (leastLead).
const jwksMaxAge = "public, max-age=300"

func (s *Service) routeJWKS(api *rest.API) {
	op := get("jwks", "/.well-known/jwks.json", "The public keys of access tokens (RFC 7517)", platform.Public())
	op.Cacheable = true
	api.HandleHTTP(op, rest.Description{Response: []rest.Media{{Type: "application/json", Value: jwkSet{}}}},
		func(w http.ResponseWriter, r *http.Request) error {
			keys, err := s.keys.published(r.Context())
			if err != nil {
				return err
			}
			body, err := json.Marshal(jose.JSONWebKeySet{Keys: mapped(keys, signingKey.jwk)})
			if err != nil {
				return err
			}
			w.Header().Set("Content-Type", "application/json")
			w.Header().Set("Cache-Control", jwksMaxAge)
			_, _ = w.Write(body) // the caller is gone if this fails
			return nil
		})
}

type signingKeyWire struct {
	ID        string    `json:"id" doc:"The kid of its tokens"`
	Algorithm string    `json:"algorithm" enum:"EdDSA,ES256,RS256"`
	CreatedAt time.Time `json:"created_at" doc:"Published from then on"`
	ActiveAt  time.Time `json:"active_at" doc:"Signs from then on"`
	RetireAt  time.Time `json:"retire_at" doc:"Signs until then"`
	ExpireAt  time.Time `json:"expire_at" doc:"Verifies until then"`
	CreatedBy string    `json:"created_by,omitempty" doc:"The operator who asked for it"`
}

func wireSigningKey(k SigningKey) signingKeyWire { return signingKeyWire(k) }

type signingKeyList struct {
	Data []signingKeyWire `json:"data" nullable:"false"`
}

func wireSigningKeys(all []SigningKey) signingKeyList {
	return signingKeyList{mapped(all, wireSigningKey)}
}

func (s *Service) routeSigningKeys(api *rest.API) {
	rest.Handle(api, get("operator.signingKeys.list", "/v1/operator/signing-keys", "The keys that sign access tokens", platform.Operator()),
		asPerson(func(ctx context.Context, p platform.Principal, _ *noInput) (*output[signingKeyList], error) {
			all, err := s.SigningKeys(ctx, p)
			return found(all, err, wireSigningKeys)
		}))
	rest.Handle(api, postAgain("operator.signingKeys.rotate", "/v1/operator/signing-keys/rotate",
		"Publish a new key, which signs in ten minutes; one that waits already is not made twice", platform.Operator(), http.StatusOK),
		asPerson(func(ctx context.Context, p platform.Principal, _ *noInput) (*output[signingKeyList], error) {
			all, err := s.RotateSigningKey(ctx, p)
			return found(all, err, wireSigningKeys)
		}))
	rest.Handle(api, remove("operator.signingKeys.revoke", "/v1/operator/signing-keys/{id}",
		"End a key and the access tokens that it has signed, at once", platform.Operator()),
		asPerson(func(ctx context.Context, p platform.Principal, in *idInput) (*noOutput, error) {
			return &noOutput{}, s.RevokeSigningKey(ctx, p, in.ID)
		}))
}
