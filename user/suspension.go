package user

import (
	"context"
	"database/sql"
	"errors"
	"slices"
	"strings"
	"sync"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"

	"github.com/acme/platform"
	"github.com/acme/platform/store"
)

var _ platform.Suspensions = (*Service)(nil)

// suspensionLimit bounds the tenants whose status stays in memory, at some 200
// bytes each.
const suspensionLimit = 1 << 14

// suspensions remember which organizations are suspended, and who is to be told
// of changes.
type suspensions struct {
	known *lru.Cache[platform.TenantID, knownStatus]

	mu      sync.Mutex
	changed []func(platform.TenantID)
}

// knownStatus is what was read of an organization. It is not changed once made.
type knownStatus struct {
	suspended bool
	until     time.Time
	snapshot  snapshot
}

func newSuspensions() *suspensions {
	known, err := lru.New[platform.TenantID, knownStatus](suspensionLimit)
	if err != nil { // only a size that is not positive fails
		panic(err)
	}
	return &suspensions{known: known}
}

// SetOrganizationStatus suspends an organization, or resumes it. It is for the
// host; an operator has [Service.OperateOrganization]. The tokens and keys of a suspended organization
// are refused at once, and what has [Service.Suspended] asked stops its work;
// all goes on when it is active again. The change is audited and emits an event;
// a status that the organization has already changes nothing. Errors:
// KindInvalid, KindNotFound.
func (s *Service) SetOrganizationStatus(ctx context.Context, tenant platform.TenantID, status Status) error {
	_, err := s.setStatus(ctx, platform.Principal{Kind: platform.PrincipalSystem}, tenant, status)
	return err
}

// setStatus changes the status of an organization, by the system or an operator.
func (s *Service) setStatus(ctx context.Context, by platform.Principal, tenant platform.TenantID, status Status) (org Organization, err error) {
	if status != Active && status != Suspended {
		return org, field("/status", "unknown", "active or suspended")
	}
	err = s.db.AcrossTenants(ctx, s.cross.operators, func(ctx context.Context, tx store.CrossTx) error {
		ok, err := changedOne(ctx, tx, `UPDATE user_organizations SET status = ?, updated_at = ? WHERE tenant = ? AND status <> ?`,
			string(status), micros(s.now()), string(tenant), string(status))
		if err != nil {
			return err
		}
		if org, err = organizationOf(ctx, tx, tenant); err != nil || !ok {
			return err
		}
		event := "user.organization.suspended"
		if status == Active {
			event = "user.organization.resumed"
		}
		if err := s.emit(ctx, tx, tenant, event, string(tenant), by, statusEvent{Organization: string(tenant)}); err != nil {
			return err
		}
		// The installation's own audit first: its head comes first in the order.
		for _, chain := range []platform.TenantID{platform.NoTenant, tenant} {
			if err := s.record(ctx, tx, chain, byPrincipal(by), "organization.status_changed", string(tenant),
				map[string]string{"status": string(status)}); err != nil {
				return err
			}
		}
		return nil
	}, store.Reserved)
	if err != nil {
		return Organization{}, err
	}
	s.changed(ctx, tenantKey(tenant))
	return org, nil
}

// Suspended implements [platform.Suspensions]: it reports whether the organization
// is suspended, or is not there. The answer is from memory for Config.VerifyTTL,
// or until a change of the organization in whatever process, as far as
// Config.PubSub tells of it.
func (s *Service) Suspended(ctx context.Context, tenant platform.TenantID) (bool, error) {
	now := s.now()
	if k, ok := s.suspensions.known.Get(tenant); ok && now.Before(k.until) && s.changes.current(k.snapshot) {
		return k.suspended, nil
	}
	// A change between the reading and the keeping would be lost: it is then
	// not kept.
	before := s.changes.total.Load()
	var status string
	err := store.ReadRow(ctx, s.db, tenant, `SELECT status FROM user_organizations WHERE tenant = ?`, []any{string(tenant)}, &status)
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		return false, err
	}
	k := knownStatus{suspended: status != string(Active), until: now.Add(s.cfg.VerifyTTL), snapshot: s.changes.snapshot(tenantKey(tenant))}
	if s.changes.total.Load() == before {
		s.suspensions.known.Add(tenant, k)
	}
	return k.suspended, nil
}

// OnSuspension implements [platform.Suspensions]. It is told of every change of an
// organization, its roles and members among them.
func (s *Service) OnSuspension(changed func(tenant platform.TenantID)) {
	s.suspensions.mu.Lock()
	defer s.suspensions.mu.Unlock()
	s.suspensions.changed = append(s.suspensions.changed, changed)
}

// raise makes what was read before a change old, in this process, and tells those
// who act on suspensions.
func (s *Service) raise(keys ...string) {
	s.changes.raise(keys...)
	for _, key := range keys {
		if key == signingKeysKey {
			s.keys.outdated.Store(true)
			s.changes.raiseAll()
		}
		if tenant, ok := strings.CutPrefix(key, tenantKey("")); ok && tenant != "" {
			s.suspensions.tell(platform.TenantID(tenant))
			s.watchers.tell(platform.TenantID(tenant))
		}
	}
}

// raiseAll is raise where it is not known what has changed.
func (s *Service) raiseAll() {
	s.keys.outdated.Store(true)
	s.changes.raiseAll()
	s.suspensions.tell("")
	s.watchers.tell("")
}

func (s *suspensions) tell(tenant platform.TenantID) {
	s.mu.Lock()
	changed := slices.Clone(s.changed)
	s.mu.Unlock()
	for _, f := range changed {
		f(tenant)
	}
}
