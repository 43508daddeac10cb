package notify

import (
	"context"
	"net/http"
	"time"

	"github.com/acme/platform"
	"github.com/acme/platform/internal/page"
	"github.com/acme/platform/internal/rest"
)

type endpointWire struct {
	ID             string     `json:"id"`
	URL            string     `json:"url"`
	Types          []string   `json:"types"`
	Description    string     `json:"description,omitempty"`
	Enabled        bool       `json:"enabled"`
	DisabledReason string     `json:"disabled_reason,omitempty" doc:"gone or failing, where the service switched it off"`
	FailingSince   *time.Time `json:"failing_since,omitempty"`
	CreatedAt      time.Time  `json:"created_at"`
	UpdatedAt      time.Time  `json:"updated_at"`
}

// secretWire is an endpointWire with the secret.
type secretWire struct {
	ID             string     `json:"id"`
	URL            string     `json:"url"`
	Types          []string   `json:"types"`
	Description    string     `json:"description,omitempty"`
	Enabled        bool       `json:"enabled"`
	DisabledReason string     `json:"disabled_reason,omitempty"`
	FailingSince   *time.Time `json:"failing_since,omitempty"`
	CreatedAt      time.Time  `json:"created_at"`
	UpdatedAt      time.Time  `json:"updated_at"`
	Secret         string     `json:"secret" doc:"Signs the webhooks (Standard Webhooks); shown once"`
}

func wireSecret(e Endpoint, secret string) secretWire {
	w := wireEndpoint(e)
	return secretWire{
		ID: w.ID, URL: w.URL, Types: w.Types, Description: w.Description, Enabled: w.Enabled, DisabledReason: w.DisabledReason,
		FailingSince: w.FailingSince, CreatedAt: w.CreatedAt, UpdatedAt: w.UpdatedAt, Secret: secret,
	}
}

type endpointInput struct {
	Body struct {
		URL         string   `json:"url" maxLength:"2048" example:"https://hooks.example.com/acme"`
		Types       []string `json:"types" minItems:"1" maxItems:"50" doc:"Event types: exact, a prefix with \".*\", or \"*\"" example:"[\"data.record.*\"]"`
		Description string   `json:"description,omitempty" maxLength:"500"`
		Enabled     *bool    `json:"enabled,omitempty" doc:"True where it is not given"`
	}
}

type endpointPatch struct {
	ID   string `path:"id" maxLength:"100" doc:"The id that lists and answers show"`
	Body struct {
		URL         *string   `json:"url,omitempty"`
		Types       *[]string `json:"types,omitempty"`
		Description *string   `json:"description,omitempty"`
		Enabled     *bool     `json:"enabled,omitempty" doc:"True forgets earlier failures"`
	}
}

type deliveriesInput struct {
	page.Input
	ID string `path:"id" maxLength:"100" doc:"The id that lists and answers show"`
}

func wireEndpoint(e Endpoint) endpointWire {
	return endpointWire{
		ID: e.ID, URL: e.URL, Types: e.Types, Description: e.Description, Enabled: !e.Disabled, DisabledReason: e.DisabledReason,
		FailingSince: optional(e.FailingSince), CreatedAt: e.CreatedAt, UpdatedAt: e.UpdatedAt,
	}
}

func (s *Service) registerEndpoints() {
	const path, one = "/v1/notify/endpoints", "/v1/notify/endpoints/{id}"
	handle(s, with(operation("notify.endpoints.create", http.MethodPost, path, permEndpointsWrite, "Create a webhook endpoint"),
		http.StatusCreated, 0), s.httpCreateEndpoint)
	handle(s, operation("notify.endpoints.list", http.MethodGet, path, permEndpointsRead, "List webhook endpoints"), s.httpEndpoints)
	handle(s, operation("notify.endpoints.get", http.MethodGet, one, permEndpointsRead, "Get a webhook endpoint"), s.httpEndpoint)
	handle(s, operation("notify.endpoints.update", http.MethodPatch, one, permEndpointsWrite, "Change a webhook endpoint"), s.httpUpdateEndpoint)
	handle(s, operation("notify.endpoints.delete", http.MethodDelete, one, permEndpointsWrite, "Delete a webhook endpoint"), s.httpDeleteEndpoint)
	handle(s, operation("notify.endpoints.rotateSecret", http.MethodPost, one+"/rotate-secret", permEndpointsWrite,
		"Give an endpoint a new secret; the old one signs beside it for a while"), s.httpRotateSecret)
	handle(s, with(operation("notify.endpoints.test", http.MethodPost, one+"/test", permEndpointsWrite, "Send an endpoint a test event"),
		http.StatusAccepted, 0), s.httpTestEndpoint)
	handle(s, operation("notify.endpoints.deliveries", http.MethodGet, one+"/deliveries", permEndpointsRead,
		"List the deliveries to an endpoint with their attempts, newest first"), s.httpEndpointDeliveries)
}

func (s *Service) httpCreateEndpoint(ctx context.Context, p platform.Principal, in *endpointInput) (*created[secretWire], error) {
	e, secret, err := s.CreateEndpoint(ctx, p, Endpoint{
		URL: in.Body.URL, Types: in.Body.Types, Description: in.Body.Description, Disabled: in.Body.Enabled != nil && !*in.Body.Enabled,
	}, rest.IdempotencyKey(ctx))
	if err != nil {
		return nil, err
	}
	return &created[secretWire]{"/v1/notify/endpoints/" + e.ID, wireSecret(e, secret)}, nil
}

func (s *Service) httpEndpoints(ctx context.Context, p platform.Principal, in *page.Input) (*ok[page.Output[endpointWire]], error) {
	list, next, err := s.Endpoints(ctx, p, in.Limit, in.Cursor)
	if err != nil {
		return nil, err
	}
	return wires(list, next, wireEndpoint), nil
}

func (s *Service) httpEndpoint(ctx context.Context, p platform.Principal, in *byID) (*ok[endpointWire], error) {
	e, err := s.Endpoint(ctx, p, in.ID)
	if err != nil {
		return nil, err
	}
	return &ok[endpointWire]{wireEndpoint(e)}, nil
}

func (s *Service) httpUpdateEndpoint(ctx context.Context, p platform.Principal, in *endpointPatch) (*ok[endpointWire], error) {
	b := &in.Body
	e, err := s.UpdateEndpoint(ctx, p, in.ID, func(e *Endpoint) {
		set(&e.URL, b.URL)
		set(&e.Types, b.Types)
		set(&e.Description, b.Description)
		if b.Enabled != nil {
			e.Disabled = !*b.Enabled
		}
	})
	if err != nil {
		return nil, err
	}
	return &ok[endpointWire]{wireEndpoint(e)}, nil
}

func (s *Service) httpDeleteEndpoint(ctx context.Context, p platform.Principal, in *byID) (*empty, error) {
	if err := s.DeleteEndpoint(ctx, p, in.ID); err != nil {
		return nil, err
	}
	return &empty{}, nil
}

func (s *Service) httpRotateSecret(ctx context.Context, p platform.Principal, in *byID) (*ok[secretWire], error) {
	e, secret, err := s.RotateSecret(ctx, p, in.ID, rest.IdempotencyKey(ctx))
	if err != nil {
		return nil, err
	}
	return &ok[secretWire]{wireSecret(e, secret)}, nil
}

func (s *Service) httpTestEndpoint(ctx context.Context, p platform.Principal, in *byID) (*ok[deliveryWire], error) {
	d, err := s.TestEndpoint(ctx, p, in.ID, rest.IdempotencyKey(ctx))
	if err != nil {
		return nil, err
	}
	return &ok[deliveryWire]{wireDelivery(d)}, nil
}

func (s *Service) httpEndpointDeliveries(ctx context.Context, p platform.Principal, in *deliveriesInput) (*ok[page.Output[deliveryWire]], error) {
	list, next, err := s.EndpointDeliveries(ctx, p, in.ID, in.Limit, in.Cursor)
	if err != nil {
		return nil, err
	}
	return wires(list, next, wireDelivery), nil
}
