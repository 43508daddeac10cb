package user

import (
	"context"
	"crypto/subtle"
	"database/sql"
	"errors"
	"time"

	"github.com/acme/platform"
	"github.com/acme/platform/internal/page"
	"github.com/acme/platform/store"
)

// OperatorKey is the credential of who runs the installation. It reaches
// operations of the level operator and nothing of an organization.
type OperatorKey struct {
	ID        string
	Name      string
	CreatedAt time.Time
}

// operatorPrefix begins operators' keys, and operatorIDPrefix their ids.
const (
	operatorPrefix   = "op"
	operatorIDPrefix = "opk"
)

// CreateOperatorKey makes an operator's key and returns it with the credential,
// which is not kept: only the SHA-256 of its secret is. It is for the host: no
// route leads here, so that nobody becomes an operator from afar. The error is of
// [platform.KindInvalid] for a bad name.
func (s *Service) CreateOperatorKey(ctx context.Context, name string) (OperatorKey, Secret, error) {
	name, ok := cleanName(name)
	if !ok {
		return OperatorKey{}, "", platform.Invalid(nameField("/name"))
	}
	secret := randomBytes()
	key := OperatorKey{ID: s.newID(operatorIDPrefix), Name: name, CreatedAt: fromMicros(micros(s.now()))}
	err := s.db.AcrossTenants(ctx, s.cross.operators, func(ctx context.Context, tx store.CrossTx) error {
		_, err := tx.Exec(ctx, `INSERT INTO user_operator_keys (id, name, hash, created_at, revoked_at, revoked_by) VALUES (?, ?, ?, ?, 0, '')`,
			key.ID, key.Name, hashSecret(secret), micros(key.CreatedAt))
		if err != nil {
			return err
		}
		return s.record(ctx, tx, platform.NoTenant, auditActor{kind: platform.PrincipalSystem}, "operator_key.created", key.ID, nil)
	}, store.Reserved)
	if err != nil {
		return OperatorKey{}, "", err
	}
	return key, formatToken(operatorPrefix, key.ID, secret), nil
}

// OperatorKeys returns up to limit living keys, the oldest first, and the cursor
// for more. The principal must be an operator or the system.
func (s *Service) OperatorKeys(ctx context.Context, p platform.Principal, limit int, cursor string) ([]OperatorKey, string, error) {
	if err := operates(p); err != nil {
		return nil, "", err
	}
	const list = "operator.keys.list"
	after, err := afterID(list, cursor)
	if err != nil {
		return nil, "", err
	}
	var keys []OperatorKey
	err = s.db.AcrossTenants(ctx, s.cross.operators, func(ctx context.Context, tx store.CrossTx) error {
		var err error
		keys, err = queryAll(ctx, tx, scanOperatorKey, `SELECT id, name, created_at FROM user_operator_keys
			WHERE id > ? AND revoked_at = 0 ORDER BY id LIMIT ?`, after, pageLimit(limit)+1)
		return err
	}, store.ReadOnly)
	if err != nil {
		return nil, "", err
	}
	keys, next := page.Cut(list, keys, pageLimit(limit), func(k OperatorKey) []string { return []string{k.ID} })
	return keys, next, nil
}

func scanOperatorKey(row scanner) (OperatorKey, error) {
	var (
		k       OperatorKey
		created int64
	)
	err := row.Scan(&k.ID, &k.Name, &created)
	k.CreatedAt = fromMicros(created)
	return k, err
}

// RevokeOperatorKey ends a key; it is refused from then on. The principal must be
// an operator or the system. The row stays, with who has revoked it.
func (s *Service) RevokeOperatorKey(ctx context.Context, p platform.Principal, id string) error {
	if err := operates(p); err != nil {
		return err
	}
	err := s.db.AcrossTenants(ctx, s.cross.operators, func(ctx context.Context, tx store.CrossTx) error {
		ok, err := changedOne(ctx, tx, `UPDATE user_operator_keys SET revoked_at = ?, revoked_by = ? WHERE id = ? AND revoked_at = 0`,
			micros(s.now()), p.Subject, id)
		if err != nil {
			return err
		}
		if !ok {
			return platform.NotFound("operator key")
		}
		return s.record(ctx, tx, platform.NoTenant, byPrincipal(p), "operator_key.revoked", id, nil)
	}, store.Reserved)
	if err != nil {
		return err
	}
	s.changed(ctx, credentialKey(id))
	return nil
}

// AllOrganizations returns up to limit of all organizations, by id, and the
// cursor for more. The principal must be an operator or the system.
func (s *Service) AllOrganizations(ctx context.Context, p platform.Principal, limit int, cursor string) ([]Organization, string, error) {
	if err := operates(p); err != nil {
		return nil, "", err
	}
	const list = "operator.organizations.list"
	after, err := afterID(list, cursor)
	if err != nil {
		return nil, "", err
	}
	var all []Organization
	err = s.db.AcrossTenants(ctx, s.cross.operators, func(ctx context.Context, tx store.CrossTx) error {
		var err error
		all, err = queryAll(ctx, tx, scanOrganization, `SELECT `+organizationColumns+` FROM user_organizations o
			WHERE o.tenant > ? ORDER BY o.tenant LIMIT ?`, after, pageLimit(limit)+1)
		return err
	}, store.ReadOnly)
	if err != nil {
		return nil, "", err
	}
	all, next := page.Cut(list, all, pageLimit(limit), func(o Organization) []string { return []string{string(o.ID)} })
	return all, next, nil
}

// OperateOrganization is [Service.SetOrganizationStatus] for an operator, whom the
// organization's audit names, and returns the organization.
func (s *Service) OperateOrganization(ctx context.Context, p platform.Principal, organization platform.TenantID, status Status) (Organization, error) {
	if err := operates(p); err != nil {
		return Organization{}, err
	}
	if organization.Validate() != nil { // a name that no organization can have
		return Organization{}, platform.NotFound("organization")
	}
	return s.setStatus(ctx, p, organization, status)
}

// RecordOperator notes in a tenant's audit, in the transaction of the effect, that
// an operator did something to a thing of the tenant's in another service: the
// operation and the id of the thing. It is a notify.Config.Audit.
func (s *Service) RecordOperator(ctx context.Context, tx store.Tx, p platform.Principal, operation, target string) error {
	if err := operates(p); err != nil {
		return err
	}
	return s.record(ctx, tx, tx.Tenant(), byPrincipal(p), "operator.acted", target, map[string]string{"operation": operation})
}

// operates refuses who does not run the installation.
func operates(p platform.Principal) error {
	if p.Kind == platform.PrincipalSystem {
		return nil
	}
	return platform.Operator().Admits(p, "")
}

// verifyOperator returns the principal of an operator's key.
func (s *Service) verifyOperator(ctx context.Context, credential string) (platform.Principal, time.Time, error) {
	id, secret, ok := parseToken(operatorPrefix, operatorIDPrefix, secretSize, Secret(credential))
	if !ok {
		return platform.Principal{}, time.Time{}, errBadCredential()
	}
	var hash []byte
	err := s.db.AcrossTenants(ctx, s.cross.operators, func(ctx context.Context, tx store.CrossTx) error {
		return tx.QueryRow(ctx, `SELECT hash FROM user_operator_keys WHERE id = ? AND revoked_at = 0`, id).Scan(&hash)
	}, store.ReadOnly)
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		return platform.Principal{}, time.Time{}, err
	}
	if subtle.ConstantTimeCompare(hash, hashSecret(secret)) != 1 {
		return platform.Principal{}, time.Time{}, errBadCredential()
	}
	return platform.Principal{
		Tenant: platform.NoTenant, Subject: id, Kind: platform.PrincipalOperator, Credential: id,
	}, s.now().Add(s.cfg.VerifyTTL), nil
}
