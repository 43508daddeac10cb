package user

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/acme/platform"
	"github.com/acme/platform/store"
)

// AuditRecord is one security event of an organization, or of the installation.
// Records are a chain: each holds the hash of the one before.
type AuditRecord struct {
	ID       string
	Sequence int64
	Time     time.Time
	// Actor is the id of who did it, "" for one who was not signed in, or whose
	// name was erased; ActorKind and Credential say with what. Where somebody
	// acted for a user, Actor is who acted, and Detail names the user as
	// "on_behalf_of".
	Actor      string
	ActorKind  platform.PrincipalKind
	Credential string
	// Action is "noun.participle": "login.failed", "api_key.created". [AuditActions]
	// lists them.
	Action string
	// Target is the id of what it was done to.
	Target string
	// Outcome is "ok", "failed" or "refused".
	Outcome   string
	RequestID string
	// Client is the network address of the caller, where it is known.
	Client string
	// Detail holds no secret.
	Detail map[string]string
	// Erased names the parts that [Service.EraseAudit] has blanked: "actor"
	// (with the credential), "target", "client" (with the request id), "detail".
	Erased []string
}

// The outcomes of a record.
const (
	outcomeOK      = "ok"
	outcomeFailed  = "failed"
	outcomeRefused = "refused"
)

// auditActor is who did what a record tells.
type auditActor struct {
	id         string
	kind       platform.PrincipalKind
	credential string
	behalf     string // whom id acts for, "" where that is nobody else
}

func byPrincipal(p platform.Principal) auditActor {
	by := auditActor{id: p.Subject, kind: p.Kind, credential: p.Credential}
	if p.Actor != nil {
		by.id, by.behalf = p.Attribution()
		by.kind = p.Actor.Kind
	}
	return by
}

// principal is who an event names that goes with the record.
func (a auditActor) principal() platform.Principal {
	if a.behalf == "" {
		return platform.Principal{Subject: a.id}
	}
	return platform.Principal{Subject: a.behalf, Actor: &platform.Actor{Subject: a.id, Kind: a.kind}}
}

func byUser(id, session string) auditActor {
	return auditActor{id: id, kind: platform.PrincipalUser, credential: session}
}

// record appends to the tenant's chain in the transaction of the effect; the
// chain of [platform.NoTenant] is the installation's, and takes a transaction
// across tenants. The row of the head makes one writer of each tenant's
// transactions. Who the detail is about stands in it as "user", by id, so that
// the person sees the record and a later erasure finds it.
func (s *Service) record(ctx context.Context, tx store.Queries, tenant platform.TenantID, by auditActor, action, target string, detail map[string]string) error {
	return s.append(ctx, tx, tenant, s.newRecord(ctx, by, action, target, detail))
}

// newRecord is the record of what was done now, for the request of ctx.
func (s *Service) newRecord(ctx context.Context, by auditActor, action, target string, detail map[string]string) AuditRecord {
	if by.behalf != "" {
		detail = maps.Clone(detail)
		if detail == nil {
			detail = make(map[string]string, 1)
		}
		detail["on_behalf_of"] = by.behalf
	}
	return AuditRecord{
		Time: s.now().UTC(), Actor: by.id, ActorKind: by.kind, Credential: by.credential,
		Action: action, Target: target, Outcome: outcomeOK, Detail: detail,
		RequestID: platform.RequestIDFrom(ctx), Client: clientOf(ctx),
	}
}

func (s *Service) append(ctx context.Context, tx store.Queries, tenant platform.TenantID, r AuditRecord) error {
	if err := knownAction(r.Action); err != nil {
		return err
	}
	r.ID = s.newID("aud")
	r.Time = fromMicros(micros(r.Time))
	detail, err := json.Marshal(r.Detail)
	if err != nil { // strings always marshal
		return err
	}
	row := auditRow{AuditRecord: r, detail: string(detail), salts: newSalts()}
	err = tx.QueryRow(ctx, `INSERT INTO user_audit_heads (tenant, sequence, hash) VALUES (?, 1, ?)
		ON CONFLICT (tenant) DO UPDATE SET sequence = user_audit_heads.sequence + 1
		RETURNING sequence, hash`, string(tenant), []byte{}).Scan(&row.Sequence, &row.previous)
	if err != nil {
		return fmt.Errorf("user: audit head: %w", err)
	}
	row.previous = notNil(row.previous)
	row.hash = row.chained(tenant)
	_, err = tx.Exec(ctx, `INSERT INTO user_audit (tenant, sequence, id, time, actor, actor_kind, credential, action, target,
		outcome, request_id, client, detail, previous, hash, salts) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
		string(tenant), row.Sequence, row.ID, micros(row.Time), row.Actor, string(row.ActorKind), row.Credential, row.Action, row.Target,
		row.Outcome, row.RequestID, row.Client, row.detail, row.previous, row.hash, row.salts)
	if err != nil {
		return fmt.Errorf("user: audit: %w", err)
	}
	for _, person := range row.people() {
		if _, err := tx.Exec(ctx, `INSERT INTO user_audit_people (person, time, organization, sequence) VALUES (?, ?, ?, ?)`,
			person, micros(row.Time), string(tenant), row.Sequence); err != nil {
			return fmt.Errorf("user: audit of a person: %w", err)
		}
	}
	_, err = tx.Exec(ctx, `UPDATE user_audit_heads SET hash = ? WHERE tenant = ?`, row.hash, string(tenant))
	return err
}

func notNil(b []byte) []byte {
	if b == nil {
		return []byte{}
	}
	return b
}

const auditColumns = `sequence, id, time, actor, actor_kind, credential, action, target, outcome, request_id, client, detail, previous, hash, salts, erased`

// auditRow is a record with what chains it.
type auditRow struct {
	AuditRecord
	detail         string
	previous, hash []byte
	// salts has auditSaltSize bytes for each part: its salt, or its commitment once
	// it is erased. It is empty in the first format.
	salts  []byte
	erased auditParts
}

func scanAudit(row scanner) (auditRow, error) {
	var (
		r    auditRow
		when int64
	)
	err := row.Scan(&r.Sequence, &r.ID, &when, &r.Actor, &r.ActorKind, &r.Credential, &r.Action, &r.Target,
		&r.Outcome, &r.RequestID, &r.Client, &r.detail, &r.previous, &r.hash, &r.salts, &r.erased)
	r.Time = fromMicros(when)
	return r, err
}

// filled returns the record with what is not a column of its own.
func (r auditRow) filled() (AuditRecord, error) {
	if r.detail != "" {
		if err := json.Unmarshal([]byte(r.detail), &r.Detail); err != nil {
			return AuditRecord{}, fmt.Errorf("user: audit detail: %w", err)
		}
	}
	r.Erased = r.erased.names()
	return r.AuditRecord, nil
}

func filledAll(rows []auditRow) ([]AuditRecord, error) {
	records := make([]AuditRecord, len(rows))
	for i, r := range rows {
		var err error
		if records[i], err = r.filled(); err != nil {
			return nil, err
		}
	}
	return records, nil
}

// personPrefix begins the ids of people.
const personPrefix = "usr_"

// people are the ids of those whom the record names, each once.
func (r auditRow) people() []string {
	var all []string
	for _, id := range append([]string{r.Actor, r.Target}, slices.Sorted(maps.Values(r.Detail))...) {
		if strings.HasPrefix(id, personPrefix) && !slices.Contains(all, id) {
			all = append(all, id)
		}
	}
	return all
}

// pageLimit keeps a limit from Go within what HTTP allows.
func pageLimit(limit int) int {
	if limit <= 0 {
		return 50
	}
	return min(limit, 200)
}
