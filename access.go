package platform

import "context"

// Access is who may call a [Route].
type Access struct {
	level      accessLevel
	permission string
}

type accessLevel uint8

const (
	accessUndeclared accessLevel = iota
	accessPublic
	accessAuthenticated
	accessPermission
)

// Public lets everybody call, without a credential.
func Public() Access { return Access{level: accessPublic} }

// Authenticated lets every valid credential call: for what concerns the
// caller alone. One with scopes needs one that grants the operation's id.
func Authenticated() Access { return Access{level: accessAuthenticated} }

// Require lets those call whose roles and scopes grant the permission, such as
// "data.records.write". It panics on an empty permission.
func Require(permission string) Access {
	if permission == "" {
		panic("platform: Require needs a permission")
	}
	return Access{level: accessPermission, permission: permission}
}

// Declared reports whether a is not the zero value.
func (a Access) Declared() bool { return a.level != accessUndeclared }

// Public reports whether no credential is needed.
func (a Access) Public() bool { return a.level == accessPublic }

// Permission returns the permission that is needed, or "" where being
// authenticated is enough or nothing is needed.
func (a Access) Permission() string { return a.permission }

type accessKey struct{}

// checkedAccess is what a caller was checked for.
type checkedAccess struct {
	operation string
	tenant    TenantID
}

// WithAccess returns a context that says: the principal of ctx, or anybody where
// the route is public, was checked against the [Access] of the operation. Only
// what has made that check calls it: gateway.New, gateway.VerifyAssertion, or a
// router of the host's that does their work. It is good for that operation and
// the principal's tenant alone; another operation that is called in the same
// process needs a check of its own.
func WithAccess(ctx context.Context, operation string) context.Context {
	return context.WithValue(ctx, accessKey{}, checkedAccess{operation, tenantOf(ctx)})
}

// CheckAccess returns an error where ctx does not say, by [WithAccess], that its
// principal was checked for the operation. Every handler of this module's
// services asks it first, and those of public operations too, so that a route
// that is mounted without its access check answers nothing. The error is of
// [KindInternal], since the mistake is in how the route was mounted; its text
// is for the log and names the mistake.
func CheckAccess(ctx context.Context, operation string) error {
	checked, ok := ctx.Value(accessKey{}).(checkedAccess)
	switch {
	case !ok:
		return Errorf(KindInternal, "", "%s was called without its access check: serve its route by gateway.New", operation)
	case checked.operation != operation:
		return Errorf(KindInternal, "", "%s was called with the access check of %s: an operation is not called through another one's request", operation, checked.operation)
	case checked.tenant != tenantOf(ctx):
		return Errorf(KindInternal, "", "%s was called for another tenant than its access check was made for", operation)
	}
	return nil
}

// tenantOf is the tenant of the principal of ctx, "" without one.
func tenantOf(ctx context.Context) TenantID {
	p, _ := ctx.Value(principalKey{}).(Principal)
	return p.Tenant
}
