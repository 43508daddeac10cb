package integration

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/acme/platform/internal/test/testdb"
	"github.com/acme/platform/store"
)

// importedHashes are of "violet tractor 9 umbrella", by other programs.
var importedHashes = map[string]string{
	"bcrypt": "$2b$05$abcdefghijklmnopqrstuua/XaI5cwi3vg6M2d.LLrQei4wT6qsFC",
	"scrypt": "$scrypt$ln=10,r=8,p=1$TmFDbE5hQ2xOYUNsMTIzNA$RfaMh7eFjBf4JDNkqxggb/4Dfl4x6Y2h4OHUfzdqr2s",
	"django": "pbkdf2_sha256$1000$Zk3PqLm8Yw1R$KItn68EwUQwv5Sz8sP4NOVBIJpPXO2gz3N5Q4FkfsVw=",
}

// People are imported by the command, sign in with their passwords, and have a hash
// of argon2id from then on. A hash of absurd cost is refused by line and member.
func TestImportedPeopleSignIn(t *testing.T) {
	onRelational(t, func(t *testing.T, _ setup, at place) {
		s := start(t, at)
		var org struct{ ID string }
		s.signUp("ann@example.com", "Acme").want(http.StatusOK, "GET", "/v1/organization", nil, &org)
		if s.stop() != 0 {
			t.Fatal("it does not stop")
		}
		file := filepath.Join(t.TempDir(), "people.ndjson")
		imports := func(lines string) (string, error) {
			if err := os.WriteFile(file, []byte(lines), 0o600); err != nil {
				t.Fatal(err)
			}
			out, err := exec.CommandContext(t.Context(), binary, slices.Concat([]string{"users", "import", file}, at)...).CombinedOutput()
			return string(out), err
		}
		var lines strings.Builder
		for name, hash := range importedHashes {
			fmt.Fprintf(&lines, "{\"email\":\"%s@example.com\",\"name\":\"P\",\"external_id\":%q,\"email_verified\":true,\"password_hash\":%q}\n", name, name, hash)
		}
		if out, err := imports(lines.String() + `{"email":"x@example.com","name":"X","password_hash":"$2b$31$abcdefghijklmnopqrstuua/XaI5cwi3vg6M2d.LLrQei4wT6qsFC"}`); err == nil || !strings.Contains(out, "line.4.password_hash") {
			t.Errorf("an absurd cost: %v, %s", err, out)
		}
		for _, want := range []string{"3 people were imported, 0 were known", "0 people were imported, 3 were known"} {
			if out, err := imports(lines.String()); err != nil || !strings.Contains(out, want) {
				t.Errorf("%v, %s", err, out)
			}
		}
		across(t, at, func(ctx context.Context, tx store.CrossTx) error { // an invitation would do it, with its mail
			_, err := tx.Exec(ctx, `INSERT INTO user_memberships (tenant, id, user_id, roles, status, created_at, updated_at)
				SELECT CAST(? AS TEXT), 'mem_' || id, id, '["member"]', 'active', 1, 1 FROM user_accounts WHERE external_id <> ''`, org.ID)
			return err
		})
		s = start(t, at)
		for name := range importedHashes {
			for given, status := range map[string]int{"violet tractor 9 umbrellas": http.StatusUnauthorized, "violet tractor 9 umbrella": http.StatusOK} {
				for range 2 {
					if a := s.client("").do("POST", "/v1/auth/login", map[string]string{"email": name + "@example.com", "password": given}); a.status != status {
						t.Errorf("%s: %d %s", name, a.status, a.body)
					}
				}
			}
		}
		if s.stop() != 0 {
			t.Fatal("it does not stop")
		}
		across(t, at, func(ctx context.Context, tx store.CrossTx) error {
			var others int
			err := tx.QueryRow(ctx, `SELECT count(*) FROM user_passwords WHERE hash NOT LIKE '$argon2id$v=19$m=19456,t=2,p=1$%'`).Scan(&others)
			if others != 0 {
				t.Errorf("%d hashes are not argon2id", others)
			}
			return err
		})
	})
}

// across runs fn on the relational store of a server that has stopped.
func across(t *testing.T, at place, fn func(context.Context, store.CrossTx) error) {
	t.Helper()
	db, done := at.relational(t)
	defer done()
	if err := db.AcrossTenants(t.Context(), testdb.Crossing(db), fn); err != nil {
		t.Fatal(err)
	}
}

// One password at 200 accounts from as many addresses is slowed down and told of,
// and an operator finds it in the audit; others sign in meanwhile.
func TestSprayingIsSeen(t *testing.T) {
	onRelational(t, func(t *testing.T, _ setup, at place) {
		out, err := exec.CommandContext(t.Context(), binary, slices.Concat([]string{"operator", "key", "ops"}, at)...).Output()
		if err != nil {
			t.Fatal(err)
		}
		key, _, _ := strings.Cut(string(out), "\n")
		s := start(t, at, behindProxy...)
		s.from("192.0.2.1").signUp("ann@example.com")
		refused := 0
		for i := range 200 {
			got := s.from(fmt.Sprintf("198.51.100.%d", 1+i)).logIn(fmt.Sprintf("p%d@host%d.example", i, i), "Summer-of-2026!")
			if got == http.StatusTooManyRequests {
				refused++
			} else if got != http.StatusUnauthorized {
				t.Errorf("a guess: %d", got)
			}
		}
		if refused < 80 { // some 134 are expected
			t.Errorf("%d of 200 refused", refused)
		}
		if got := s.from("203.0.113.1").logIn("ann@example.com", password); got != http.StatusOK {
			t.Errorf("another password: %d", got)
		}
		var audit struct {
			Data []struct{ Action string }
		}
		s.client(key).want(http.StatusOK, "GET", "/v1/operator/audit?action=login.sprayed", nil, &audit)
		if len(audit.Data) != 1 || !strings.Contains(s.logged(), "one password is tried at many accounts") || strings.Contains(s.logged(), "Summer-of") {
			t.Errorf("the audit has %+v", audit)
		}
	})
}
