package notify

import (
	"context"
	"net/http"

	"github.com/acme/platform"
	"github.com/acme/platform/internal/rest"
)

// Permissions of the routes. The inbox is the caller's own and needs none.
const (
	permMessagesRead   = "notify.messages.read"
	permMessagesWrite  = "notify.messages.write"
	permTemplatesRead  = "notify.templates.read"
	permTemplatesWrite = "notify.templates.write"
	permRulesRead      = "notify.rules.read"
	permRulesWrite     = "notify.rules.write"
	permEndpointsRead  = "notify.endpoints.read"
	permEndpointsWrite = "notify.endpoints.write"
)

// register describes the routes.
func (s *Service) register() {
	s.api = rest.New("notify", s.log)
	s.api.Describe("Messages, templates, rules, webhooks and the inbox")
	s.registerMessages()
	s.registerInbox()
	s.registerTemplates()
	s.registerRules()
	s.registerEndpoints()
	s.registerOperator()
}

// operation shortens the common form of an operation.
func operation(id, method, path, permission, summary string) rest.Operation {
	access := platform.Authenticated()
	if permission != "" {
		access = platform.Require(permission)
	}
	op := rest.Operation{ID: id, Method: method, Path: path, Access: access, Summary: summary}
	if method == http.MethodPost {
		op.Retry = platform.RetryWithKey
	}
	if method == http.MethodDelete {
		op.Status = http.StatusNoContent
	}
	return op
}

func with(op rest.Operation, status int, maxBody int64) rest.Operation {
	op.Status, op.MaxBody = status, maxBody
	return op
}

// again marks an operation that may be called again without a key.
func again(op rest.Operation) rest.Operation {
	op.Retry = platform.RetryFreely
	return op
}

// handle registers an operation that needs the caller's principal.
func handle[I, O any](s *Service, op rest.Operation, h func(context.Context, platform.Principal, *I) (*O, error)) {
	rest.Handle(s.api, op, func(ctx context.Context, in *I) (*O, error) {
		p, err := platform.PrincipalFrom(ctx)
		if err != nil {
			return nil, err
		}
		return h(ctx, p, in)
	})
}

type byID struct {
	ID string `path:"id" maxLength:"100" doc:"The id that lists and answers show"`
}

// ok answers 200, created 201 with the place, empty without a body.
type (
	ok[T any]      struct{ Body T }
	created[T any] struct {
		Location string `header:"Location"`
		Body     T
	}
	empty struct{}
)
