package user_test

import (
	"context"
	"os"
	"testing"
	"testing/fstest"

	"github.com/acme/platform/internal/test/testdb"
	"github.com/acme/platform/store"
)

// migratedTo brings a new place to a version of the tables that was released.
func migratedTo(t *testing.T, names ...string) testdb.DB {
	t.Helper()
	db := testdb.NewPlace(t).Open(t)
	files := fstest.MapFS{}
	for _, name := range names {
		for _, dialect := range []string{"sqlite", "postgres"} {
			raw, err := os.ReadFile("migrations/" + dialect + "/" + name)
			noError(t, err)
			files[dialect+"/"+name] = &fstest.MapFile{Data: raw}
		}
	}
	noError(t, db.Migrate(t.Context(), store.Migrations{Component: "user", Files: files}))
	return db
}

// The organizations of an older installation get the creator that the audit
// tells, or their first owner, and count for them; open invitations get their key.
func TestCreatorsOfOlderOrganizations(t *testing.T) {
	db := migratedTo(t, "0001_init.sql")
	noError(t, db.AcrossTenants(t.Context(), testdb.Crossing(db), func(ctx context.Context, tx store.CrossTx) error {
		for _, statement := range []string{
			`INSERT INTO user_accounts (id, email, name, status, created_at, updated_at) VALUES
				('usr_a', 'a@example.com', 'A', 'active', 1, 1), ('usr_b', 'b@example.com', 'B', 'active', 1, 1),
				('usr_c', 'c@example.com', 'C', 'active', 1, 1)`,
			`INSERT INTO user_organizations (tenant, name, status, authz_version, created_at, updated_at) VALUES
				('org_1', '1', 'active', 1, 1, 1), ('org_2', '2', 'active', 1, 1, 1), ('org_3', '3', 'active', 1, 1, 1), ('org_4', '4', 'active', 1, 1, 1)`,
			`INSERT INTO user_memberships (tenant, id, user_id, roles, status, created_at, updated_at) VALUES
				('org_1', 'mem_1', 'usr_b', '["owner"]', 'active', 1, 1), ('org_3', 'mem_3', 'usr_a', '["member"]', 'active', 1, 1),
				('org_3', 'mem_4', 'usr_b', '["admin","owner"]', 'active', 2, 2), ('org_3', 'mem_5', 'usr_c', '["owner"]', 'active', 3, 3)`,
			`INSERT INTO user_audit (tenant, sequence, id, time, actor, actor_kind, credential, action, target, outcome, request_id, client, detail, previous, hash) VALUES
				('org_1', 1, 'aud_1', 1, 'usr_a', 'user', 'ses_1', 'user.signed_up', 'usr_a', 'ok', '', '', '{}', '', ''),
				('org_2', 1, 'aud_2', 1, 'usr_a', 'user', 'ses_1', 'organization.created', 'org_2', 'ok', '', '', '{}', '', ''),
				('org_1', 2, 'aud_3', 1, 'usr_a', 'api_key', 'key_1', 'invitation.created', 'inv_1', 'ok', '', '', '{}', '', ''),
				('org_1', 3, 'aud_4', 1, 'usr_a', 'user', 'ses_1', 'invitation.created', 'inv_2', 'ok', '', '', '{}', '', '')`,
			`INSERT INTO user_invitations (tenant, id, email, roles, token_hash, invited_by, created_at, expires_at, accepted_at, accepted_by, revoked_at) VALUES
				('org_1', 'inv_1', 'x@example.com', '[]', '', 'usr_a', 1, 1, 0, '', 0), ('org_1', 'inv_2', 'y@example.com', '[]', '', 'usr_a', 1, 1, 0, '', 0)`,
		} {
			if _, err := tx.Exec(ctx, statement); err != nil {
				return err
			}
		}
		return nil
	}))
	start(t, db, newClock())
	text := func(query string) (v string) {
		noError(t, db.AcrossTenants(t.Context(), testdb.Crossing(db), func(ctx context.Context, tx store.CrossTx) error {
			return tx.QueryRow(ctx, query).Scan(&v)
		}))
		return v
	}
	for query, want := range map[string]string{
		`SELECT created_by FROM user_organizations WHERE tenant = 'org_1'`:                 "usr_a",
		`SELECT created_by FROM user_organizations WHERE tenant = 'org_2'`:                 "usr_a",
		`SELECT created_by FROM user_organizations WHERE tenant = 'org_3'`:                 "usr_b",
		`SELECT created_by FROM user_organizations WHERE tenant = 'org_4'`:                 "",
		`SELECT CAST(organizations_created AS TEXT) FROM user_accounts WHERE id = 'usr_a'`: "2",
		`SELECT CAST(organizations_created AS TEXT) FROM user_accounts WHERE id = 'usr_b'`: "1",
		`SELECT api_key FROM user_invitations WHERE tenant = 'org_1' AND id = 'inv_1'`:     "key_1",
		`SELECT api_key FROM user_invitations WHERE tenant = 'org_1' AND id = 'inv_2'`:     "",
	} {
		if got := text(query); got != want {
			t.Errorf("%s: %q, want %q", query, got, want)
		}
	}
}
