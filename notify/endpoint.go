package notify

import (
	"context"
	"database/sql"
	"fmt"
	"strings"
	"time"

	"github.com/acme/platform"
	"github.com/acme/platform/store"
	"github.com/acme/platform/store/idempotency"
)

// Endpoint is an address of a tenant's that gets events as signed webhooks.
type Endpoint struct {
	ID string
	// URL is https, with a public address, at most 2,048 bytes.
	URL string
	// Types choose the events: exact types, prefixes with ".*", or "*"; 1 to 50.
	Types []string
	// Description is for people, at most 500 bytes.
	Description string
	Disabled    bool
	// DisabledReason is "gone" (the receiver answered 410) or "failing"
	// (nothing succeeded for Config.DisableAfter) where the service switched
	// it off.
	DisabledReason string
	// FailingSince is the first failure since the last success, or zero.
	FailingSince         time.Time
	CreatedAt, UpdatedAt time.Time
}

const (
	endpointList    = "notify.endpoints"
	endpointColumns = `id, url, types, description, disabled, disabled_reason, coalesce(failing_since, 0), created_at, updated_at`
	maxTypes        = 50
	// TestEventType is the type of the event that TestEndpoint sends.
	TestEventType = "notify.test"
)

func (e *Endpoint) validate(allowPrivate bool) error {
	var f fields
	if detail, ok := checkURL(e.URL, allowPrivate); !ok {
		f.add("/url", "format", detail)
	}
	if len(e.Types) == 0 || len(e.Types) > maxTypes {
		f.add("/types", "required", fmt.Sprintf(`must be 1 to %d event types; "*" is all`, maxTypes))
	}
	for i, t := range e.Types {
		if len(t) > 200 || !eventPattern.MatchString(t) {
			f.add(fmt.Sprintf("/types/%d", i), "format", `must be an event type, a prefix with ".*", or "*"`)
		}
	}
	f.text("/description", e.Description)
	if len(e.Description) > 500 {
		f.add("/description", "too_long", "must be at most 500 bytes")
	}
	return f.err()
}

func scanEndpoint(rows *sql.Rows) (Endpoint, error) {
	var (
		e                         Endpoint
		types                     string
		failing, created, updated int64
	)
	err := rows.Scan(&e.ID, &e.URL, &types, &e.Description, &e.Disabled, &e.DisabledReason, &failing, &created, &updated)
	e.Types, e.FailingSince, e.CreatedAt, e.UpdatedAt = strings.Fields(types), micros(failing), micros(created), micros(updated)
	return e, err
}

func readEndpoint(ctx context.Context, tx store.Tx, id string) (Endpoint, error) {
	rows, err := tx.Query(ctx, `SELECT `+endpointColumns+` FROM notify_endpoints WHERE tenant = ? AND id = ?`, tx.Tenant(), id)
	found, err := collect(rows, err, scanEndpoint)
	if err != nil {
		return Endpoint{}, fmt.Errorf("notify: read endpoint: %w", err)
	}
	if len(found) == 0 {
		return Endpoint{}, platform.NotFound("endpoint")
	}
	return found[0], nil
}

// CreateEndpoint keeps a new endpoint and returns it with its secret, which is
// not shown again. Errors: KindInvalid; KindForbidden "limit_exceeded"
// beyond the limit "notify.endpoints".
func (s *Service) CreateEndpoint(ctx context.Context, p platform.Principal, e Endpoint, keys ...*platform.IdempotencyKey) (Endpoint, string, error) {
	if err := p.RequireTenant(); err != nil {
		return Endpoint{}, "", err
	}
	if err := e.validate(s.cfg.AllowPrivateNetworks); err != nil {
		return Endpoint{}, "", err
	}
	limits, err := s.cfg.Limits.Of(ctx, p.Tenant) // it may read a store of its own
	if err != nil {
		return Endpoint{}, "", err
	}
	call, err := s.repeats.Call(ctx, idempotency.Only(keys), p, "notify.endpoints.create", e)
	if err != nil {
		return Endpoint{}, "", err
	}
	secret := newSecret()
	e.ID, e.DisabledReason, e.FailingSince = s.cfg.NewID("end"), "", time.Time{}
	e.CreatedAt = micros(s.stamp())
	e.UpdatedAt = e.CreatedAt
	var out keptEndpoint
	err = s.inTenant(ctx, p, call, &out, func(ctx context.Context, tx store.Tx) error {
		if err := lockRuleset(ctx, tx); err != nil {
			return err
		}
		err := underLimit(ctx, tx, limitEndpoints, countEndpoints, limits.Endpoints)
		if err != nil {
			return err
		}
		_, err = tx.Exec(ctx, `INSERT INTO notify_endpoints (tenant, id, url, types, description, disabled, disabled_reason, created_at, updated_at)
VALUES (?, ?, ?, ?, ?, ?, '', ?, ?)`, p.Tenant, e.ID, e.URL, strings.Join(e.Types, " "), e.Description, bit(e.Disabled),
			e.CreatedAt.UnixMicro(), e.UpdatedAt.UnixMicro())
		if err == nil {
			err = s.addSecret(ctx, tx, e.ID, secret, e.CreatedAt.UnixMicro())
		}
		if err != nil {
			return fmt.Errorf("notify: create endpoint: %w", err)
		}
		out = keptEndpoint{e, secret}
		return s.endpointChanged(ctx, tx, "created", p, e)
	})
	return out.Endpoint, out.Secret, err
}

// keptEndpoint is what a second call gets, too.
type keptEndpoint struct {
	Endpoint Endpoint
	Secret   string
}

const countEndpoints = `SELECT count(*) FROM notify_endpoints WHERE tenant = ?`

func (s *Service) endpointChanged(ctx context.Context, tx store.Tx, what string, by platform.Principal, e Endpoint) error {
	return s.emit(ctx, tx, "notify.endpoint."+what, e.ID, by, map[string]any{"id": e.ID, "disabled": e.Disabled, "reason": e.DisabledReason})
}

// Endpoint returns an endpoint. Error: KindNotFound.
func (s *Service) Endpoint(ctx context.Context, p platform.Principal, id string) (Endpoint, error) {
	if err := p.RequireTenant(); err != nil {
		return Endpoint{}, err
	}
	var e Endpoint
	err := s.db.InTenant(ctx, p.Tenant, func(ctx context.Context, tx store.Tx) error {
		var err error
		e, err = readEndpoint(ctx, tx, id)
		return err
	}, store.ReadOnly)
	return e, err
}

// Endpoints returns a page of the tenant's endpoints, by id.
func (s *Service) Endpoints(ctx context.Context, p platform.Principal, limit int, cursor string) ([]Endpoint, string, error) {
	if err := p.RequireTenant(); err != nil {
		return nil, "", err
	}
	return list(ctx, s, p.Tenant, endpointList, `SELECT `+endpointColumns+` FROM notify_endpoints WHERE tenant = ? AND id > ? ORDER BY id LIMIT ?`,
		limit, cursor, scanEndpoint, func(e Endpoint) string { return e.ID })
}

// UpdateEndpoint replaces an endpoint after change has been applied to it.
// Switching it on forgets its failures. Errors: KindInvalid, KindNotFound.
func (s *Service) UpdateEndpoint(ctx context.Context, p platform.Principal, id string, change func(*Endpoint)) (Endpoint, error) {
	if err := p.RequireTenant(); err != nil {
		return Endpoint{}, err
	}
	var e Endpoint
	err := s.db.InTenant(ctx, p.Tenant, func(ctx context.Context, tx store.Tx) error {
		if err := lockRuleset(ctx, tx); err != nil {
			return err
		}
		old, err := readEndpoint(ctx, tx, id)
		if err != nil {
			return err
		}
		e = old
		change(&e)
		e.ID, e.CreatedAt, e.UpdatedAt = old.ID, old.CreatedAt, micros(s.stamp())
		e.DisabledReason, e.FailingSince = old.DisabledReason, old.FailingSince
		if e.Disabled != old.Disabled {
			e.DisabledReason, e.FailingSince = "", time.Time{}
		}
		if err := e.validate(s.cfg.AllowPrivateNetworks); err != nil {
			return err
		}
		failing := sql.NullInt64{Int64: e.FailingSince.UnixMicro(), Valid: !e.FailingSince.IsZero()}
		_, err = tx.Exec(ctx, `UPDATE notify_endpoints SET url = ?, types = ?, description = ?, disabled = ?, disabled_reason = ?,
failing_since = ?, updated_at = ? WHERE tenant = ? AND id = ?`, e.URL, strings.Join(e.Types, " "), e.Description, bit(e.Disabled),
			e.DisabledReason, failing, e.UpdatedAt.UnixMicro(), p.Tenant, id)
		if err != nil {
			return fmt.Errorf("notify: update endpoint: %w", err)
		}
		if e.Disabled != old.Disabled || e.URL != old.URL { // what failed is another thing
			if err := s.cfg.Queue.TargetRecovered(ctx, tx, jobWebhook, id); err != nil {
				return err
			}
		}
		return s.endpointChanged(ctx, tx, "updated", p, e)
	})
	return e, err
}

// DeleteEndpoint removes an endpoint with its secrets; what is still on the
// way to it fails. Error: KindNotFound.
func (s *Service) DeleteEndpoint(ctx context.Context, p platform.Principal, id string) error {
	if err := p.RequireTenant(); err != nil {
		return err
	}
	return s.db.InTenant(ctx, p.Tenant, func(ctx context.Context, tx store.Tx) error {
		if err := lockRuleset(ctx, tx); err != nil {
			return err
		}
		e, err := readEndpoint(ctx, tx, id)
		if err != nil {
			return err
		}
		for _, query := range []string{
			`DELETE FROM notify_endpoint_secrets WHERE tenant = ? AND endpoint_id = ?`,
			`DELETE FROM notify_endpoints WHERE tenant = ? AND id = ?`,
		} {
			if _, err := tx.Exec(ctx, query, p.Tenant, id); err != nil {
				return fmt.Errorf("notify: delete endpoint: %w", err)
			}
		}
		if err := s.cfg.Queue.TargetRecovered(ctx, tx, jobWebhook, id); err != nil {
			return err
		}
		return s.endpointChanged(ctx, tx, "deleted", p, e)
	})
}

// RotateSecret gives the endpoint a new secret and returns it. The one before
// signs beside it for Config.SecretGrace; an older one ends at once. Error:
// KindNotFound.
func (s *Service) RotateSecret(ctx context.Context, p platform.Principal, id string, keys ...*platform.IdempotencyKey) (Endpoint, string, error) {
	if err := p.RequireTenant(); err != nil {
		return Endpoint{}, "", err
	}
	call, err := s.repeats.Call(ctx, idempotency.Only(keys), p, "notify.endpoints.rotateSecret", id)
	if err != nil {
		return Endpoint{}, "", err
	}
	var (
		out    keptEndpoint
		secret = newSecret()
	)
	err = s.inTenant(ctx, p, call, &out, func(ctx context.Context, tx store.Tx) error {
		err := lockRuleset(ctx, tx)
		if err != nil {
			return err
		}
		e, err := readEndpoint(ctx, tx, id)
		if err != nil {
			return err
		}
		out = keptEndpoint{e, secret}
		now := s.stamp()
		_, err = tx.Exec(ctx, `DELETE FROM notify_endpoint_secrets WHERE tenant = ? AND endpoint_id = ? AND expires_at IS NOT NULL`, p.Tenant, id)
		if err == nil {
			_, err = tx.Exec(ctx, `UPDATE notify_endpoint_secrets SET expires_at = ? WHERE tenant = ? AND endpoint_id = ?`,
				now+s.cfg.SecretGrace.Microseconds(), p.Tenant, id)
		}
		if err == nil {
			err = s.addSecret(ctx, tx, id, secret, now)
		}
		if err != nil {
			return fmt.Errorf("notify: rotate secret: %w", err)
		}
		return s.emit(ctx, tx, "notify.endpoint.secret_rotated", id, p, map[string]string{"id": id})
	})
	return out.Endpoint, out.Secret, err
}
