package user_test

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/netip"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/acme/platform"
	"github.com/acme/platform/internal/test/testdb"
	"github.com/acme/platform/store"
	"github.com/acme/platform/user"
)

// An erasure leaves nothing of the person in any audit, keeps what others did,
// is itself recorded, and every chain still verifies, against old anchors too.
func TestEraseAudit(t *testing.T) {
	b := open(t)
	ann := b.signUp(t, "ann@example.com")
	home := platform.WithClient(t.Context(), netip.MustParseAddr("203.0.113.66"))
	home = platform.WithRequestID(home, "req_of_ben")
	ben, member := b.join(t, ann.p, "ben@example.com", "admin")
	_, err := b.UpdateOrganization(home, ben, user.OrganizationChange{Name: ptr("Bens choice")})
	noError(t, err)
	_, err = b.LogIn(home, user.LogIn{Email: "ben@example.com", Password: "not the right one"})
	want(t, err, platform.KindUnauthenticated, "")
	office := platform.WithClient(t.Context(), netip.MustParseAddr("203.0.113.5"))
	status := user.Suspended
	_, err = b.UpdateMember(office, ann.p, member.ID, user.MemberChange{Status: &status})
	noError(t, err)
	noError(t, b.Stop(t.Context()))
	anchor, err := b.VerifyAudit(t.Context(), ann.p)
	noError(t, err)

	noError(t, b.AskToErase(t.Context(), ben.Subject))
	noError(t, b.EraseAudits(t.Context()))
	if head, err := b.VerifyAudit(t.Context(), ann.p, anchor); err != nil || head.Sequence != anchor.Sequence+1 {
		t.Errorf("%+v, %v", head, err)
	}
	check, err := b.CheckAudit(t.Context(), ann.p, user.AuditHead{})
	if err != nil || check.Erased != 5 || check.Opaque != 0 || !check.Complete {
		t.Errorf("%+v, %v", check, err)
	}
	records, _, err := b.Audit(t.Context(), ann.p, user.AuditFilter{}, 0, "")
	noError(t, err)
	byAction := map[string]user.AuditRecord{}
	for _, r := range records {
		byAction[r.Action] = r
	}
	if r := byAction["audit.erased"]; r.Detail["records"] != "5" || r.Target != "" {
		t.Errorf("the erasure: %+v", r)
	}
	if r := byAction["organization.renamed"]; r.Target != string(ann.p.Tenant) || r.Actor+r.Client+r.RequestID+r.Credential != "" ||
		fmt.Sprint(r.Erased) != "[actor client detail]" || r.ActorKind != platform.PrincipalUser {
		t.Errorf("what they did: %+v", r)
	}
	if r := byAction["member.updated"]; r.Actor != ann.User.ID || r.Client != "203.0.113.5" || r.Target != "" || r.Detail != nil {
		t.Errorf("what another did to them: %+v", r)
	}
	var stored string
	for _, table := range []string{"user_audit", "user_audit_people", "user_audit_erasures"} {
		stored += b.table(t, table)
	}
	for _, canary := range []string{ben.Subject, ben.Credential, member.ID, "203.0.113.66", "req_of_ben"} {
		if strings.Contains(stored, canary) {
			t.Errorf("%s is still there", canary)
		}
	}
	if !strings.Contains(stored, ann.User.ID) {
		t.Error("the tables were not read")
	}
	before := len(stored)
	noError(t, b.EraseAudit(t.Context(), ben.Subject)) // again changes nothing
	if after := len(b.table(t, "user_audit") + b.table(t, "user_audit_people")); after != before {
		t.Errorf("%d bytes became %d", before, after)
	}
	// A record that names two people is erased for both in turn.
	noError(t, b.EraseAudit(t.Context(), ann.User.ID))
	if _, err := b.VerifyAudit(t.Context(), ann.p, anchor); err != nil {
		t.Error(err)
	}
	if strings.Contains(b.table(t, "user_audit"), ann.User.ID) {
		t.Error("the second person is still there")
	}
}

// table is the text of a table.
func (b *bundle) table(tb testing.TB, table string) string {
	tb.Helper()
	var text strings.Builder
	noError(tb, b.db.AcrossTenants(tb.Context(), testdb.Crossing(b.db), func(ctx context.Context, tx store.CrossTx) error {
		text.Reset()
		rows, err := tx.Query(ctx, `SELECT * FROM `+table)
		if err != nil {
			return err
		}
		defer rows.Close()
		columns, err := rows.Columns()
		if err != nil {
			return err
		}
		for rows.Next() {
			values := make([]any, len(columns))
			for i := range values {
				values[i] = new(any)
			}
			if err := rows.Scan(values...); err != nil {
				return err
			}
			for _, v := range values {
				fmt.Fprintf(&text, "%s ", *v.(*any))
			}
		}
		return rows.Err()
	}))
	return text.String()
}

// A value that was erased cannot be found again by trying all that it may have
// been: neither its commitment nor the hash is that of the value without the salt.
func TestErasedValueCannotBeGuessed(t *testing.T) {
	b := open(t)
	ann := b.signUp(t, "ann@example.com")
	home := platform.WithClient(t.Context(), netip.MustParseAddr("203.0.113.66"))
	_, err := b.UpdateOrganization(home, ann.p, user.OrganizationChange{Name: ptr("Other")})
	noError(t, err)
	salts := func() (all []byte) {
		noError(t, b.db.AcrossTenants(t.Context(), testdb.Crossing(b.db), func(ctx context.Context, tx store.CrossTx) error {
			return tx.QueryRow(ctx, `SELECT salts FROM user_audit WHERE sequence = 2`).Scan(&all)
		}))
		return all
	}
	before := salts()
	noError(t, b.EraseAudit(t.Context(), ann.User.ID))
	after := salts()
	if len(before) != 4*32 || len(after) != len(before) {
		t.Fatalf("%d, %d bytes", len(before), len(after))
	}
	for i, part := range []string{"actor", "target", "client", "detail"} {
		same := string(before[i*32:(i+1)*32]) == string(after[i*32:(i+1)*32])
		if same != (part == "target") { // the organization is nobody's
			t.Errorf("the salt of %s: same is %v", part, same)
		}
	}
	client, err := json.Marshal([]string{"client", "203.0.113.66", ""})
	noError(t, err)
	if sum := sha256.Sum256(client); hex.EncodeToString(sum[:]) == hex.EncodeToString(after[2*32:3*32]) {
		t.Error("the commitment has no salt")
	}
}

// Many erasures of one person at once, in several processes, do what one does.
func TestEraseAuditConcurrently(t *testing.T) {
	b := open(t)
	ann := b.signUp(t, "ann@example.com")
	ben := b.signUp(t, "ben@example.com")
	noError(t, b.RecordMany(t.Context(), ann.p, "organization.renamed", 450))
	other := b.replica(t)
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			s := b.Service
			if i%2 == 1 {
				s = other.Service
			}
			if err := s.EraseAudit(t.Context(), ann.User.ID); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	check, err := b.CheckAudit(t.Context(), ann.p, user.AuditHead{})
	if err != nil || check.Erased != 451 {
		t.Errorf("%+v, %v", check, err)
	}
	records, _, err := b.Audit(t.Context(), ann.p, user.AuditFilter{Action: "audit.erased"}, 0, "")
	noError(t, err)
	sum := 0
	for _, r := range records {
		var n int
		_, err := fmt.Sscan(r.Detail["records"], &n)
		noError(t, err)
		sum += n
	}
	if sum != 451 {
		t.Errorf("the erasures tell of %d records", sum)
	}
	if check, err := b.CheckAudit(t.Context(), ben.p, user.AuditHead{}); err != nil || check.Erased != 0 {
		t.Errorf("another person: %+v, %v", check, err)
	}
}

// Records of the first format verify as they are, with those of the second after
// them; people see them, and an erasure blanks them.
func TestAuditOfTheFirstFormat(t *testing.T) {
	names := []string{"0001_init.sql", "0002_creators.sql", "0003_devices.sql", "0004_email_verified.sql", "0005_sign_in.sql", "0006_operators.sql", "0007_factors.sql", "0008_mails.sql"}
	db := migratedTo(t, names...)
	old := func(tenant string, sequence int, actor, action, target, detail string, previous []byte) []byte {
		canonical, err := json.Marshal([]any{
			tenant, sequence, fmt.Sprintf("aud_%d", sequence), 1, actor, "user", "ses_1", action, target,
			"ok", "req_1", "192.0.2.1", detail, hex.EncodeToString(previous),
		})
		noError(t, err)
		sum := sha256.Sum256(canonical)
		noError(t, db.AcrossTenants(t.Context(), testdb.Crossing(db), func(ctx context.Context, tx store.CrossTx) error {
			_, err := tx.Exec(ctx, `INSERT INTO user_audit (tenant, sequence, id, time, actor, actor_kind, credential, action, target, outcome,
				request_id, client, detail, previous, hash) VALUES (?, ?, ?, 1, ?, 'user', 'ses_1', ?, ?, 'ok', 'req_1', '192.0.2.1', ?, ?, ?)`,
				tenant, sequence, fmt.Sprintf("aud_%d", sequence), actor, action, target, detail, previous, sum[:])
			return err
		}))
		return sum[:]
	}
	first := old("org_1", 1, "usr_a", "user.signed_up", "usr_a", "null", []byte{})
	second := old("org_1", 2, "usr_a", "member.updated", "mem_b", `{"roles":"viewer","user":"usr_b"}`, first)
	noError(t, db.AcrossTenants(t.Context(), testdb.Crossing(db), func(ctx context.Context, tx store.CrossTx) error {
		_, err := tx.Exec(ctx, `INSERT INTO user_audit_heads (tenant, sequence, hash) VALUES ('org_1', 2, ?)`, second)
		return err
	}))
	b := &bundle{Service: start(t, db, newClock()), db: db}
	host := platform.System("org_1", "billing")
	anchor, err := b.VerifyAudit(t.Context(), host)
	if err != nil || anchor != (user.AuditHead{Sequence: 2, Hash: hex.EncodeToString(second)}) {
		t.Fatalf("%+v, %v", anchor, err)
	}
	noError(t, b.Record(t.Context(), host, "organization.renamed"))
	if head, err := b.VerifyAudit(t.Context(), host, anchor); err != nil || head.Sequence != 3 || len(head.Hash) != 66 {
		t.Errorf("%+v, %v", head, err)
	}
	events, _, err := b.SecurityEvents(t.Context(), platform.Principal{Tenant: platform.NoTenant, Subject: "usr_b", Kind: platform.PrincipalUser}, 0, "")
	if err != nil || len(events) != 1 || events[0].Action != "member.updated" {
		t.Errorf("%+v, %v", events, err)
	}
	noError(t, b.EraseAudit(t.Context(), "usr_b"))
	check, err := b.CheckAudit(t.Context(), host, user.AuditHead{}, anchor)
	if err != nil || check.Erased != 1 || check.Opaque != 1 {
		t.Errorf("%+v, %v", check, err)
	}
	if text := b.table(t, "user_audit"); strings.Contains(text, "usr_b") || !strings.Contains(text, "usr_a") {
		t.Errorf("the audit has %s", text)
	}
	b.exec(t, `UPDATE user_audit SET actor = 'usr_c' WHERE sequence = 1`)
	if _, err := b.VerifyAudit(t.Context(), host); err == nil {
		t.Error("a changed record of the first format was not found")
	}
	files, err := os.ReadDir("migrations/sqlite")
	noError(t, err)
	if !slices.ContainsFunc(files, func(f os.DirEntry) bool { return strings.HasSuffix(f.Name(), "_audit.sql") }) {
		t.Error("the migration has another name")
	}
}

// The oldest records go, in steps; the rest verifies from there, against later
// anchors too, and a search and a person find them no more.
func TestAuditRetention(t *testing.T) {
	b := open(t, keepAudit)
	ann := b.signUp(t, "ann@example.com")
	ben := b.signUp(t, "ben@example.com")
	noError(t, b.RecordMany(t.Context(), ann.p, "organization.renamed", 1200))
	b.clock.Advance(300 * 24 * time.Hour)
	noError(t, b.Record(t.Context(), ann.p, "role.created"))
	young, err := b.VerifyAudit(t.Context(), ann.p)
	noError(t, err)
	noError(t, b.TrimAudit(t.Context()))
	if n := b.count(t, "user_audit"); n != 1203 {
		t.Errorf("%d records are left of 1203 that are younger than that", n)
	}
	b.clock.Advance(101 * 24 * time.Hour) // the first are 401 days old
	noError(t, b.TrimAudit(t.Context()))
	if n := b.count(t, "user_audit"); n != 1203 {
		t.Errorf("%d records are left on the first day of those too old", n)
	}
	b.clock.Advance(24 * time.Hour)
	noError(t, b.TrimAudit(t.Context()))
	check, err := b.CheckAudit(t.Context(), ann.p, user.AuditHead{}, young)
	if err != nil || check.From != 1202 || check.Through.Sequence != 1203 || !check.Complete {
		t.Errorf("%+v, %v", check, err)
	}
	if n := b.count(t, "user_audit"); n != 3 { // two of Ann's, one of Ben's that tells of the removal
		t.Errorf("%d records are left", n)
	}
	if n := b.count(t, "user_audit_people"); n != 1 {
		t.Errorf("%d references to people are left", n)
	}
	old := user.AuditHead{Sequence: 1, Hash: strings.Repeat("0", 66)} // of what is gone
	if _, err := b.VerifyAudit(t.Context(), ann.p, old); err != nil {
		t.Error(err)
	}
	b.exec(t, `UPDATE user_audit_heads SET floor_sequence = 1202, floor_hash = (SELECT hash FROM user_audit WHERE sequence = 1202) WHERE tenant = ?`, string(ann.p.Tenant))
	b.exec(t, `DELETE FROM user_audit WHERE sequence = 1202`)
	if _, err := b.VerifyAudit(t.Context(), ann.p); err == nil {
		t.Error("a removal that nothing tells of was not found")
	}
	if _, err := b.VerifyAudit(t.Context(), ben.p); err != nil {
		t.Error(err)
	}
}

// An organization chooses within the host's bounds, which still hold where they
// change; without bounds it chooses nothing, and nothing is removed.
func TestAuditRetentionOfAnOrganization(t *testing.T) {
	b := open(t, keepAudit)
	ann, ben := b.signUp(t, "ann@example.com"), b.signUp(t, "ben@example.com")
	h := b.edge(t)
	got := send[object](t, h, ann.Tokens.Access, "GET", "/v1/audit/retention", "", 200)
	if fmt.Sprint(got) != "map[chosen:0 days:400 longest:800 shortest:30]" {
		t.Errorf("%v", got)
	}
	for _, days := range []string{"29", "801", "-1"} {
		send[object](t, h, ann.Tokens.Access, "PATCH", "/v1/audit/retention", `{"days":`+days+`}`, 422)
	}
	got = send[object](t, h, ann.Tokens.Access, "PATCH", "/v1/audit/retention", `{"days":30}`, 200)
	if fmt.Sprint(got) != "map[chosen:30 days:30 longest:800 shortest:30]" {
		t.Errorf("%v", got)
	}
	b.clock.Advance(32 * 24 * time.Hour)
	noError(t, b.TrimAudit(t.Context()))
	if check, err := b.CheckAudit(t.Context(), ann.p, user.AuditHead{}); err != nil || check.From != 3 {
		t.Errorf("%+v, %v", check, err)
	}
	if check, err := b.CheckAudit(t.Context(), ben.p, user.AuditHead{}); err != nil || check.From != 1 {
		t.Errorf("another organization: %+v, %v", check, err)
	}
	send[object](t, h, ann.Tokens.Access, "PATCH", "/v1/audit/retention", `{"days":0}`, 401) // the token has ended

	forever := open(t)
	cyd := forever.signUp(t, "cyd@example.com")
	_, err := forever.KeepAudit(t.Context(), cyd.p, 90)
	want(t, err, platform.KindInvalid, "")
	forever.clock.Advance(36_500 * 24 * time.Hour)
	noError(t, forever.TrimAudit(t.Context()))
	if n := forever.count(t, "user_audit"); n != 1 {
		t.Errorf("%d records", n)
	}
	for name, r := range map[string]user.AuditRetention{
		"negative": {Default: -1}, "an hour": {Default: time.Hour}, "no shortest": {Longest: 90 * 24 * time.Hour},
		"turned around": {Shortest: 90 * 24 * time.Hour, Longest: 30 * 24 * time.Hour},
	} {
		if _, err := user.New(user.Config{DB: b.db, Issuer: issuer, Cache: newClockCache(b.clock), AuditRetention: r}); err == nil ||
			!strings.Contains(err.Error(), "AuditRetention") {
			t.Errorf("%s: %v", name, err)
		}
	}
}
