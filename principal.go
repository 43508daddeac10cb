package platform

import (
	"context"
	"fmt"
	"slices"
	"time"
)

// PrincipalKind tells what sort of caller a [Principal] is.
type PrincipalKind string

// The kinds of principal.
const (
	// PrincipalUser is a person who has signed in.
	PrincipalUser PrincipalKind = "user"
	// PrincipalAPIKey is a program that presents an API key of a person.
	PrincipalAPIKey PrincipalKind = "api_key"
	// PrincipalService is a program with an account of its own.
	PrincipalService PrincipalKind = "service"
	// PrincipalAgent is a program that acts for a person by that person's
	// consent. Its id is in Principal.Actor and the person's in Subject.
	PrincipalAgent PrincipalKind = "agent"
	// PrincipalOperator runs the installation. It belongs to no tenant, and
	// reaches operations of the level [Operator] and public ones alone.
	PrincipalOperator PrincipalKind = "operator"
	// PrincipalSystem is the platform itself or its host, acting in the
	// background. No request is made by it: whoever authenticates requests
	// never returns it.
	PrincipalSystem PrincipalKind = "system"
)

// Principal is who makes a call, and for which tenant. The gateway puts it in
// the request's context after it has verified the credential; a service reads
// it once, with [PrincipalFrom] or [CallerFrom], and passes it on as an argument.
type Principal struct {
	// Tenant is the organization that the credential names, or [NoTenant].
	Tenant TenantID
	// Subject is the id of the user the call is made for. For an API key it
	// is the user who owns the key.
	Subject string
	// Kind is the sort of caller.
	Kind PrincipalKind
	// Credential is the id of what was presented: the session of an access
	// token, or the API key. It is an id, never a secret.
	Credential string
	// Actor is who acts for Subject. Nil means that Subject acts.
	Actor *Actor
	// Roles are the subject's roles in Tenant when the credential was verified.
	Roles []string
	// Scopes limit what the credential may be used for, as patterns of
	// permissions such as "data.records.read" or "data.*" (see [Grants]), and
	// of ids of operations that need no permission. A nil slice is no limit
	// beyond the roles; an empty one allows nothing.
	Scopes []string
	// SignedInAt is when the person last proved who they are, as "auth_time" of
	// OpenID Connect. Renewing a token does not change it. Zero means that
	// nobody signed in, as with an API key; [Access.Fresh] then refuses.
	SignedInAt time.Time
	// Methods are the ways of that proof, by their names in RFC 8176 (the
	// claim "amr"): "pwd" is a password, "otp" a one-time code, "hwk" a key in
	// hardware.
	Methods []string
}

// Actor is who acts for somebody else, after the claim "act" of RFC 8693
// (section 4.1): an operator who helps, or an agent with a person's consent.
type Actor struct {
	// Subject is the id of who acts.
	Subject string `json:"sub"`
	// Kind is what sort of caller acts.
	Kind PrincipalKind `json:"kind"`
	// Actor is who acts for Subject in turn; nil is nobody. Only the outermost
	// actor decides anything; those within are for the record.
	Actor *Actor `json:"act,omitempty"`
}

// Clone returns a copy of p that shares no memory with it.
func (p Principal) Clone() Principal {
	p.Roles = slices.Clone(p.Roles)
	p.Scopes = slices.Clone(p.Scopes)
	p.Methods = slices.Clone(p.Methods)
	p.Actor = p.Actor.clone()
	return p
}

func (a *Actor) clone() *Actor {
	if a == nil {
		return nil
	}
	return &Actor{Subject: a.Subject, Kind: a.Kind, Actor: a.Actor.clone()}
}

// Attribution returns what an [Event] and an audit record say of a call by p:
// who acts, and for whom where that is somebody else.
func (p Principal) Attribution() (actor, onBehalfOf string) {
	if p.Actor == nil {
		return p.Subject, ""
	}
	return p.Actor.Subject, p.Subject
}

// String names the principal for logs. It holds no secret.
func (p Principal) String() string {
	if p.Actor != nil {
		return fmt.Sprintf("%s:%s@%s by %s:%s", p.Kind, p.Subject, p.Tenant, p.Actor.Kind, p.Actor.Subject)
	}
	return fmt.Sprintf("%s:%s@%s", p.Kind, p.Subject, p.Tenant)
}

type principalKey struct{}

// WithPrincipal returns a context that carries p.
func WithPrincipal(ctx context.Context, p Principal) context.Context {
	return carry(ctx, principalKey{}, p)
}

// PrincipalFrom returns the principal that ctx carries, which names a tenant.
// Without a principal it returns an [*Error] of kind [KindUnauthenticated], and
// for one of [NoTenant] an error of kind [KindForbidden]: a call that lost its
// principal fails, it never sees everything.
func PrincipalFrom(ctx context.Context) (Principal, error) {
	p, err := CallerFrom(ctx)
	if err == nil && p.Tenant == NoTenant {
		return Principal{}, errTenantNeeded()
	}
	return p, err
}

// CallerFrom is [PrincipalFrom] for operations of the levels [Account] and
// [Operator]: the principal that it returns may be one of [NoTenant].
func CallerFrom(ctx context.Context) (Principal, error) {
	p, ok := carried[Principal](ctx, principalKey{})
	if !ok || p.Tenant.ValidateScope() != nil {
		return Principal{}, &Error{
			Kind: KindUnauthenticated, Code: "unauthenticated",
			Message: "the request carries no valid credential",
		}
	}
	return p, nil
}

func errTenantNeeded() error {
	return &Error{
		Kind: KindForbidden, Code: "organization_required",
		Message: "this operation needs a credential of an organization",
	}
}
