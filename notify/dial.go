package notify

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"syscall"
	"time"
)

// errBadSecret says that an endpoint has no secret to sign with.
var errBadSecret = errors.New("notify: the endpoint has no usable secret")

// errPrivateAddress is why a webhook is not sent.
var errPrivateAddress = errors.New("the address is not a public one")

// notPublic are the IPv4 networks that IANA's special-purpose registry
// (RFC 6890) does not call globally reachable, multicast and the reserved
// rest, and one public address that Azure answers its metadata on.
var notPublic = prefixes(
	"0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12",
	"192.0.0.0/24", "192.0.2.0/24", "192.88.99.0/24", "192.168.0.0/16", "198.18.0.0/15",
	"198.51.100.0/24", "203.0.113.0/24", "224.0.0.0/3", "168.63.129.16/32",
)

// notPublic6 are the parts of 2000::/3 that are not reachable or that hold an
// IPv4 address (Teredo, 6to4). Everything outside 2000::/3 is refused:
// loopback, link-local, unique local, NAT64, multicast.
var (
	public6    = netip.MustParsePrefix("2000::/3")
	notPublic6 = prefixes("2001::/23", "2001:db8::/32", "2002::/16", "3fff::/20")
)

func prefixes(texts ...string) []netip.Prefix {
	out := make([]netip.Prefix, len(texts))
	for i, t := range texts {
		out[i] = netip.MustParsePrefix(t)
	}
	return out
}

// public reports whether a tenant's webhook may be sent to the address.
func public(a netip.Addr) bool {
	if a.Zone() != "" {
		return false
	}
	a = a.Unmap()
	list := notPublic
	if a.Is6() {
		if !public6.Contains(a) {
			return false
		}
		list = notPublic6
	}
	for _, p := range list {
		if p.Contains(a) {
			return false
		}
	}
	return a.IsValid()
}

// publicOnly looks at the address that is really dialled, after names were
// resolved, so that a name that resolves to something else the second time
// gains nothing.
func publicOnly(_ context.Context, _, address string, _ syscall.RawConn) error {
	ap, err := netip.ParseAddrPort(address)
	if err != nil {
		return fmt.Errorf("dial %s: %w", address, err)
	}
	if !public(ap.Addr()) {
		return errPrivateAddress
	}
	return nil
}

// newHTTPClient returns the client that webhooks are sent with: no proxy (it
// would resolve names behind our back), no redirects, no cookies, and bounds
// on everything a receiver can make us wait for or read.
func newHTTPClient(allowPrivate bool) *http.Client {
	dialer := &net.Dialer{Timeout: 5 * time.Second, KeepAlive: 30 * time.Second}
	if !allowPrivate {
		dialer.ControlContext = publicOnly
	}
	return &http.Client{
		Timeout: webhookTimeout,
		CheckRedirect: func(*http.Request, []*http.Request) error {
			return http.ErrUseLastResponse
		},
		Transport: &http.Transport{
			DialContext:            dialer.DialContext,
			ForceAttemptHTTP2:      true,
			MaxIdleConns:           100,
			MaxIdleConnsPerHost:    4,
			IdleConnTimeout:        30 * time.Second,
			TLSHandshakeTimeout:    5 * time.Second,
			ResponseHeaderTimeout:  webhookTimeout,
			MaxResponseHeaderBytes: 16 << 10,
		},
	}
}

// addrOf is the address of an IP, 4 or 16 bytes.
func addrOf(ip net.IP) (netip.Addr, bool) { return netip.AddrFromSlice(ip) }
