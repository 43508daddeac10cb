package gateway

import (
	"fmt"
	"net/http"
	"strings"

	"github.com/acme/platform"
)

// notForwarded are what a client says that an upstream must never take for the
// gateway's word, and credentials, which are for the gateway alone.
var notForwarded = [...]string{
	"Authorization", "X-Api-Key", "Cookie", assertionHeader, "Forwarded",
	"X-Real-Ip", "X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Proto",
	// An upgrade to HTTP/2 over plain TCP opens a connection on which the
	// client speaks to the upstream without the gateway (RFC 7540, section 3.2).
	"Http2-Settings",
}

// cleanRequestHeader removes from the header or the trailer of a client what
// must not reach an upstream: the fields above, and each whose name has other
// characters than letters, digits and '-'. Servers that hand fields on as
// variables make "X_Forwarded_For" and "X-Forwarded-For" the same.
func cleanRequestHeader(h http.Header) {
	for _, name := range notForwarded {
		delete(h, name)
	}
	for name := range h {
		if !plainName(name) {
			delete(h, name)
		}
	}
}

func plainName(name string) bool {
	for i := range len(name) {
		switch c := name[i]; {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', c == '-':
		default:
			return false
		}
	}
	return true
}

// switchesProtocol reports whether the request may take the connection over:
// a WebSocket on a stream. Everything else that Upgrade can ask for, such as
// "h2c", would open all paths of the upstream with headers that no one checked.
func switchesProtocol(route platform.Route, r *http.Request) bool {
	upgrade := r.Header["Upgrade"]
	return route.Stream && r.Method == http.MethodGet && r.ProtoMajor == 1 &&
		r.ContentLength == 0 && len(upgrade) == 1 && strings.EqualFold(upgrade[0], "websocket")
}

// badAnswerError is an answer that is not valid HTTP, or not one to this request.
type badAnswerError struct{ status int }

func (e *badAnswerError) Error() string {
	return fmt.Sprintf("gateway: the upstream answered with the status %d, which cannot be sent on", e.status)
}

// checkStatus refuses what net/http would panic on, and statuses that no client
// understands (RFC 9110, section 15).
func checkStatus(resp *http.Response) error {
	switch {
	case resp.StatusCode == http.StatusSwitchingProtocols && resp.Request.Header["Upgrade"] != nil:
		return nil
	case resp.StatusCode < http.StatusOK || resp.StatusCode > 599:
		return &badAnswerError{resp.StatusCode}
	}
	return nil
}
