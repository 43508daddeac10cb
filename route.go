package platform

import "net/http"

// Route is one HTTP operation of a module. A gateway mounts it. Path is a
// [net/http.ServeMux] pattern without the method, and Handler reads its
// parameters with [net/http.Request.PathValue]; a router that is no gateway can
// mount it too, and then checks Access itself and says so with [WithAccess],
// without which Handler refuses (see [CheckAccess]).
type Route struct {
	// Operation is the stable id, "service.noun.verb": "data.records.create".
	Operation string
	// Method is the HTTP method, in upper case.
	Method string
	// Path is the pattern: "/v1/data/collections/{collection}".
	Path string
	// Access says who may call. The zero value is refused at start-up.
	Access Access
	// Accept names the authenticators of the gateway that the operation takes
	// credentials from; nil is all of them. A name that the gateway does not
	// have is refused at start-up.
	Accept []string
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
	// Retry says what a second call of a POST does. Every POST of this module's
	// services declares it; other methods leave it out, since they may be
	// repeated (RFC 9110, section 9.2.2) or name the version they change.
	Retry Retry
	// Summary is one line for the API description.
	Summary string
	// Handler serves the operation.
	Handler http.Handler
}
