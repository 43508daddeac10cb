package notify

import (
	"context"
	"net/http"
	"net/netip"

	"github.com/acme/platform"
)

// SetTransport replaces the way to the receivers of webhooks, for tests in a
// bubble of synctest, where the network would stop the clock.
func (s *Service) SetTransport(t http.RoundTripper) { s.client.Transport = t }

// Consume hands a batch to the service as the stream would.
func (s *Service) Consume(ctx context.Context, batch []platform.Event) error {
	return s.consume(ctx, batch)
}

// Signatures, Public and OneLine are tested on their own.
func Signatures(secrets []string, id string, timestamp int64, body []byte) (string, error) {
	return signatures(secrets, id, timestamp, body)
}

func Public(a netip.Addr) bool { return public(a) }

func OneLine(s string) string { return oneLine(s) }

// Client is the way to the receivers of webhooks.
func Client(allowPrivate bool) *http.Client { return newHTTPClient(allowPrivate) }

// ErrPrivateAddress is what it refuses with.
var ErrPrivateAddress = errPrivateAddress
