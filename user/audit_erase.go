package user

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/acme/platform"
	"github.com/acme/platform/store"
)

// The records that name a person are found by user_audit_people. An erasure is
// asked for in the transaction that removes the person (eraseAudit), which it
// keeps short, and carried out in batches afterwards, by whichever process comes
// first: a batch that was done is not done again.

// eraseBatch is how many records are blanked in one transaction.
const eraseBatch = 200

// EraseAudit blanks what the audits of all organizations, and of the installation,
// tell of a person: their id, credentials, addresses, and the details of what they
// did or what was done to them. Time, action, outcome and the kind of the actor
// stay, and the chains still verify. What another person did to them keeps that
// other's name. Each organization's audit records how many records were touched,
// not whose ("audit.erased"). It is for the host: no route leads here. A call
// that breaks off is finished in the background, and may be repeated.
func (s *Service) EraseAudit(ctx context.Context, person string) error {
	err := s.db.AcrossTenants(ctx, s.cross.audit, func(ctx context.Context, tx store.CrossTx) error {
		return s.eraseAudit(ctx, tx, person)
	}, store.Reserved)
	if err != nil {
		return err
	}
	return s.erasePerson(ctx, person)
}

// eraseAudit asks for the erasure of a person in the transaction that removes
// them; see [Service.EraseAudit].
func (s *Service) eraseAudit(ctx context.Context, tx store.Queries, person string) error {
	_, err := tx.Exec(ctx, `INSERT INTO user_audit_erasures (person, requested_at) VALUES (?, ?) ON CONFLICT (person) DO NOTHING`,
		person, micros(s.now()))
	if err != nil {
		return fmt.Errorf("user: ask for an erasure: %w", err)
	}
	return nil
}

// eraseAudits carries out the erasures that were asked for.
func (s *Service) eraseAudits(ctx context.Context) error {
	var people []string
	err := s.db.AcrossTenants(ctx, s.cross.audit, func(ctx context.Context, tx store.CrossTx) (err error) {
		people, err = queryAll(ctx, tx, func(row scanner) (id string, err error) { return id, row.Scan(&id) },
			`SELECT person FROM user_audit_erasures ORDER BY requested_at, person LIMIT ?`, eraseBatch)
		return err
	}, store.ReadOnly)
	for _, person := range people {
		err = errors.Join(err, s.erasePerson(ctx, person))
	}
	return err
}

func (s *Service) erasePerson(ctx context.Context, person string) error {
	for more := true; more; {
		err := s.db.AcrossTenants(ctx, s.cross.audit, func(ctx context.Context, tx store.CrossTx) (err error) {
			more, err = s.eraseSome(ctx, tx, person)
			return err
		}, store.Reserved)
		if err != nil {
			return fmt.Errorf("user: erase from the audit: %w", err)
		}
	}
	return nil
}

// auditRef is where a person is named.
type auditRef struct {
	tenant         platform.TenantID
	time, sequence int64
}

// eraseSome blanks a batch of one organization's records and writes down that it
// did; once none is left the erasure is done.
func (s *Service) eraseSome(ctx context.Context, tx store.CrossTx, person string) (more bool, err error) {
	refs, err := queryAll(ctx, tx, func(row scanner) (r auditRef, err error) { return r, row.Scan(&r.tenant, &r.time, &r.sequence) },
		`SELECT organization, time, sequence FROM user_audit_people WHERE person = ?
			AND organization = (SELECT min(organization) FROM user_audit_people WHERE person = ?) ORDER BY time, sequence LIMIT ?`,
		person, person, eraseBatch)
	if err != nil {
		return false, err
	}
	if len(refs) == 0 {
		_, err := tx.Exec(ctx, `DELETE FROM user_audit_erasures WHERE person = ?`, person)
		return false, err
	}
	// The head is locked before the records: so no other batch, and no removal of
	// old records, meets this one.
	tenant := refs[0].tenant
	if _, err := tx.Exec(ctx, `UPDATE user_audit_heads SET sequence = sequence WHERE tenant = ?`, string(tenant)); err != nil {
		return false, err
	}
	erased := 0
	for _, ref := range refs {
		touched, err := eraseOne(ctx, tx, ref, person)
		if err != nil {
			return false, err
		}
		if touched {
			erased++
		}
	}
	if erased == 0 { // another process was at it
		return true, nil
	}
	by := auditActor{kind: platform.PrincipalSystem}
	return true, s.record(ctx, tx, tenant, by, "audit.erased", "", map[string]string{"records": strconv.Itoa(erased)})
}

// eraseOne blanks what one record tells of the person, and reports whether it is
// the first erasure of the record.
func eraseOne(ctx context.Context, tx store.Queries, ref auditRef, person string) (bool, error) {
	rows, err := queryAll(ctx, tx, scanAudit, `SELECT `+auditColumns+` FROM user_audit WHERE tenant = ? AND sequence = ?`,
		string(ref.tenant), ref.sequence)
	if err != nil {
		return false, err
	}
	touched := false
	for _, r := range rows { // none where the retention has removed it
		if r.AuditRecord, err = r.filled(); err != nil {
			return false, err
		}
		touched = r.erased == 0
		r = r.without(r.partsOf(person))
		if _, err := tx.Exec(ctx, `UPDATE user_audit SET actor = ?, credential = ?, target = ?, client = ?, request_id = ?, detail = ?,
			salts = ?, erased = ? WHERE tenant = ? AND sequence = ?`,
			r.Actor, r.Credential, r.Target, r.Client, r.RequestID, r.detail, notNil(r.salts), r.erased, string(ref.tenant), ref.sequence); err != nil {
			return false, err
		}
	}
	_, err = tx.Exec(ctx, `DELETE FROM user_audit_people WHERE person = ? AND time = ? AND organization = ? AND sequence = ?`,
		person, ref.time, string(ref.tenant), ref.sequence)
	return touched, err
}

// organizationNouns begin the actions whose target is the organization's, and
// stays when who did it is erased. All others are done to what is a person's own.
var organizationNouns = []string{"invitation", "member", "organization", "role"}

// partsOf are the parts of a record that are personal to the person: all but
// what somebody else did it with, and what they did it to.
func (r auditRow) partsOf(person string) auditParts {
	var parts auditParts
	if r.Actor == person {
		parts |= partActor | partClient | partDetail
		if noun, _, _ := strings.Cut(r.Action, "."); !slices.Contains(organizationNouns, noun) {
			parts |= partTarget
		}
	}
	inDetail := slices.Contains(slices.Collect(maps.Values(r.Detail)), person)
	if r.erased&partDetail != 0 && r.Actor != person { // it named them
		inDetail = true
	}
	if inDetail || r.Target == person {
		parts |= partTarget | partDetail
		if r.Actor == "" { // the address of who tried to be them
			parts |= partClient
		}
	}
	return parts
}
