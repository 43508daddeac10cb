package notify

import (
	"context"
	"net/http"
	"net/netip"

	"github.com/acme/platform"
	"github.com/acme/platform/store"
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

// Streams is how many live streams there are, and to how many tenants the
// service listens for them.
func (s *Service) Streams() (streams, tenants int) {
	s.live.mu.Lock()
	defer s.live.mu.Unlock()
	return s.live.streams, len(s.live.feeds)
}

// Changes collects changed inboxes as the service does until they are published.
type Changes struct{ c *changes }

// NewChanges returns an empty one.
func NewChanges() Changes { return Changes{newChanges()} }

// Add notes changed inboxes.
func (c Changes) Add(tenant platform.TenantID, users ...string) { c.c.add(tenant, users...) }

// Take returns how many users of each tenant have changed, -1 for all of them.
func (c Changes) Take() map[platform.TenantID]int {
	out := make(map[platform.TenantID]int)
	for tenant, users := range c.c.take() {
		out[tenant] = len(users)
		if users == nil {
			out[tenant] = -1
		}
	}
	return out
}

// Retain removes all that is due, as the tasks of one replica do.
func (s *Service) Retain(ctx context.Context) error {
	for _, t := range s.tasks() {
		for more := true; more; {
			var err error
			if more, err = t.Step(ctx); err != nil {
				return err
			}
		}
	}
	return nil
}

// RetainStep makes one step of a task.
func (s *Service) RetainStep(ctx context.Context, name string) (more bool, err error) {
	for _, t := range s.tasks() {
		if t.Name == name {
			return t.Step(ctx)
		}
	}
	return false, nil
}

// RemoveSecrets is a step of the removal by age.
func (s *Service) RemoveSecrets(ctx context.Context) (bool, error) { return s.removeSecrets(ctx) }

// Sealing is the step that seals what is not under the present key.
func (s *Service) Sealing() func(context.Context) (bool, error) { return s.sealing() }

// SecretsOf opens the secrets of an endpoint as an attempt does.
func (s *Service) SecretsOf(ctx context.Context, tenant platform.TenantID, endpoint string) (secrets []string, err error) {
	err = s.db.InTenant(ctx, tenant, func(ctx context.Context, tx store.Tx) error {
		state, err := s.readEndpointState(ctx, tx, endpoint)
		secrets = state.secrets
		return err
	}, store.ReadOnly)
	return secrets, err
}

// SecretTextOf opens the body of a delivery's secret text as an attempt does.
func (s *Service) SecretTextOf(ctx context.Context, tenant platform.TenantID, delivery string) (body string, err error) {
	err = s.db.InTenant(ctx, tenant, func(ctx context.Context, tx store.Tx) error {
		p, err := s.readPending(ctx, tx, delivery)
		body = p.text.body
		return err
	}, store.ReadOnly)
	return body, err
}
