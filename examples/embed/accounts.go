package main

import (
	"context"
	"crypto/rand"
	"net/http"
	"slices"
	"strings"
	"sync"

	"github.com/acme/platform"
	"github.com/acme/platform/gateway"
	"github.com/acme/platform/notify"
)

// accounts are the people of a host that had a login before the platform came:
// the platform takes them as they are. A map stands for the host's database.
type accounts struct {
	mu       sync.Mutex
	people   map[string]person // by id
	sessions map[string]string // the ids of people by cookie
}

type person struct {
	id, email, name string
	company         platform.TenantID
	manager         bool
}

const cookieName = "host_session"

func newAccounts(people ...person) *accounts {
	a := &accounts{people: make(map[string]person), sessions: make(map[string]string)}
	for _, p := range people {
		a.people[p.id] = p
	}
	return a
}

// signIn begins a session and returns its cookie. The host has checked a password
// or whatever it asks for.
func (a *accounts) signIn(id string) *http.Cookie {
	a.mu.Lock()
	defer a.mu.Unlock()
	c := &http.Cookie{Name: cookieName, Value: rand.Text(), Path: "/", HttpOnly: true, Secure: true, SameSite: http.SameSiteLaxMode}
	a.sessions[c.Value] = id
	return c
}

func (a *accounts) signOut(cookie string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	delete(a.sessions, cookie)
}

// Authenticators implements [standard.Accounts]: there is the cookie and nothing
// else. A browser sends a cookie with every request, also with one that another
// site caused, so it is ambient.
func (a *accounts) Authenticators() []gateway.Authenticator {
	return []gateway.Authenticator{gateway.NewAuthenticator(
		gateway.Scheme{Name: "session", Cookie: cookieName, Ambient: true}, a.authenticate)}
}

// authenticate reads the host's cookie.
func (a *accounts) authenticate(r *http.Request) (platform.Principal, bool, error) {
	cookie, err := r.Cookie(cookieName)
	if err != nil {
		return platform.Principal{}, false, nil // no credential of ours
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	p, ok := a.people[a.sessions[cookie.Value]]
	if !ok {
		return platform.Principal{}, false, platform.Errorf(platform.KindUnauthenticated, "", "the session has ended: sign in again")
	}
	return platform.Principal{Tenant: p.company, Subject: p.id, Kind: platform.PrincipalUser}, true, nil
}

// Authorize implements [gateway.Authorizer]: who is no manager only reads.
func (a *accounts) Authorize(_ context.Context, p platform.Principal, permission string) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	who, ok := a.people[p.Subject]
	if ok && who.company == p.Tenant && (who.manager || strings.HasSuffix(permission, ".read")) {
		return nil
	}
	return platform.ErrForbidden
}

// Recipients implements [notify.Directory].
func (a *accounts) Recipients(_ context.Context, tenant platform.TenantID, to notify.Audience) ([]notify.Recipient, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	var found []notify.Recipient
	for _, p := range a.people {
		managers := p.manager && (slices.Contains(to.Roles, "owner") || slices.Contains(to.Roles, "admin"))
		if p.company == tenant && (to.Everyone || managers || slices.Contains(to.Users, p.id)) {
			found = append(found, notify.Recipient{ID: p.id, Email: p.email, Name: p.name})
		}
	}
	return found, nil
}
