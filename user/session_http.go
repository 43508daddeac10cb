package user

import (
	"context"
	"time"

	"github.com/acme/platform"
	"github.com/acme/platform/internal/page"
	"github.com/acme/platform/internal/rest"
)

type sessionWire struct {
	ID            string    `json:"id"`
	Name          string    `json:"name,omitempty" doc:"What the client says of itself; absent where it says nothing" example:"Firefox on Linux"`
	Address       string    `json:"address,omitempty" doc:"Network address of the sign-in; absent where it is not known" example:"203.0.113.7"`
	Organizations []string  `json:"organizations" nullable:"false" doc:"Ids of the organizations that the device is signed in to"`
	CreatedAt     time.Time `json:"created_at"`
	LastUsedAt    time.Time `json:"last_used_at" doc:"Last sign-in, refresh or change of organization; with a cookie the last request, to the minute"`
	ExpiresAt     time.Time `json:"expires_at" doc:"When it ends if it is not used before"`
	Current       bool      `json:"current" doc:"Whether it is the session that asks"`
}

func wireSession(x Session) sessionWire {
	return sessionWire{
		ID: x.ID, Name: x.Name, Address: x.Address,
		Organizations: mapped(x.Organizations, func(t platform.TenantID) string { return string(t) }),
		CreatedAt:     x.CreatedAt, LastUsedAt: x.LastUsedAt, ExpiresAt: x.ExpiresAt, Current: x.Current,
	}
}

// endedOutput is the answer to the end of sessions, which takes the cookie away
// where it was one of them.
type endedOutput struct {
	SetCookie string `header:"Set-Cookie" doc:"Takes the session cookie away, where it has ended"`
}

func (s *Service) endedAnswer(ctx context.Context, p platform.Principal, present bool, err error) (*endedOutput, error) {
	if err != nil {
		return nil, err
	}
	out := &endedOutput{}
	if session, _, ok := s.presentCookie(ctx); ok && present && session == p.Credential {
		out.SetCookie = cookieRemoved(s.cookieName)
	}
	return out, nil
}

type sessionsInput struct {
	Current bool `query:"current" doc:"End the session that asks as well"`
}

func (s *Service) routeSessions(api *rest.API) {
	rest.Handle(api, get("me.sessions.list", "/v1/me/sessions", "One's signed-in devices", platform.Account()),
		asPerson(func(ctx context.Context, p platform.Principal, in *page.Input) (*output[page.Output[sessionWire]], error) {
			all, next, err := s.Sessions(ctx, p, in.Limit, in.Cursor)
			return listed(all, next, err, wireSession)
		}))
	rest.Handle(api, remove("me.sessions.revoke", "/v1/me/sessions/{id}", "End one of one's sessions", platform.Account()),
		asPerson(func(ctx context.Context, p platform.Principal, in *idInput) (*endedOutput, error) {
			return s.endedAnswer(ctx, p, in.ID == p.Credential, s.RevokeSession(ctx, p, in.ID))
		}))
	rest.Handle(api, remove("me.sessions.clear", "/v1/me/sessions", "End one's other sessions, or all", platform.Account()),
		asPerson(func(ctx context.Context, p platform.Principal, in *sessionsInput) (*endedOutput, error) {
			return s.endedAnswer(ctx, p, in.Current, s.RevokeSessions(ctx, p, in.Current))
		}))
}
