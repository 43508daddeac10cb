package platform

import "net/http"

// Route is one HTTP operation of a module. A gateway mounts it; so can any
// router, since Path is a [net/http.ServeMux] pattern without the method and
// Handler reads its parameters with [net/http.Request.PathValue].
type Route struct {
	// Operation is the stable id, "service.noun.verb": "data.records.create".
	Operation string
	// Method is the HTTP method, in upper case.
	Method string
	// Path is the pattern: "/v1/data/collections/{collection}".
	Path string
	// Access says who may call. The zero value is refused at start-up.
	Access Access
	// MaxBody is the largest request body in bytes. Zero is the gateway's
	// default; a negative number is no limit, for handlers that stream and
	// bound what they keep.
	MaxBody int64
	// Stream marks an operation that may take long and answers bit by bit;
	// the gateway then sets no deadline for it.
	Stream bool
	// Live marks a Stream that has no end of its own; the gateway ends it when
	// the caller's credential does.
	Live bool
	// Cacheable allows the gateway to keep answers of this GET, by caller,
	// as far as their Cache-Control and ETag allow (RFC 9111).
	Cacheable bool
	// Summary is one line for the API description.
	Summary string
	// Handler serves the operation.
	Handler http.Handler
}

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
