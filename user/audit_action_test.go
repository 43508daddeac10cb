package user_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/pquerna/otp/totp"

	"github.com/acme/platform"
	"github.com/acme/platform/internal/test/testdb"
	"github.com/acme/platform/store"
	"github.com/acme/platform/user"
)

// auditCase makes a record of an action happen.
type auditCase struct {
	// by is the kind of the actor, "" where nobody is known as one.
	by platform.PrincipalKind
	do func(ctx context.Context, b *bundle, ann person) error
}

// auditCauses has a case for every action of user's auditActions: who adds an
// action there adds a case here. Ann is the owner of an organization, and ctx
// carries the address that the record must have.
var auditCauses = map[string]auditCase{
	"access_rule.created": {platform.PrincipalUser, func(ctx context.Context, b *bundle, ann person) error {
		_, err := b.CreateAccessRule(ctx, ann.p, user.NewAccessRule{Role: "viewer", Permission: "data.*", Effect: user.Deny})
		return err
	}},
	"access_rule.deleted": {platform.PrincipalUser, func(ctx context.Context, b *bundle, ann person) error {
		rule, err := b.CreateAccessRule(ctx, ann.p, user.NewAccessRule{Role: "viewer", Permission: "data.*", Effect: user.Deny})
		return errors.Join(err, b.DeleteAccessRule(ctx, ann.p, rule.ID))
	}},
	"api_key.created": {platform.PrincipalUser, func(ctx context.Context, b *bundle, ann person) error {
		_, err := auditedKey(ctx, b, ann)
		return err
	}},
	"api_key.revoked": {platform.PrincipalUser, func(ctx context.Context, b *bundle, ann person) error {
		key, err := auditedKey(ctx, b, ann)
		return errors.Join(err, b.RevokeAPIKey(ctx, ann.p, key.ID))
	}},
	"api_key.rotated": {platform.PrincipalUser, func(ctx context.Context, b *bundle, ann person) error {
		key, err := auditedKey(ctx, b, ann)
		_, _, rotated := b.RotateAPIKey(ctx, ann.p, key.ID, time.Hour)
		return errors.Join(err, rotated)
	}},
	"email.added": {platform.PrincipalUser, func(ctx context.Context, b *bundle, ann person) error {
		return auditedEmail(ctx, b, ann)
	}},
	"email.changed": {platform.PrincipalUser, func(ctx context.Context, b *bundle, ann person) error {
		return errors.Join(auditedEmail(ctx, b, ann), b.SetPrimaryEmail(ctx, ann.p, "ann@example.org"))
	}},
	"email.removed": {platform.PrincipalUser, func(ctx context.Context, b *bundle, ann person) error {
		return errors.Join(auditedEmail(ctx, b, ann), b.RemoveEmail(ctx, ann.p, "ann@example.org"))
	}},
	"email.restored": {platform.PrincipalUser, func(ctx context.Context, b *bundle, ann person) error {
		if err := errors.Join(auditedEmail(ctx, b, ann), b.SetPrimaryEmail(ctx, ann.p, "ann@example.org")); err != nil {
			return err
		}
		token, err := b.mail.token(ctx, "ann@example.com", user.MailEmailChanged)
		return errors.Join(err, b.RestoreEmail(ctx, token))
	}},
	"email.verified": {platform.PrincipalUser, func(ctx context.Context, b *bundle, ann person) error {
		return auditedEmail(ctx, b, ann)
	}},
	"factor.added": {platform.PrincipalUser, func(ctx context.Context, b *bundle, ann person) error {
		_, _, err := auditedFactor(ctx, b, ann)
		return err
	}},
	"factor.removed": {platform.PrincipalUser, func(ctx context.Context, b *bundle, ann person) error {
		p, _, err := auditedStrong(ctx, b, ann)
		return errors.Join(err, b.RemoveTOTP(ctx, p))
	}},
	"access.refused": {platform.PrincipalUser, func(ctx context.Context, b *bundle, ann person) error {
		b.Refused(ctx, ann.p, "members.remove")
		return b.Stop(ctx) // it is written in the background
	}},
	"audit.exported": {platform.PrincipalUser, func(ctx context.Context, b *bundle, ann person) error {
		return b.ExportAudit(ctx, ann.p, user.AuditExport{}, func(int64, bool) {}, func([]user.AuditEntry) error { return nil })
	}},
	"operator_key.created": {platform.PrincipalSystem, func(ctx context.Context, b *bundle, _ person) error {
		_, _, err := b.CreateOperatorKey(ctx, "root")
		return err
	}},
	"operator_key.revoked": {platform.PrincipalSystem, func(ctx context.Context, b *bundle, _ person) error {
		key, _, err := b.CreateOperatorKey(ctx, "root")
		return errors.Join(err, b.RevokeOperatorKey(ctx, platform.Principal{Kind: platform.PrincipalSystem}, key.ID))
	}},
	"audit.erased": {platform.PrincipalSystem, func(ctx context.Context, b *bundle, ann person) error {
		return b.EraseAudit(ctx, ann.User.ID)
	}},
	"audit.retention_changed": {platform.PrincipalUser, func(ctx context.Context, b *bundle, ann person) error {
		_, err := b.KeepAudit(ctx, ann.p, 90)
		return err
	}},
	"audit.trimmed": {platform.PrincipalSystem, func(ctx context.Context, b *bundle, _ person) error {
		if err := b.Stop(ctx); err != nil { // what it does in the background would be first
			return err
		}
		b.clock.Advance(402 * 24 * time.Hour)
		return b.TrimAudit(ctx)
	}},
	"invitation.accepted": {platform.PrincipalUser, func(ctx context.Context, b *bundle, ann person) error {
		_, err := auditedMember(ctx, b, ann)
		return err
	}},
	"invitation.created": {platform.PrincipalUser, func(ctx context.Context, b *bundle, ann person) error {
		_, _, err := b.Invite(ctx, ann.p, user.NewInvitation{Email: "ben@example.com", Roles: []string{"viewer"}})
		return err
	}},
	"invitation.revoked": {platform.PrincipalUser, func(ctx context.Context, b *bundle, ann person) error {
		inv, _, err := b.Invite(ctx, ann.p, user.NewInvitation{Email: "ben@example.com", Roles: []string{"viewer"}})
		return errors.Join(err, b.RevokeInvitation(ctx, ann.p, inv.ID))
	}},
	"login.factor_asked": {platform.PrincipalUser, func(ctx context.Context, b *bundle, ann person) error {
		_, _, err := auditedStrong(ctx, b, ann)
		return err
	}},
	"login.failed": {"", func(ctx context.Context, b *bundle, _ person) error {
		if _, err := b.LogIn(ctx, user.LogIn{Email: "ann@example.com", Password: "wrong one entirely"}); err == nil {
			return errors.New("signed in")
		}
		return b.Stop(ctx) // it is written in the background
	}},
	"login.sprayed": {platform.PrincipalSystem, func(ctx context.Context, b *bundle, _ person) error {
		for i := range user.SprayAccounts + 1 {
			_, _ = b.LogIn(ctx, user.LogIn{Email: fmt.Sprintf("p%d@example.com", i), Password: "Summer2026!"})
		}
		return nil
	}},
	"login.succeeded": {platform.PrincipalUser, func(ctx context.Context, b *bundle, _ person) error {
		_, err := b.LogIn(ctx, user.LogIn{Email: "ann@example.com", Password: goodPassword})
		return err
	}},
	"member.left": {platform.PrincipalUser, func(ctx context.Context, b *bundle, ann person) error {
		m, err := auditedMember(ctx, b, ann)
		if err != nil {
			return err
		}
		_, err = b.UpdateMember(ctx, ann.p, m.ID, user.MemberChange{Roles: []string{user.RoleOwner}})
		return errors.Join(err, b.LeaveOrganization(ctx, ann.p, ann.p.Tenant))
	}},
	"member.removed": {platform.PrincipalUser, func(ctx context.Context, b *bundle, ann person) error {
		m, err := auditedMember(ctx, b, ann)
		return errors.Join(err, b.RemoveMember(ctx, ann.p, m.ID))
	}},
	"member.updated": {platform.PrincipalUser, func(ctx context.Context, b *bundle, ann person) error {
		m, err := auditedMember(ctx, b, ann)
		status := user.Suspended
		_, updated := b.UpdateMember(ctx, ann.p, m.ID, user.MemberChange{Status: &status})
		return errors.Join(err, updated)
	}},
	"operator.acted": {platform.PrincipalOperator, func(ctx context.Context, b *bundle, ann person) error {
		return b.db.InTenant(ctx, ann.p.Tenant, func(ctx context.Context, tx store.Tx) error {
			by := platform.Principal{Tenant: platform.NoTenant, Subject: "opk_1", Kind: platform.PrincipalOperator}
			return b.RecordOperator(ctx, tx, by, "operator.rules.disable", "rul_1")
		})
	}},
	"organization.created": {platform.PrincipalUser, func(ctx context.Context, b *bundle, ann person) error {
		_, err := b.CreateOrganization(ctx, ann.p, "Second")
		return err
	}},
	"organization.policy_changed": {platform.PrincipalUser, func(ctx context.Context, b *bundle, ann person) error {
		p, _, err := auditedStrong(ctx, b, ann)
		_, updated := b.UpdateOrganization(ctx, p, user.OrganizationChange{RequireFactor: ptr(true)})
		return errors.Join(err, updated)
	}},
	"organization.renamed": {platform.PrincipalUser, func(ctx context.Context, b *bundle, ann person) error {
		_, err := b.UpdateOrganization(ctx, ann.p, user.OrganizationChange{Name: ptr("Other")})
		return err
	}},
	"organization.limits_changed": {platform.PrincipalUser, func(ctx context.Context, b *bundle, ann person) error {
		_, err := b.UpdateOrganization(ctx, ann.p, user.OrganizationChange{SessionMax: ptr(time.Hour)})
		return err
	}},
	"organization.status_changed": {platform.PrincipalSystem, func(ctx context.Context, b *bundle, ann person) error {
		return b.SetOrganizationStatus(ctx, ann.p.Tenant, user.Suspended)
	}},
	"organization.transferred": {platform.PrincipalUser, func(ctx context.Context, b *bundle, ann person) error {
		m, err := auditedMember(ctx, b, ann)
		_, transferred := b.TransferOrganization(ctx, ann.p, user.Transfer{Member: m.ID})
		return errors.Join(err, transferred)
	}},
	"password.changed": {platform.PrincipalUser, func(ctx context.Context, b *bundle, ann person) error {
		password := user.Secret("another tractor 8 umbrella")
		_, err := b.UpdateMe(ctx, ann.p, user.MeChange{Password: &password, CurrentPassword: goodPassword})
		return err
	}},
	"password.reset": {platform.PrincipalUser, func(ctx context.Context, b *bundle, _ person) error {
		if err := b.RequestPasswordReset(ctx, user.MailAsk{Email: "ann@example.com"}); err != nil {
			return err
		}
		token, err := b.mail.token(ctx, "ann@example.com", user.MailPasswordReset)
		return errors.Join(err, b.ResetPassword(ctx, user.PasswordReset{Token: token, Password: "another tractor 8 umbrella"}))
	}},
	"recovery_code.used": {platform.PrincipalUser, func(ctx context.Context, b *bundle, ann person) error {
		_, _, err := auditedStrong(ctx, b, ann)
		return err
	}},
	"recovery_codes.created": {platform.PrincipalUser, func(ctx context.Context, b *bundle, ann person) error {
		p, _, err := auditedStrong(ctx, b, ann)
		_, made := b.MakeRecoveryCodes(ctx, p)
		return errors.Join(err, made)
	}},
	"role.created": {platform.PrincipalUser, func(ctx context.Context, b *bundle, ann person) error {
		_, err := auditedRole(ctx, b, ann)
		return err
	}},
	"role.deleted": {platform.PrincipalUser, func(ctx context.Context, b *bundle, ann person) error {
		role, err := auditedRole(ctx, b, ann)
		return errors.Join(err, b.DeleteRole(ctx, ann.p, role.ID))
	}},
	"role.updated": {platform.PrincipalUser, func(ctx context.Context, b *bundle, ann person) error {
		role, err := auditedRole(ctx, b, ann)
		description := "of the press"
		_, updated := b.UpdateRole(ctx, ann.p, role.ID, user.RoleChange{Description: &description})
		return errors.Join(err, updated)
	}},
	"session.logged_out": {platform.PrincipalUser, func(ctx context.Context, b *bundle, ann person) error {
		return b.LogOut(ctx, ann.p)
	}},
	"session.refresh_reused": {"", func(ctx context.Context, b *bundle, ann person) error {
		_, err := b.Refresh(ctx, ann.Tokens.Refresh)
		b.clock.Advance(time.Minute)
		if _, again := b.Refresh(ctx, ann.Tokens.Refresh); again == nil {
			return errors.New("refreshed twice")
		}
		return err
	}},
	"session.revoked": {platform.PrincipalUser, func(ctx context.Context, b *bundle, ann person) error {
		return b.RevokeSession(ctx, ann.p, ann.p.Credential)
	}},
	"session.stepped_up": {platform.PrincipalUser, func(ctx context.Context, b *bundle, ann person) error {
		_, err := b.StepUp(ctx, ann.p, user.StepUp{Password: goodPassword})
		return err
	}},
	"session.switched": {platform.PrincipalUser, func(ctx context.Context, b *bundle, ann person) error {
		_, err := b.Switch(ctx, ann.p, ann.p.Tenant)
		return err
	}},
	"signing_key.revoked": {platform.PrincipalOperator, func(ctx context.Context, b *bundle, _ person) error {
		kids, _ := b.LoadedKeys()
		return b.RevokeSigningKey(ctx, auditedOperator(), kids[0])
	}},
	"signing_key.rotated": {platform.PrincipalOperator, func(ctx context.Context, b *bundle, _ person) error {
		_, err := b.RotateSigningKey(ctx, auditedOperator())
		return err
	}},
	"team.created": {platform.PrincipalUser, func(ctx context.Context, b *bundle, ann person) error {
		_, err := auditedTeam(ctx, b, ann)
		return err
	}},
	"team.deleted": {platform.PrincipalUser, func(ctx context.Context, b *bundle, ann person) error {
		team, err := auditedTeam(ctx, b, ann)
		return errors.Join(err, b.DeleteTeam(ctx, ann.p, team.ID))
	}},
	"team.member_added": {platform.PrincipalUser, func(ctx context.Context, b *bundle, ann person) error {
		_, _, err := auditedTeamMember(ctx, b, ann)
		return err
	}},
	"team.member_removed": {platform.PrincipalUser, func(ctx context.Context, b *bundle, ann person) error {
		team, m, err := auditedTeamMember(ctx, b, ann)
		return errors.Join(err, b.RemoveTeamMember(ctx, ann.p, team.ID, m.ID))
	}},
	"team.updated": {platform.PrincipalUser, func(ctx context.Context, b *bundle, ann person) error {
		team, err := auditedTeam(ctx, b, ann)
		_, updated := b.UpdateTeam(ctx, ann.p, team.ID, user.TeamChange{Roles: []string{"member"}})
		return errors.Join(err, updated)
	}},
	"user.renamed": {platform.PrincipalUser, func(ctx context.Context, b *bundle, ann person) error {
		name := "Anna"
		_, err := b.UpdateMe(ctx, ann.p, user.MeChange{Name: &name})
		return err
	}},
	"user.signed_up": {platform.PrincipalUser, func(ctx context.Context, b *bundle, _ person) error {
		_, err := b.SignUp(ctx, user.SignUp{Email: "eve@example.com", Password: goodPassword, Name: "Eve", Organization: "Eve's"})
		return err
	}},
	"user.status_changed": {platform.PrincipalSystem, func(ctx context.Context, b *bundle, ann person) error {
		return b.SetUserStatus(ctx, ann.User.ID, user.Suspended)
	}},
	"users.imported": {platform.PrincipalOperator, func(ctx context.Context, b *bundle, _ person) error {
		by := platform.Principal{Tenant: platform.NoTenant, Subject: "opk_1", Kind: platform.PrincipalOperator}
		_, err := b.ImportUsers(ctx, by, []user.ImportUser{{Email: "zoe@example.com", Name: "Zoe"}})
		return err
	}},
}

func auditedOperator() platform.Principal {
	return platform.Principal{Tenant: platform.NoTenant, Subject: "opk_1", Kind: platform.PrincipalOperator}
}

func auditedKey(ctx context.Context, b *bundle, ann person) (user.APIKey, error) {
	key, _, err := b.CreateAPIKey(ctx, ann.p, user.NewAPIKey{Name: "ci", Scopes: []string{"data.*"}})
	return key, err
}

// auditedEmail adds an address and confirms it.
func auditedEmail(ctx context.Context, b *bundle, ann person) error {
	if err := b.AddEmail(ctx, ann.p, "ann@example.org"); err != nil {
		return err
	}
	token, err := b.mail.token(ctx, "ann@example.org", user.MailVerifyEmail)
	return errors.Join(err, b.VerifyEmail(ctx, token))
}

func auditedFactor(ctx context.Context, b *bundle, ann person) (app, []user.Secret, error) {
	begun, err := b.BeginTOTP(ctx, ann.p)
	if err != nil {
		return app{}, nil, err
	}
	code, err := totp.GenerateCode(string(begun.Seed), b.clock.Now())
	if err != nil {
		return app{}, nil, err
	}
	codes, err := b.ConfirmTOTP(ctx, ann.p, user.Secret(code))
	return app{b, string(begun.Seed)}, codes, err
}

// auditedStrong signs in with a password and a recovery code.
func auditedStrong(ctx context.Context, b *bundle, ann person) (platform.Principal, user.SignedIn, error) {
	_, codes, err := auditedFactor(ctx, b, ann)
	if err != nil {
		return platform.Principal{}, user.SignedIn{}, err
	}
	half, err := b.LogIn(ctx, user.LogIn{Email: "ann@example.com", Password: goodPassword})
	if err != nil {
		return platform.Principal{}, user.SignedIn{}, err
	}
	in, err := b.VerifyFactor(ctx, half.Pending.Token, user.FactorProof{RecoveryCode: codes[0]})
	if err != nil {
		return platform.Principal{}, user.SignedIn{}, err
	}
	p, err := b.Verify(ctx, string(in.Access))
	return p, in, err
}

func auditedRole(ctx context.Context, b *bundle, ann person) (user.Role, error) {
	return b.CreateRole(ctx, ann.p, user.NewRole{Name: "editor", Permissions: []string{"data.records.read"}})
}

func auditedMember(ctx context.Context, b *bundle, ann person) (user.Member, error) {
	ben, err := b.SignUp(ctx, user.SignUp{Email: "ben@example.com", Password: goodPassword, Name: "Ben", Organization: "Ben's"})
	if err != nil {
		return user.Member{}, err
	}
	p, err := b.Verify(ctx, string(ben.Tokens.Access))
	if err != nil {
		return user.Member{}, err
	}
	_, token, err := b.Invite(ctx, ann.p, user.NewInvitation{Email: "ben@example.com", Roles: []string{"viewer"}})
	if err != nil {
		return user.Member{}, err
	}
	m, _, err := b.AcceptInvitation(ctx, p, token)
	return m, err
}

// keepAudit lets records be removed.
func keepAudit(c *user.Config) {
	const day = 24 * time.Hour
	c.AuditRetention = user.AuditRetention{Default: 400 * day, Shortest: 30 * day, Longest: 800 * day}
}

var auditActionForm = regexp.MustCompile(`^[a-z]+(_[a-z]+)*\.[a-z]+(_[a-z]+)*$`)

func auditedTeam(ctx context.Context, b *bundle, ann person) (user.Team, error) {
	return b.CreateTeam(ctx, ann.p, user.NewTeam{Name: "Support", Roles: []string{"viewer"}})
}

func auditedTeamMember(ctx context.Context, b *bundle, ann person) (user.Team, user.Member, error) {
	team, err := auditedTeam(ctx, b, ann)
	m, joined := auditedMember(ctx, b, ann)
	return team, m, errors.Join(err, joined, b.AddTeamMember(ctx, ann.p, team.ID, m.ID))
}

// Every action can be made to happen, and its record has the tenant, who did it,
// and from where.
func TestEveryAuditActionHappens(t *testing.T) {
	testdb.SQLiteOnly(t) // what each action does is tested on both
	actions := user.AuditActions()
	for action := range auditCauses {
		if actions[action] == "" {
			t.Errorf("%s is no action of the audit", action)
		}
	}
	for _, action := range slices.Sorted(maps.Keys(actions)) {
		t.Run(action, func(t *testing.T) {
			if doc := actions[action]; !auditActionForm.MatchString(action) || !strings.HasSuffix(doc, ".") {
				t.Errorf("%q needs the form noun.participle and a sentence that says what it tells, not %q", action, doc)
			}
			cause, ok := auditCauses[action]
			if !ok {
				t.Fatalf("%s has no case: add one to auditCauses", action)
			}
			var mail letters
			b := open(t, mail.in, keepAudit)
			b.mail = &mail
			ann := b.signUp(t, "ann@example.com")
			address := netip.MustParseAddr("203.0.113.77")
			noError(t, cause.do(platform.WithClient(t.Context(), address), b, ann))
			var found int
			noError(t, b.db.AcrossTenants(t.Context(), testdb.Crossing(b.db), func(ctx context.Context, tx store.CrossTx) error {
				rows, err := tx.Query(ctx, `SELECT tenant, actor, actor_kind, client FROM user_audit WHERE action = ? AND client <> ''`, action)
				if err != nil {
					return err
				}
				defer rows.Close()
				for found = 0; rows.Next(); found++ {
					var tenant, actor, kind, client string
					if err := rows.Scan(&tenant, &actor, &kind, &client); err != nil {
						return err
					}
					person := cause.by != "" && cause.by != platform.PrincipalSystem
					if tenant == "" || (actor != "") != person || kind != string(cause.by) || client != address.String() {
						t.Errorf("the record has tenant %q, actor %q of kind %q, client %q", tenant, actor, kind, client)
					}
				}
				return rows.Err()
			}))
			if found == 0 {
				t.Error("there is no record with the address")
			}
			noSecretIn(t, b)
		})
	}
}

// A record of an action that the list lacks is refused.
func TestUnknownAuditActionIsRefused(t *testing.T) {
	b := open(t)
	ann := b.signUp(t, "ann@example.com")
	before := b.count(t, "user_audit")
	if err := b.Record(t.Context(), ann.p, "member.forgotten"); err == nil || !strings.Contains(err.Error(), "auditActions") {
		t.Errorf("got %v", err)
	}
	if after := b.count(t, "user_audit"); after != before {
		t.Errorf("%d records became %d", before, after)
	}
	noError(t, b.Record(t.Context(), ann.p, "member.removed"))
}

// secretForm is what tokens, keys, seeds and hashes look like: longer without a
// break than any id.
var secretForm = regexp.MustCompile(`[A-Za-z0-9+/=-]{32,}|[$]argon2`)

// noSecretIn looks for what must not be in an audit: passwords, and whatever is as
// long as a token, key or seed.
func noSecretIn(t *testing.T, b *bundle) {
	t.Helper()
	rows := 0
	noError(t, b.db.AcrossTenants(t.Context(), testdb.Crossing(b.db), func(ctx context.Context, tx store.CrossTx) error {
		all, err := tx.Query(ctx, `SELECT action, actor || ' ' || credential || ' ' || target || ' ' || client || ' ' || request_id || ' ' || detail FROM user_audit`)
		if err != nil {
			return err
		}
		defer all.Close()
		for rows = 0; all.Next(); rows++ {
			var action, text string
			if err := all.Scan(&action, &text); err != nil {
				return err
			}
			if action == "audit.trimmed" || strings.HasPrefix(action, "signing_key.") {
				continue // they have a hash of the chain, and the thumbprint of a public key
			}
			if found := secretForm.FindString(text); found != "" || strings.Contains(text, "umbrella") {
				t.Errorf("the record of %s has what may be a secret: %s", action, text)
			}
		}
		return all.Err()
	}))
	if rows == 0 {
		t.Error("no record was read")
	}
}
