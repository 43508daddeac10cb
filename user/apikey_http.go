package user

import (
	"context"
	"net/http"
	"time"

	"github.com/acme/platform"
	"github.com/acme/platform/internal/page"
	"github.com/acme/platform/internal/rest"
)

type apiKeyWire struct {
	ID         string     `json:"id" example:"key_06d1…"`
	UserID     string     `json:"user_id" doc:"The owner, whose roles limit the key at any time"`
	Name       string     `json:"name"`
	Prefix     string     `json:"prefix" doc:"The beginning of the key, to recognize it by"`
	Scopes     []string   `json:"scopes" nullable:"false"`
	CreatedAt  time.Time  `json:"created_at"`
	ExpiresAt  *time.Time `json:"expires_at,omitempty"`
	LastUsedAt *time.Time `json:"last_used_at,omitempty" doc:"To about half a minute"`
}

func wireAPIKey(k APIKey) apiKeyWire {
	return apiKeyWire{
		ID: k.ID, UserID: k.UserID, Name: k.Name, Prefix: k.Prefix, Scopes: notNilList(k.Scopes),
		CreatedAt: k.CreatedAt, ExpiresAt: timeOrNil(k.ExpiresAt), LastUsedAt: timeOrNil(k.LastUsedAt),
	}
}

// newAPIKeyWire is an apiKeyWire with the key itself.
type newAPIKeyWire struct {
	ID         string     `json:"id" example:"key_06d1…"`
	UserID     string     `json:"user_id"`
	Name       string     `json:"name"`
	Prefix     string     `json:"prefix"`
	Scopes     []string   `json:"scopes" nullable:"false"`
	CreatedAt  time.Time  `json:"created_at"`
	ExpiresAt  *time.Time `json:"expires_at,omitempty"`
	LastUsedAt *time.Time `json:"last_used_at,omitempty"`
	Key        string     `json:"key" doc:"Shown once"`
}

func wireNewAPIKey(k APIKey, credential Secret) newAPIKeyWire {
	w := wireAPIKey(k)
	return newAPIKeyWire{
		ID: w.ID, UserID: w.UserID, Name: w.Name, Prefix: w.Prefix, Scopes: w.Scopes,
		CreatedAt: w.CreatedAt, ExpiresAt: w.ExpiresAt, LastUsedAt: w.LastUsedAt, Key: string(credential),
	}
}

type newAPIKeyInput struct {
	Body struct {
		Name      string     `json:"name" maxLength:"400" example:"reader"`
		Scopes    []string   `json:"scopes" minItems:"1" maxItems:"50" nullable:"false" doc:"Permissions, and patterns of them such as data.*" example:"[\"data.records.read\"]"`
		ExpiresAt *time.Time `json:"expires_at,omitempty" doc:"Never where it is absent"`
	}
}

type rotateWire struct {
	GraceSeconds int64 `json:"grace_seconds,omitempty" minimum:"0" maximum:"86400" doc:"How long the old key stays valid"`
}

type rotateInput struct {
	ID   string      `path:"id" maxLength:"100" doc:"Id of the key, not the key itself"`
	Body *rotateWire // may be absent
}

type rotatedOutput struct {
	CacheControl string `header:"Cache-Control"`
	Body         newAPIKeyWire
}

func (s *Service) routeAPIKeys(api *rest.API) {
	rest.Handle(api, post("apiKeys.create", "/v1/api-keys", "Make an API key", platform.Require(permAPIKeysWrite), http.StatusCreated),
		as(func(ctx context.Context, p platform.Principal, in *newAPIKeyInput) (*created[newAPIKeyWire], error) {
			key := NewAPIKey{Name: in.Body.Name, Scopes: in.Body.Scopes}
			if in.Body.ExpiresAt != nil {
				key.ExpiresAt = *in.Body.ExpiresAt
			}
			k, credential, err := s.CreateAPIKey(ctx, p, key, rest.IdempotencyKey(ctx))
			if err != nil {
				return nil, err
			}
			return &created[newAPIKeyWire]{
				Location: "/v1/api-keys/" + k.ID, CacheControl: noStore,
				Body: wireNewAPIKey(k, credential),
			}, nil
		}))
	rest.Handle(api, get("apiKeys.list", "/v1/api-keys", "API keys of the organization", platform.Require(permAPIKeysRead)),
		as(func(ctx context.Context, p platform.Principal, in *page.Input) (*output[page.Output[apiKeyWire]], error) {
			all, next, err := s.APIKeys(ctx, p, in.Limit, in.Cursor)
			return listed(all, next, err, wireAPIKey)
		}))
	rest.Handle(api, get("apiKeys.get", "/v1/api-keys/{id}", "Get an API key, without its secret", platform.Require(permAPIKeysRead)),
		as(func(ctx context.Context, p platform.Principal, in *idInput) (*output[apiKeyWire], error) {
			k, err := s.APIKey(ctx, p, in.ID)
			return found(k, err, wireAPIKey)
		}))
	rest.Handle(api, post("apiKeys.rotate", "/v1/api-keys/{id}/rotate", "Give a key a new secret", platform.Require(permAPIKeysWrite), http.StatusOK),
		as(func(ctx context.Context, p platform.Principal, in *rotateInput) (*rotatedOutput, error) {
			var grace time.Duration
			if in.Body != nil {
				grace = time.Duration(in.Body.GraceSeconds) * time.Second
			}
			k, credential, err := s.RotateAPIKey(ctx, p, in.ID, grace, rest.IdempotencyKey(ctx))
			if err != nil {
				return nil, err
			}
			return &rotatedOutput{CacheControl: noStore, Body: wireNewAPIKey(k, credential)}, nil
		}))
	rest.Handle(api, remove("apiKeys.revoke", "/v1/api-keys/{id}", "End an API key at once", platform.Require(permAPIKeysWrite)),
		as(func(ctx context.Context, p platform.Principal, in *idInput) (*noOutput, error) {
			return &noOutput{}, s.RevokeAPIKey(ctx, p, in.ID)
		}))
}
