package user

import (
	"bytes"
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"strconv"
	"time"

	"github.com/acme/platform"
	"github.com/acme/platform/internal/page"
	"github.com/acme/platform/store"
)

// AuditRecord is one security event of a tenant. Records are a chain: each
// holds the hash of the one before.
type AuditRecord struct {
	ID       string
	Sequence int64
	Time     time.Time
	// Actor is the id of who did it, "" for one who was not signed in;
	// ActorKind and Credential say with what. Where somebody acted for a user,
	// Actor is who acted, and Detail names the user as "on_behalf_of".
	Actor      string
	ActorKind  platform.PrincipalKind
	Credential string
	// Action is "noun.participle": "login.failed", "api_key.created". All of them
	// are those of auditActions.
	Action string
	// Target is the id of what it was done to.
	Target string
	// Outcome is "ok" or "failed".
	Outcome   string
	RequestID string
	// Client is what Config.Client said.
	Client string
	// Detail holds no secret.
	Detail map[string]string
}

// AuditHead is the end of a tenant's chain. A chain whose last records were
// cut off is still a chain: who wants to find that out keeps heads elsewhere
// and gives them to [Service.VerifyAudit].
type AuditHead struct {
	Sequence int64
	Hash     string // SHA-256 in hex
}

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

// record appends to the tenant's chain in the transaction of the effect. The
// row of the head makes one writer of each tenant's transactions.
func (s *Service) record(ctx context.Context, tx store.Queries, tenant platform.TenantID, by auditActor, action, target string, detail map[string]string) error {
	if by.behalf != "" {
		detail = maps.Clone(detail)
		if detail == nil {
			detail = make(map[string]string, 1)
		}
		detail["on_behalf_of"] = by.behalf
	}
	return s.append(ctx, tx, tenant, AuditRecord{
		Time: s.now().UTC(), Actor: by.id, ActorKind: by.kind, Credential: by.credential,
		Action: action, Target: target, Outcome: "ok", Detail: detail,
		RequestID: platform.RequestIDFrom(ctx), Client: clientOf(ctx),
	})
}

func (s *Service) append(ctx context.Context, tx store.Queries, tenant platform.TenantID, r AuditRecord) error {
	if err := knownAction(r.Action); err != nil {
		return err
	}
	r.ID = s.newID("aud")
	r.Time = fromMicros(micros(r.Time))
	var previous []byte
	err := tx.QueryRow(ctx, `INSERT INTO user_audit_heads (tenant, sequence, hash) VALUES (?, 1, ?)
		ON CONFLICT (tenant) DO UPDATE SET sequence = user_audit_heads.sequence + 1
		RETURNING sequence, hash`, string(tenant), []byte{}).Scan(&r.Sequence, &previous)
	if err != nil {
		return fmt.Errorf("user: audit head: %w", err)
	}
	detail, err := json.Marshal(r.Detail)
	if err != nil { // strings always marshal
		return err
	}
	sum := chainHash(tenant, r, string(detail), previous)
	_, err = tx.Exec(ctx, `INSERT INTO user_audit (tenant, sequence, id, time, actor, actor_kind, credential, action, target,
		outcome, request_id, client, detail, previous, hash) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
		string(tenant), r.Sequence, r.ID, micros(r.Time), r.Actor, string(r.ActorKind), r.Credential, r.Action, r.Target,
		r.Outcome, r.RequestID, r.Client, string(detail), notNil(previous), sum)
	if err != nil {
		return fmt.Errorf("user: audit: %w", err)
	}
	_, err = tx.Exec(ctx, `UPDATE user_audit_heads SET hash = ? WHERE tenant = ?`, sum, string(tenant))
	return err
}

func notNil(b []byte) []byte {
	if b == nil {
		return []byte{}
	}
	return b
}

// chainHash is the SHA-256 of the record as a JSON array, which no two
// different records share, with the hash before it.
func chainHash(tenant platform.TenantID, r AuditRecord, detail string, previous []byte) []byte {
	canonical, err := json.Marshal([]any{
		string(tenant), r.Sequence, r.ID, micros(r.Time), r.Actor, string(r.ActorKind), r.Credential, r.Action, r.Target,
		r.Outcome, r.RequestID, r.Client, detail, hex.EncodeToString(previous),
	})
	if err != nil { // strings and numbers always marshal
		panic(err)
	}
	sum := sha256.Sum256(canonical)
	return sum[:]
}

const auditColumns = `sequence, id, time, actor, actor_kind, credential, action, target, outcome, request_id, client, detail, previous, hash`

// auditRow is a record with what chains it.
type auditRow struct {
	AuditRecord
	detail         string
	previous, hash []byte
}

func scanAudit(row scanner) (auditRow, error) {
	var (
		r    auditRow
		when int64
	)
	err := row.Scan(&r.Sequence, &r.ID, &when, &r.Actor, &r.ActorKind, &r.Credential, &r.Action, &r.Target,
		&r.Outcome, &r.RequestID, &r.Client, &r.detail, &r.previous, &r.hash)
	r.Time = fromMicros(when)
	return r, err
}

// AuditFilter chooses records; an empty part chooses all.
type AuditFilter struct {
	Action string
	Actor  string
}

// Audit returns up to limit records, the newest first, and the cursor for more.
func (s *Service) Audit(ctx context.Context, p platform.Principal, f AuditFilter, limit int, cursor string) ([]AuditRecord, string, error) {
	if err := s.Authorize(ctx, p, permAuditRead); err != nil {
		return nil, "", err
	}
	list := "audit.list:" + f.Action + ":" + f.Actor
	before := int64(1<<63 - 1)
	if key, err := page.Key(list, 1, cursor); err != nil {
		return nil, "", err
	} else if key != nil {
		if before, err = strconv.ParseInt(key[0], 10, 64); err != nil {
			return nil, "", page.BadCursor()
		}
	}
	query := `SELECT ` + auditColumns + ` FROM user_audit WHERE tenant = ? AND sequence < ?`
	args := []any{string(p.Tenant), before}
	if f.Action != "" {
		query, args = query+` AND action = ?`, append(args, f.Action)
	}
	if f.Actor != "" {
		query, args = query+` AND actor = ?`, append(args, f.Actor)
	}
	var rows []auditRow
	err := s.db.InTenant(ctx, p.Tenant, func(ctx context.Context, tx store.Tx) error {
		var err error
		rows, err = queryAll(ctx, tx, scanAudit, query+` ORDER BY sequence DESC LIMIT ?`, append(args, pageLimit(limit)+1)...)
		return err
	}, store.ReadOnly)
	if err != nil {
		return nil, "", err
	}
	rows, next := page.Cut(list, rows, pageLimit(limit), func(r auditRow) []string { return []string{strconv.FormatInt(r.Sequence, 10)} })
	records := make([]AuditRecord, len(rows))
	for i, r := range rows {
		if err := json.Unmarshal([]byte(r.detail), &r.Detail); err != nil {
			return nil, "", fmt.Errorf("user: audit detail: %w", err)
		}
		records[i] = r.AuditRecord
	}
	return records, next, nil
}

// ErrAuditBroken is what [Service.VerifyAudit] found: a record was changed,
// removed or put in, or the end was cut off.
var ErrAuditBroken = errors.New("user: the audit chain is broken")

// verifyBatch is how many records are held at once while a chain is walked.
const verifyBatch = 1000

// VerifyAudit walks the whole chain of a tenant and returns its head. The
// error is [ErrAuditBroken], with the first sequence that does not fit, where
// a record, the head, or one of the anchors does not. Anchors are heads that
// the host kept elsewhere: only they show that the end was cut off by someone
// who could also write the head. The principal needs "user.audit.read".
func (s *Service) VerifyAudit(ctx context.Context, p platform.Principal, anchors ...AuditHead) (AuditHead, error) {
	if err := s.Authorize(ctx, p, permAuditRead); err != nil {
		return AuditHead{}, err
	}
	anchored := make(map[int64]string, len(anchors))
	last := int64(0)
	for _, a := range anchors {
		anchored[a.Sequence] = a.Hash
		last = max(last, a.Sequence)
	}
	var head AuditHead
	err := s.db.InTenant(ctx, p.Tenant, func(ctx context.Context, tx store.Tx) error {
		var (
			previous []byte
			sequence int64
		)
		for {
			rows, err := queryAll(ctx, tx, scanAudit, `SELECT `+auditColumns+` FROM user_audit WHERE tenant = ? AND sequence > ? ORDER BY sequence LIMIT ?`,
				string(p.Tenant), sequence, verifyBatch)
			if err != nil {
				return err
			}
			for _, r := range rows {
				sequence++
				sum := chainHash(p.Tenant, r.AuditRecord, r.detail, previous)
				kept, isAnchor := anchored[sequence]
				if r.Sequence != sequence || !bytes.Equal(r.previous, previous) || !bytes.Equal(r.hash, sum) ||
					isAnchor && kept != hex.EncodeToString(sum) {
					return fmt.Errorf("%w at %d", ErrAuditBroken, sequence)
				}
				previous = sum
			}
			if len(rows) < verifyBatch {
				break
			}
		}
		var (
			headSequence int64
			headHash     []byte
		)
		err := tx.QueryRow(ctx, `SELECT sequence, hash FROM user_audit_heads WHERE tenant = ?`, string(p.Tenant)).Scan(&headSequence, &headHash)
		if err != nil && !errors.Is(err, sql.ErrNoRows) {
			return err
		}
		if headSequence != sequence || !bytes.Equal(headHash, previous) || last > sequence {
			return fmt.Errorf("%w at %d", ErrAuditBroken, sequence+1)
		}
		head = AuditHead{Sequence: sequence, Hash: hex.EncodeToString(previous)}
		return nil
	}, store.ReadOnly)
	return head, err
}

// pageLimit keeps a limit from Go within what HTTP allows.
func pageLimit(limit int) int {
	if limit <= 0 {
		return 50
	}
	return min(limit, 200)
}
