package user

import (
	"bytes"
	"context"
	"database/sql"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"

	"github.com/acme/platform"
	"github.com/acme/platform/store"
)

// AuditHead is a place in a chain: the last record, where nothing else is said. A
// chain whose last records were cut off is still a chain: who wants to find that
// out keeps heads elsewhere and gives them to [Service.VerifyAudit].
type AuditHead struct {
	Sequence int64
	// Hash is the record's hash in hex: 64 characters in the first format, 66 in
	// the second.
	Hash string
}

// AuditCheck is what a part of a chain was found to be: whole.
type AuditCheck struct {
	// From is the first record that was looked at. What came before it was
	// removed by the retention, or looked at by the call before.
	From int64
	// Through is the last one.
	Through AuditHead
	// Complete is whether Through is the end of the chain.
	Complete bool
	// Erased is how many of the records had parts erased; their number is to be
	// that of the records that "audit.erased" tells of.
	Erased int64
	// Opaque is how many of those are of the first format: only their place in
	// the chain could be checked.
	Opaque int64
}

// ErrAuditBroken is what [Service.VerifyAudit] found: a record was changed,
// removed or put in, or the end was cut off.
var ErrAuditBroken = errors.New("user: the audit chain is broken")

// AuditBrokenError is [ErrAuditBroken] with the place.
type AuditBrokenError struct {
	// At is the first sequence that does not fit.
	At int64
}

func (e *AuditBrokenError) Error() string { return fmt.Sprintf("%v at %d", ErrAuditBroken, e.At) }

// Unwrap returns [ErrAuditBroken].
func (e *AuditBrokenError) Unwrap() error { return ErrAuditBroken }

const (
	// verifyBatch is how many records are held at once while a chain is walked.
	verifyBatch = 1000
	// verifyBatches bounds the work of one call.
	verifyBatches = 10
)

// VerifyAudit walks the whole chain of the organization and returns its head. The
// error is an [*AuditBrokenError], which is [ErrAuditBroken], where a record, the
// head, or one of the anchors does not fit. Anchors are heads that the host kept
// elsewhere: only they show that the end was cut off, or all of the chain made
// again, by someone who could also write the head; one of a record that the
// retention has removed shows nothing. The principal needs "user.audit.read".
func (s *Service) VerifyAudit(ctx context.Context, p platform.Principal, anchors ...AuditHead) (AuditHead, error) {
	var at AuditHead
	for {
		check, err := s.CheckAudit(ctx, p, at, anchors...)
		if err != nil || check.Complete {
			return check.Through, err
		}
		at = check.Through
	}
}

// CheckAudit walks on from a place that an earlier call came to (Through), or from
// the beginning, for up to 10,000 records. Errors are those of
// [Service.VerifyAudit].
func (s *Service) CheckAudit(ctx context.Context, p platform.Principal, after AuditHead, anchors ...AuditHead) (AuditCheck, error) {
	if err := s.Authorize(ctx, p, permAuditRead); err != nil {
		return AuditCheck{}, err
	}
	return s.checkAudit(ctx, p.Tenant, after, anchors)
}

// CheckOperatorAudit is [Service.CheckAudit] for the installation's own chain. The
// principal must be an operator or the system.
func (s *Service) CheckOperatorAudit(ctx context.Context, p platform.Principal, after AuditHead, anchors ...AuditHead) (AuditCheck, error) {
	if err := operates(p); err != nil {
		return AuditCheck{}, err
	}
	return s.checkAudit(ctx, platform.NoTenant, after, anchors)
}

func (s *Service) checkAudit(ctx context.Context, tenant platform.TenantID, after AuditHead, anchors []AuditHead) (AuditCheck, error) {
	var check AuditCheck
	err := s.readAudit(ctx, tenant, func(ctx context.Context, tx store.Queries) error {
		w := &auditWalk{tenant: tenant, anchors: anchors}
		err := w.begin(ctx, tx, after)
		for range s.verifyBatches {
			if err != nil || w.check.Complete {
				break
			}
			err = w.batch(ctx, tx)
		}
		check = w.check
		return err
	})
	return check, err
}

// auditWalk checks one record of a chain after the other.
type auditWalk struct {
	tenant   platform.TenantID
	anchors  []AuditHead
	head     auditEnds
	sequence int64
	hash     []byte
	check    AuditCheck
}

// auditEnds are what the chain has outside of its records: its last one, and the
// last of those that were removed.
type auditEnds struct {
	sequence, floor int64
	hash, floorHash []byte
}

func auditEndsOf(ctx context.Context, tx store.Queries, tenant platform.TenantID) (auditEnds, error) {
	var e auditEnds
	err := tx.QueryRow(ctx, `SELECT sequence, hash, floor_sequence, floor_hash FROM user_audit_heads WHERE tenant = ?`, string(tenant)).
		Scan(&e.sequence, &e.hash, &e.floor, &e.floorHash)
	if errors.Is(err, sql.ErrNoRows) {
		err = nil
	}
	return e, err
}

// begin goes to the place after which records are checked.
func (w *auditWalk) begin(ctx context.Context, tx store.Queries, after AuditHead) (err error) {
	if w.head, err = auditEndsOf(ctx, tx, w.tenant); err != nil {
		return err
	}
	w.sequence, w.hash = w.head.floor, w.head.floorHash
	if err := w.removed(ctx, tx); err != nil {
		return err
	}
	if after.Sequence > w.sequence {
		w.sequence = after.Sequence
		if w.hash, err = hex.DecodeString(after.Hash); err != nil {
			return field("query.after", "format", "the place that the call before came to")
		}
	}
	for _, a := range w.anchors {
		if a.Sequence > w.head.sequence {
			return w.broken(w.head.sequence + 1)
		}
	}
	// Records that no head counts were put in.
	var beyond int64
	err = tx.QueryRow(ctx, `SELECT sequence FROM user_audit WHERE tenant = ? AND sequence > ? ORDER BY sequence LIMIT 1`,
		string(w.tenant), w.head.sequence).Scan(&beyond)
	if err == nil {
		return w.broken(w.head.sequence + 1)
	} else if !errors.Is(err, sql.ErrNoRows) {
		return err
	}
	w.check.From = w.sequence + 1
	return w.arrived()
}

// removed refuses a beginning that is missing without a record of its removal.
func (w *auditWalk) removed(ctx context.Context, tx store.Queries) error {
	if w.head.floor == 0 {
		return nil
	}
	var raw string
	err := tx.QueryRow(ctx, `SELECT detail FROM user_audit WHERE tenant = ? AND action = ? AND sequence > ?
		ORDER BY time DESC, sequence DESC LIMIT 1`, string(w.tenant), actionTrimmed, w.head.floor).Scan(&raw)
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		return err
	}
	var told map[string]string
	if err != nil || json.Unmarshal([]byte(raw), &told) != nil || told["through"] != strconv.FormatInt(w.head.floor, 10) ||
		told["hash"] != hex.EncodeToString(w.head.floorHash) {
		return w.broken(w.head.floor + 1)
	}
	return nil
}

// batch checks the next records.
func (w *auditWalk) batch(ctx context.Context, tx store.Queries) error {
	rows, err := queryAll(ctx, tx, scanAudit, `SELECT `+auditColumns+` FROM user_audit WHERE tenant = ? AND sequence > ? ORDER BY sequence LIMIT ?`,
		string(w.tenant), w.sequence, verifyBatch)
	if err != nil {
		return err
	}
	for _, r := range rows {
		ok, opaque := r.holds(w.tenant)
		if !ok || r.Sequence != w.sequence+1 || !bytes.Equal(r.previous, w.hash) {
			return w.broken(w.sequence + 1)
		}
		w.sequence, w.hash = r.Sequence, r.hash
		if r.erased != 0 {
			w.check.Erased++
		}
		if opaque {
			w.check.Opaque++
		}
		if err := w.arrived(); err != nil {
			return err
		}
	}
	if len(rows) < verifyBatch && !w.check.Complete { // the end is not where the head says
		return w.broken(w.sequence + 1)
	}
	return nil
}

// arrived compares the place with the anchors and the head.
func (w *auditWalk) arrived() error {
	w.check.Through = AuditHead{Sequence: w.sequence, Hash: hex.EncodeToString(w.hash)}
	for _, a := range w.anchors {
		if a.Sequence == w.sequence && a.Hash != w.check.Through.Hash {
			return w.broken(w.sequence)
		}
	}
	switch {
	case w.sequence < w.head.sequence:
	case w.sequence > w.head.sequence:
		return w.broken(w.head.sequence + 1)
	case !bytes.Equal(w.hash, w.head.hash):
		return w.broken(w.sequence)
	default:
		w.check.Complete = true
	}
	return nil
}

func (w *auditWalk) broken(at int64) error { return &AuditBrokenError{At: at} }

// AuditEnd returns the head of the organization's chain, to be kept elsewhere. The
// principal needs "user.audit.read".
func (s *Service) AuditEnd(ctx context.Context, p platform.Principal) (AuditHead, error) {
	if err := s.Authorize(ctx, p, permAuditRead); err != nil {
		return AuditHead{}, err
	}
	var ends auditEnds
	err := s.readAudit(ctx, p.Tenant, func(ctx context.Context, tx store.Queries) (err error) {
		ends, err = auditEndsOf(ctx, tx, p.Tenant)
		return err
	})
	return AuditHead{Sequence: ends.sequence, Hash: hex.EncodeToString(ends.hash)}, err
}
