package user

import (
	"context"
	"math"
	"strconv"
	"time"

	"github.com/acme/platform"
	"github.com/acme/platform/internal/page"
	"github.com/acme/platform/store"
)

// SecurityEvent is a record of an audit as the person sees it whom it names.
type SecurityEvent struct {
	ID   string
	Time time.Time
	// Organization is the one whose audit it is in, "" for the installation's.
	Organization platform.TenantID
	Action       string
	Outcome      string
	// Own is whether the person did it; ActorKind says what did, "" for nobody
	// who is known, as for a failed sign-in.
	Own       bool
	ActorKind platform.PrincipalKind
	// Credential, Target and Detail are empty where somebody else did it, and
	// Client where somebody else who is known did: they are that other's.
	Credential string
	Target     string
	Client     string
	Detail     map[string]string
}

// SecurityEvents returns up to limit of what the signed-in user did, and of what
// was done to them, in all organizations, those that they have left too; the
// newest first, and the cursor for more.
func (s *Service) SecurityEvents(ctx context.Context, p platform.Principal, limit int, cursor string) ([]SecurityEvent, string, error) {
	if p.Kind != platform.PrincipalUser {
		return nil, "", errUserNeeded()
	}
	const list = "me.securityEvents.list"
	key, err := page.Key(list, 3, cursor)
	if err != nil {
		return nil, "", err
	}
	before, organization, sequence := int64(math.MaxInt64), "", int64(0)
	if key != nil {
		organization = key[1]
		if before, err = strconv.ParseInt(key[0], 10, 64); err != nil {
			return nil, "", page.BadCursor()
		}
		if sequence, err = strconv.ParseInt(key[2], 10, 64); err != nil {
			return nil, "", page.BadCursor()
		}
	}
	var rows []personalRow
	err = s.db.AcrossTenants(ctx, s.cross.audit, func(ctx context.Context, tx store.CrossTx) error {
		var err error
		rows, err = queryAll(ctx, tx, scanPersonal, `SELECT `+auditColumns+`, tenant FROM user_audit_people
			JOIN user_audit USING (time, sequence) WHERE tenant = organization AND person = ?
			AND (user_audit_people.time, organization, user_audit_people.sequence) < (?, ?, ?)
			ORDER BY user_audit_people.time DESC, organization DESC, user_audit_people.sequence DESC LIMIT ?`,
			p.Subject, before, organization, sequence, pageLimit(limit)+1)
		return err
	}, store.ReadOnly)
	if err != nil {
		return nil, "", err
	}
	rows, next := page.Cut(list, rows, pageLimit(limit), func(r personalRow) []string {
		return []string{strconv.FormatInt(micros(r.Time), 10), r.tenant, strconv.FormatInt(r.Sequence, 10)}
	})
	events := make([]SecurityEvent, len(rows))
	for i, r := range rows {
		if events[i], err = r.seenBy(p.Subject); err != nil {
			return nil, "", err
		}
	}
	return events, next, nil
}

// personalRow is a record with the organization that it is of.
type personalRow struct {
	auditRow
	tenant string
}

// scanBoth reads the columns of a record and one more.
type scanBoth struct {
	row  scanner
	more any
}

func (s scanBoth) Scan(dest ...any) error { return s.row.Scan(append(dest, s.more)...) }

func scanPersonal(row scanner) (r personalRow, err error) {
	r.auditRow, err = scanAudit(scanBoth{row, &r.tenant})
	return r, err
}

func (r personalRow) seenBy(person string) (SecurityEvent, error) {
	record, err := r.filled()
	if err != nil {
		return SecurityEvent{}, err
	}
	e := SecurityEvent{
		ID: r.ID, Time: r.Time, Action: r.Action, Outcome: r.Outcome, Own: r.Actor == person, ActorKind: r.ActorKind,
	}
	if r.tenant != string(platform.NoTenant) {
		e.Organization = platform.TenantID(r.tenant)
	}
	if e.Own {
		e.Credential, e.Target, e.Detail = record.Credential, record.Target, record.Detail
	}
	if e.Own || r.Actor == "" {
		e.Client = record.Client
	}
	return e, nil
}
