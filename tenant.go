package platform

import (
	"context"
	"fmt"
	"slices"
)

// TenantID names a tenant: one organization of the product. It is opaque, at
// most 64 bytes of letters, digits, '_' and '-', and never reused.
type TenantID string

// maxTenantID is the most bytes of a TenantID.
const maxTenantID = 64

// Validate reports whether t may name a tenant. The error is an [*Error] of
// kind [KindNoTenant].
func (t TenantID) Validate() error {
	valid := len(t) > 0 && len(t) <= maxTenantID
	for i := 0; valid && i < len(t); i++ {
		c := t[i]
		valid = 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || c == '_' || c == '-'
	}
	if !valid {
		return &Error{Kind: KindNoTenant, Code: "no_tenant", Message: "the call names no valid tenant"}
	}
	return nil
}

// PrincipalKind tells what sort of caller a [Principal] is.
type PrincipalKind string

// The kinds of principal.
const (
	// PrincipalUser is a person, signed in with an access token.
	PrincipalUser PrincipalKind = "user"
	// PrincipalAPIKey is a program that presents an API key.
	PrincipalAPIKey PrincipalKind = "api_key"
	// PrincipalSystem is the platform itself or its host, acting in the background.
	PrincipalSystem PrincipalKind = "system"
)

// Principal is who makes a call, and for which tenant. The gateway puts it in
// the request's context after it has verified the credential; a service reads
// it once with [PrincipalFrom] and passes the tenant on as an argument.
type Principal struct {
	// Tenant is the organization that the credential names.
	Tenant TenantID
	// Subject is the id of the user the call is made for. For an API key it
	// is the user who owns the key.
	Subject string
	// Kind is the sort of caller.
	Kind PrincipalKind
	// Credential is the id of what was presented: the session of an access
	// token, or the API key. It is an id, never a secret.
	Credential string
	// Roles are the subject's roles in Tenant when the credential was verified.
	Roles []string
	// Scopes limit what the credential may be used for, as patterns of
	// permissions such as "data.records.read" or "data.*" (see [Grants]), and
	// of ids of operations that need no permission. A nil slice is no limit
	// beyond the roles; an empty one allows nothing.
	Scopes []string
}

// Clone returns a copy of p that shares no memory with it.
func (p Principal) Clone() Principal {
	p.Roles = slices.Clone(p.Roles)
	p.Scopes = slices.Clone(p.Scopes)
	return p
}

// String names the principal for logs. It holds no secret.
func (p Principal) String() string {
	return fmt.Sprintf("%s:%s@%s", p.Kind, p.Subject, p.Tenant)
}

type principalKey struct{}

// WithPrincipal returns a context that carries p.
func WithPrincipal(ctx context.Context, p Principal) context.Context {
	return context.WithValue(ctx, principalKey{}, p)
}

// PrincipalFrom returns the principal that ctx carries. Without one, or with
// one that names no valid tenant, it returns an [*Error] of kind
// [KindUnauthenticated]: a call that lost its principal fails, it never sees
// everything.
func PrincipalFrom(ctx context.Context) (Principal, error) {
	p, ok := ctx.Value(principalKey{}).(Principal)
	if !ok || p.Tenant.Validate() != nil {
		return Principal{}, &Error{
			Kind: KindUnauthenticated, Code: "unauthenticated",
			Message: "the request carries no valid credential",
		}
	}
	return p, nil
}
