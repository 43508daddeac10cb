package gateway

import (
	"context"
	"net/http"
	"net/netip"
	"slices"
	"strings"

	"github.com/acme/platform"
)

type clientFunc = func(*http.Request) netip.Addr

// Client puts the address of the client into the context of each request
// ([platform.ClientFrom]), as [ClientAddress] tells it, and the scheme by which
// the client has come ([platform.SchemeFrom]), as [ClientScheme] tells it; what the
// host has put there stays. [New] does so by itself: the middleware is for
// services that are served without a gateway.
func Client(trusted ...netip.Prefix) func(http.Handler) http.Handler {
	client, scheme := ClientAddress(trusted...), ClientScheme(trusted...)
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			next.ServeHTTP(w, r.WithContext(withScheme(withClient(r.Context(), r, client), r, scheme)))
		})
	}
}

// withScheme is ctx with the scheme of its request.
func withScheme(ctx context.Context, r *http.Request, scheme func(*http.Request) string) context.Context {
	if platform.SchemeFrom(ctx) != "" {
		return ctx
	}
	if s := scheme(r); s != "" {
		return platform.WithScheme(ctx, s)
	}
	return ctx
}

// ClientScheme returns a function that tells by which scheme a request's client
// has come: "https" over TLS; what X-Forwarded-Proto says where one of the
// trusted proxies has connected; "http" where somebody else has, past the
// proxies. It is "" where that is not known: without trusted proxies a request
// over plain HTTP may come from a proxy that ends TLS.
func ClientScheme(trusted ...netip.Prefix) func(*http.Request) string {
	trusted = slices.Clone(trusted)
	return func(r *http.Request) string {
		if r.TLS != nil {
			return "https"
		}
		if len(trusted) == 0 {
			return ""
		}
		peer, err := netip.ParseAddrPort(r.RemoteAddr)
		if err != nil {
			return ""
		}
		addr := peer.Addr().Unmap().WithZone("")
		if !slices.ContainsFunc(trusted, func(p netip.Prefix) bool { return p.Contains(addr) }) {
			return "http"
		}
		lines := r.Header["X-Forwarded-Proto"]
		if len(lines) == 0 {
			return ""
		}
		last := lines[len(lines)-1] // the nearest proxy's
		switch last = strings.ToLower(strings.TrimSpace(last[strings.LastIndexByte(last, ',')+1:])); last {
		case "https", "http":
			return last
		}
		return ""
	}
}

// withClient is ctx with the address of its client.
func withClient(ctx context.Context, r *http.Request, client clientFunc) context.Context {
	if platform.ClientFrom(ctx).IsValid() {
		return ctx
	}
	return platform.WithClient(ctx, client(r))
}

// knownClient is the address that [Client] has put into the context.
func knownClient(r *http.Request) netip.Addr { return platform.ClientFrom(r.Context()) }

// ClientAddress returns a function that tells the address of a request's
// client: whoever connected, unless that is one of the trusted proxies; then
// the rightmost address in X-Forwarded-For that is none of them. What stands
// left of it was written by the client and is never believed. The result is
// the zero Addr where the address is not known, as on a Unix socket.
//
// It is only as safe as the trusted proxies, each of which must append the
// address it sees to X-Forwarded-For.
func ClientAddress(trusted ...netip.Prefix) func(*http.Request) netip.Addr {
	trusted = slices.Clone(trusted)
	isTrusted := func(a netip.Addr) bool {
		for _, p := range trusted {
			if p.Contains(a) {
				return true
			}
		}
		return false
	}
	return func(r *http.Request) netip.Addr {
		peer, err := netip.ParseAddrPort(r.RemoteAddr)
		if err != nil {
			return netip.Addr{}
		}
		addr := peer.Addr().Unmap().WithZone("")
		if len(trusted) == 0 || !isTrusted(addr) {
			return addr
		}
		lines := r.Header["X-Forwarded-For"]
		for i := len(lines) - 1; i >= 0; i-- {
			rest, more := lines[i], true
			for more {
				var hop string
				if comma := strings.LastIndexByte(rest, ','); comma >= 0 {
					rest, hop = rest[:comma], rest[comma+1:]
				} else {
					hop, more = rest, false
				}
				next, err := netip.ParseAddr(strings.TrimSpace(hop))
				if err != nil {
					return addr // the last one that a trusted proxy vouched for
				}
				if addr = next.Unmap().WithZone(""); !isTrusted(addr) {
					return addr
				}
			}
		}
		return addr
	}
}

// clientNetwork is what clients are counted by: an IPv4 address, or the /64 of
// an IPv6 one, of which a single host can use every address.
func clientNetwork(a netip.Addr) netip.Addr {
	if a.Is6() {
		if p, err := a.Prefix(64); err == nil {
			return p.Addr()
		}
	}
	return a
}

// clientKey is "invalid IP" for all whose address is not known.
func clientKey(a netip.Addr) string { return clientNetwork(a).String() }
