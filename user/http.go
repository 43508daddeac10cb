package user

import (
	"context"
	"net/http"
	"time"

	"github.com/acme/platform"
	"github.com/acme/platform/internal/page"
	"github.com/acme/platform/internal/rest"
)

// routes registers all operations.
func (s *Service) routes() *rest.API {
	api := rest.New("user", s.log)
	api.Describe("Accounts, organizations, members, roles and API keys")
	s.routeAuth(api)
	s.routeFactors(api)
	s.routePasskeys(api)
	s.routeStepUp(api)
	s.routeMe(api)
	s.routeEmails(api)
	s.routeSessions(api)
	s.routeOrganizations(api)
	s.routeMembers(api)
	s.routeInvitations(api)
	s.routeRoles(api)
	s.routeTeams(api)
	s.routeAccessRules(api)
	s.routeDecisions(api)
	s.routeAPIKeys(api)
	s.routeAudit(api)
	s.routeSecurityEvents(api)
	s.routeJWKS(api)
	s.routeOperators(api)
	s.routeSigningKeys(api)
	return api
}

// Bodies of this service are small.
const maxBody = 64 << 10

// noStore keeps an answer that holds a secret out of every cache.
const noStore = "no-store"

// as reads the principal once and hands it to the method behind a route.
func as[I, O any](h func(context.Context, platform.Principal, *I) (*O, error)) func(context.Context, *I) (*O, error) {
	return func(ctx context.Context, in *I) (*O, error) {
		p, err := platform.PrincipalFrom(ctx)
		if err != nil {
			return nil, err
		}
		return h(ctx, p, in)
	}
}

// asPerson is as for operations of the level account: the principal may be of no
// organization.
func asPerson[I, O any](h func(context.Context, platform.Principal, *I) (*O, error)) func(context.Context, *I) (*O, error) {
	return func(ctx context.Context, in *I) (*O, error) {
		p, err := platform.CallerFrom(ctx)
		if err != nil {
			return nil, err
		}
		return h(ctx, p, in)
	}
}

// Inputs and outputs that several routes share.

type noInput struct{}

type noOutput struct{}

type idInput struct {
	ID string `path:"id" maxLength:"100" doc:"The id that lists and answers show"`
}

type output[T any] struct{ Body T }

type created[T any] struct {
	Location     string `header:"Location"`
	CacheControl string `header:"Cache-Control"`
	Body         T
}

func get(id, path, summary string, access platform.Access) rest.Operation {
	return rest.Operation{ID: id, Method: http.MethodGet, Path: path, Summary: summary, Access: access, MaxBody: maxBody}
}

// post is an operation that honours Idempotency-Key.
func post(id, path, summary string, access platform.Access, status int) rest.Operation {
	return rest.Operation{
		ID: id, Method: http.MethodPost, Path: path, Summary: summary, Access: access, Status: status, MaxBody: maxBody,
		Retry: platform.RetryWithKey,
	}
}

// postAgain is an operation that may be called again without a key.
func postAgain(id, path, summary string, access platform.Access, status int) rest.Operation {
	op := post(id, path, summary, access, status)
	op.Retry = platform.RetryFreely
	return op
}

func patch(id, path, summary string, access platform.Access) rest.Operation {
	return rest.Operation{ID: id, Method: http.MethodPatch, Path: path, Summary: summary, Access: access, MaxBody: maxBody}
}

func remove(id, path, summary string, access platform.Access) rest.Operation {
	return rest.Operation{ID: id, Method: http.MethodDelete, Path: path, Summary: summary, Access: access, Status: http.StatusNoContent, MaxBody: maxBody}
}

// timeOrNil leaves a time that is not set out of the answer.
func timeOrNil(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	return &t
}

// mapped turns stored things into wire ones.
func mapped[T, W any](all []T, wire func(T) W) []W {
	out := make([]W, len(all))
	for i, one := range all {
		out[i] = wire(one)
	}
	return out
}

// listed is the answer of a list.
func listed[T, W any](all []T, next string, err error, wire func(T) W) (*output[page.Output[W]], error) {
	if err != nil {
		return nil, err
	}
	return &output[page.Output[W]]{page.Output[W]{Data: mapped(all, wire), NextCursor: next}}, nil
}

func notNilList(list []string) []string {
	if list == nil {
		return []string{}
	}
	return list
}

// found is the answer of an operation that returns one thing.
func found[T, W any](one T, err error, wire func(T) W) (*output[W], error) {
	if err != nil {
		return nil, err
	}
	return &output[W]{wire(one)}, nil
}
