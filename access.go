package platform

import (
	"context"
	"time"
)

// Access is who may call a [Route].
type Access struct {
	level      accessLevel
	permission string
	maxAge     time.Duration
}

type accessLevel uint8

const (
	accessUndeclared accessLevel = iota
	accessPublic
	accessAccount
	accessAuthenticated
	accessPermission
	accessOperator
)

// levelNames are in the order of the constants.
var levelNames = [...]string{"", "public", "account", "authenticated", "permission", "operator"}

// Public lets everybody call, without a credential.
func Public() Access { return Access{level: accessPublic} }

// Account lets a person call, for what concerns the person alone, whether they
// have chosen an organization or not: the [Principal] may be one of [NoTenant].
// The handler reads it with [CallerFrom]. API keys and agents of a person pass
// as well, within their scopes.
func Account() Access { return Access{level: accessAccount} }

// Authenticated lets every valid credential of a tenant call: for what concerns
// the caller alone. One with scopes needs one that grants the operation's id.
func Authenticated() Access { return Access{level: accessAuthenticated} }

// Require lets those call whose roles and scopes grant the permission, such as
// "data.records.write". It panics on an empty permission.
func Require(permission string) Access {
	if permission == "" {
		panic("platform: Require needs a permission")
	}
	return Access{level: accessPermission, permission: permission}
}

// Operator lets those call who run the installation. Their principals are of
// [NoTenant], and the operations are about the installation; what one of them
// does to a tenant stands in that tenant's audit record. The handler reads the
// principal with [CallerFrom].
func Operator() Access { return Access{level: accessOperator} }

// Fresh returns a with a further condition: the person has signed in within the
// age. Who has not is asked to sign in again (see [Reauthenticate]); a credential
// that nobody signs in with, such as an API key, never passes. It panics where a
// has no person behind it, as Public and Operator, and where age is not positive.
func (a Access) Fresh(age time.Duration) Access {
	if a.level == accessUndeclared || a.level == accessPublic || a.level == accessOperator || age <= 0 {
		panic("platform: Fresh needs Account, Authenticated or Require, and a positive age")
	}
	a.maxAge = age
	return a
}

// Declared reports whether a is not the zero value.
func (a Access) Declared() bool { return a.level != accessUndeclared }

// Level returns "public", "account", "authenticated", "permission" or
// "operator", and "" for the zero value.
func (a Access) Level() string { return levelNames[a.level] }

// Public reports whether no credential is needed.
func (a Access) Public() bool { return a.level == accessPublic }

// Permission returns the permission that is needed, or "" for the other levels.
func (a Access) Permission() string { return a.permission }

// MaxAge returns the age that [Access.Fresh] set, or 0.
func (a Access) MaxAge() time.Duration { return a.maxAge }

// Admits returns nil where a principal of p's kind, tenant and scopes may call
// the operation. Two questions remain for the caller, in this order: whether the
// roles grant [Access.Permission], and whether p has signed in within
// [Access.MaxAge] (see [Principal.SignedInWithin]). Errors are [*Error]s of
// [KindForbidden], and of [KindUnauthenticated] where p names no scope at all.
func (a Access) Admits(p Principal, operation string) error {
	if a.level == accessPublic {
		return nil
	}
	if p.Tenant.ValidateScope() != nil {
		return &Error{Kind: KindUnauthenticated, Message: "the request carries no valid credential"}
	}
	scope := operation
	switch a.level {
	case accessOperator:
		if p.Kind != PrincipalOperator || p.Tenant != NoTenant {
			return Errorf(KindForbidden, "operator_required", "this operation is for the operators of the installation")
		}
	case accessAccount:
		if p.Subject == "" || p.Kind == PrincipalOperator || p.Kind == PrincipalService {
			return Errorf(KindForbidden, "person_required", "this operation is for people")
		}
	case accessAuthenticated, accessPermission:
		if p.Tenant == NoTenant || p.Kind == PrincipalOperator {
			return errTenantNeeded()
		}
		if a.permission != "" {
			scope = a.permission
		}
	default:
		return Errorf(KindInternal, "", "%s declares no access", operation)
	}
	if !p.InScope(scope) {
		return Errorf(KindForbidden, "", "the credential's scopes do not reach %s", scope)
	}
	return nil
}

// signInSkew is how far ahead the clock of who noted the sign-in may be.
const signInSkew = time.Minute

// SignedInWithin reports whether the person behind p has signed in within the
// age, as of now.
func (p Principal) SignedInWithin(age time.Duration, now time.Time) bool {
	since := now.Sub(p.SignedInAt)
	return !p.SignedInAt.IsZero() && since <= age && since >= -signInSkew
}

// Reauthenticate returns the error for a principal who must sign in again,
// within the age: the answer has status 401, the code "reauthentication_required"
// and the challenge of RFC 9470, which names the age.
func Reauthenticate(age time.Duration) *Error {
	return &Error{
		Kind: KindUnauthenticated, Code: "reauthentication_required", MaxAge: age,
		Message: "this operation needs a sign-in that is more recent; sign in again",
	}
}

type accessKey struct{}

// checkedAccess is what a caller was checked for.
type checkedAccess struct {
	operation string
	tenant    TenantID
}

// WithAccess returns a context that says: the principal of ctx, or anybody where
// the route is public, was checked against the [Access] of the operation. Only
// what has made that check calls it: gateway.New, gateway.Mount, or a router of the
// host's that does their work. It is good for that operation and
// the principal's tenant alone; another operation that is called in the same
// process needs a check of its own.
func WithAccess(ctx context.Context, operation string) context.Context {
	return carry(ctx, accessKey{}, checkedAccess{operation, tenantOf(ctx)})
}

// CheckAccess returns an error where ctx does not say, by [WithAccess], that its
// principal was checked for the operation. Every handler of this module's
// services asks it first, and those of public operations too, so that a route
// that is mounted without its access check answers nothing. The error is of
// [KindInternal], since the mistake is in how the route was mounted; its text
// is for the log and names the mistake.
func CheckAccess(ctx context.Context, operation string) error {
	checked, ok := carried[checkedAccess](ctx, accessKey{})
	switch {
	case !ok:
		return Errorf(KindInternal, "", "%s was called without its access check: serve its route by gateway.New or gateway.Mount", operation)
	case checked.operation != operation:
		return Errorf(KindInternal, "", "%s was called with the access check of %s: an operation is not called through another one's request", operation, checked.operation)
	case checked.tenant != tenantOf(ctx):
		return Errorf(KindInternal, "", "%s was called for another tenant than its access check was made for", operation)
	}
	return nil
}

// tenantOf is the tenant of the principal of ctx, "" without one.
func tenantOf(ctx context.Context) TenantID {
	p, _ := carried[Principal](ctx, principalKey{})
	return p.Tenant
}

// CheckedOperation returns the operation that the principal of ctx was checked
// for, by [WithAccess], and "" where it was checked for none or for another
// tenant's principal. A service that is asked for a permission need not decide
// it again where the operation that it serves requires the same.
func CheckedOperation(ctx context.Context, p Principal) string {
	checked, ok := carried[checkedAccess](ctx, accessKey{})
	if !ok || checked.tenant != p.Tenant {
		return ""
	}
	return checked.operation
}
