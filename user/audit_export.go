package user

import (
	"context"
	"encoding/hex"
	"strings"

	"github.com/acme/platform"
	"github.com/acme/platform/store"
)

// AuditEntry is a record with what chains it: enough to check the chain without
// the installation; docs/audit.md says how.
type AuditEntry struct {
	AuditRecord
	// Previous is the hash of the record before, Hash the record's own, in hex.
	Previous, Hash string
	// Salts are those of the parts actor, target, client and detail, in hex: of a
	// part that is erased, its commitment. They are nil in the first format.
	Salts []string
	// DetailText is the detail as the hash covers it.
	DetailText string
}

// AuditExport says what to export.
type AuditExport struct {
	// Filter chooses records; its order is not asked: the chain's is kept.
	Filter AuditFilter
	// After is the sequence after which to begin; 0 is the first record.
	After int64
}

const (
	// exportReach is how many records of a chain one export covers, and
	// exportBatch how many are read at once.
	exportReach = 100_000
	exportBatch = 500
)

// ExportAudit hands the organization's records to write, a batch at a time, in
// the order of the chain, each read in a short transaction of its own. One export
// covers up to 100,000 records of the chain. Before the first batch begin is told
// the last sequence that it covers, and whether there are more after that. The
// export is itself recorded ("audit.exported"). The principal needs
// "user.audit.export".
func (s *Service) ExportAudit(ctx context.Context, p platform.Principal, in AuditExport, begin func(through int64, more bool), write func([]AuditEntry) error) error {
	if err := s.Authorize(ctx, p, permAuditExport); err != nil {
		return err
	}
	return s.exportAudit(ctx, p, p.Tenant, in, begin, write)
}

// ExportOperatorAudit is [Service.ExportAudit] for the installation's own chain.
// The principal must be an operator or the system.
func (s *Service) ExportOperatorAudit(ctx context.Context, p platform.Principal, in AuditExport, begin func(through int64, more bool), write func([]AuditEntry) error) error {
	if err := operates(p); err != nil {
		return err
	}
	return s.exportAudit(ctx, p, platform.NoTenant, in, begin, write)
}

func (s *Service) exportAudit(ctx context.Context, p platform.Principal, tenant platform.TenantID, in AuditExport, begin func(int64, bool), write func([]AuditEntry) error) error {
	if err := in.Filter.check(); err != nil {
		return err
	}
	if in.After < 0 {
		return field("query.after", "range", "a sequence, or 0")
	}
	var ends auditEnds
	err := s.writeAudit(ctx, tenant, func(ctx context.Context, tx store.Queries) (err error) {
		if ends, err = auditEndsOf(ctx, tx, tenant); err != nil {
			return err
		}
		return s.record(ctx, tx, tenant, byPrincipal(p), "audit.exported", "", nil)
	})
	if err != nil {
		return err
	}
	after := max(in.After, ends.floor)
	through := min(after+s.exportReach, ends.sequence)
	begin(through, through < ends.sequence)
	for after < through {
		var rows []auditRow
		err := s.readAudit(ctx, tenant, func(ctx context.Context, tx store.Queries) (err error) {
			rows, err = queryAll(ctx, tx, scanAudit, `SELECT `+auditColumns+` FROM user_audit WHERE tenant = ? AND sequence > ? AND sequence <= ?
				ORDER BY sequence LIMIT ?`, string(tenant), after, through, exportBatch)
			return err
		})
		if err != nil {
			return err
		}
		if len(rows) == 0 { // the retention was faster
			return nil
		}
		after = rows[len(rows)-1].Sequence
		entries, err := entriesOf(rows, in.Filter)
		if err != nil {
			return err
		}
		if err := write(entries); err != nil {
			return err
		}
	}
	return nil
}

// entriesOf are the rows that the filter chooses.
func entriesOf(rows []auditRow, f AuditFilter) ([]AuditEntry, error) {
	entries := make([]AuditEntry, 0, len(rows))
	for _, r := range rows {
		if !f.chooses(r.AuditRecord) {
			continue
		}
		record, err := r.filled()
		if err != nil {
			return nil, err
		}
		e := AuditEntry{AuditRecord: record, Previous: hex.EncodeToString(r.previous), Hash: hex.EncodeToString(r.hash), DetailText: r.detail}
		if !r.firstFormat() {
			for i := range auditPartNames {
				e.Salts = append(e.Salts, hex.EncodeToString(r.salt(i)))
			}
		}
		entries = append(entries, e)
	}
	return entries, nil
}

// chooses is what a search asks the database.
func (f AuditFilter) chooses(r AuditRecord) bool {
	return (f.Actor == "" || f.Actor == r.Actor) && (f.Target == "" || f.Target == r.Target) &&
		(f.Outcome == "" || f.Outcome == r.Outcome) && (f.From.IsZero() || !r.Time.Before(f.From)) &&
		(f.To.IsZero() || r.Time.Before(f.To)) && f.choosesAction(r.Action)
}

func (f AuditFilter) choosesAction(action string) bool {
	if noun, ok := strings.CutSuffix(f.Action, ".*"); ok {
		return strings.HasPrefix(action, noun+".")
	}
	return f.Action == "" || f.Action == action
}
