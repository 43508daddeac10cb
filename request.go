package platform

import (
	"context"
	"net/netip"
)

type requestIDKey struct{}

// WithRequestID returns a context that carries the id of the HTTP request
// that it serves.
func WithRequestID(ctx context.Context, id string) context.Context {
	return carry(ctx, requestIDKey{}, id)
}

// RequestIDFrom returns the id that ctx carries, or "".
func RequestIDFrom(ctx context.Context) string {
	id, _ := carried[string](ctx, requestIDKey{})
	return id
}

type clientKey struct{}

// WithClient returns a context that carries the network address of the client
// whose request it serves, as the edge knows it. The address must not come from
// a header that the client itself can set.
func WithClient(ctx context.Context, address netip.Addr) context.Context {
	return carry(ctx, clientKey{}, address)
}

// ClientFrom returns the address that ctx carries; it is not valid where none
// is known. Audit records and the counting of failed sign-ins use it.
func ClientFrom(ctx context.Context) netip.Addr {
	address, _ := carried[netip.Addr](ctx, clientKey{})
	return address
}

type schemeKey struct{}

// WithScheme returns a context that says by which scheme the client's request has
// reached the edge: "https" or "http". It must not come from a header that the
// client itself can set, unless a proxy that is trusted has set it.
func WithScheme(ctx context.Context, scheme string) context.Context {
	return carry(ctx, schemeKey{}, scheme)
}

// SchemeFrom returns the scheme that ctx carries; it is "" where it is not known,
// as behind a proxy that nobody has named.
func SchemeFrom(ctx context.Context) string {
	scheme, _ := carried[string](ctx, schemeKey{})
	return scheme
}
