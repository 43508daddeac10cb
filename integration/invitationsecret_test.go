package integration

import (
	"context"
	"database/sql"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/acme/platform/internal/test/testdb"
	"github.com/acme/platform/internal/test/testseal"
	"github.com/acme/platform/store"
)

// TestInvitationSecret has an owner invite somebody as owner. Who reads all that
// the organization may read finds no token: not the inviter, not an admin, not
// a key that may read messages. The mail alone has it, and accepting it proves
// the address.
func TestInvitationSecret(t *testing.T) {
	for _, set := range setups[:2] { // with and without PostgreSQL
		t.Run(set.name+"/folder", func(t *testing.T) { invitationSecret(t, set.place(t), nil) })
	}
	t.Run("embedded/smtp", func(t *testing.T) { invitationSecret(t, folder(t.TempDir()), receiveMail(t)) })
}

func invitationSecret(t *testing.T, at place, smtp *mailServer) {
	flags := []string{"--log-level", "debug"}
	if smtp != nil {
		flags = append(flags, smtp.flags()...)
	}
	s := start(t, at, flags...)
	token := func(email string) (token string) {
		t.Helper()
		eventually(t, "the mail to "+email, func() bool {
			all, err := at.letters()
			if smtp != nil {
				all = smtp.all()
			}
			if err != nil {
				t.Fatal(err)
			}
			for _, l := range all {
				if l.to == email {
					token = invitationToken.FindString(l.text)
				}
			}
			return token != ""
		})
		return token
	}
	owner, admin := s.signUp("ann@corp.example", "Corp"), s.signUp("adam@corp.example", "Adam's")
	owner.want(http.StatusCreated, "POST", "/v1/invitations", map[string]any{"email": "adam@corp.example", "roles": []string{"admin"}}, nil)
	admin.accept(token("adam@corp.example"))
	var made struct{ Key string }
	owner.want(http.StatusCreated, "POST", "/v1/api-keys", map[string]any{"name": "reader", "scopes": []string{"notify.messages.read"}}, &made)

	answer := owner.want(http.StatusCreated, "POST", "/v1/invitations", map[string]any{"email": "newboss@corp.example", "roles": []string{"owner"}}, nil)
	mailed := token("newboss@corp.example")
	seen := string(answer.body)
	key := s.client(made.Key)
	for _, reader := range []*client{owner, admin, key} {
		seen += readAll(t, reader)
	}
	for what, text := range map[string]string{"an answer": seen, "the log": s.logged()} {
		if strings.Contains(text, secretOf(mailed)) || invitationToken.MatchString(text) {
			t.Errorf("a token is in %s", what)
		}
	}

	// Whoever signs up with the address has nothing without the mail.
	boss := s.signUp("newboss@corp.example", "Boss's")
	if a := boss.do("GET", "/v1/me", nil); strings.Contains(string(a.body), "email_verified_at") {
		t.Errorf("a sign-up is verified: %s", a.body)
	}
	if a := boss.do("POST", "/v1/invitations/accept", map[string]any{"token": mailed[:len(mailed)-3] + "AAA"}); a.status != http.StatusNotFound {
		t.Errorf("a guessed token: %d %s", a.status, a.body)
	}
	if a := admin.do("POST", "/v1/invitations/accept", map[string]any{"token": mailed}); a.status != http.StatusForbidden {
		t.Errorf("another's address: %d %s", a.status, a.body)
	}
	boss.accept(mailed)
	if a := boss.want(http.StatusOK, "GET", "/v1/me", nil, nil); !strings.Contains(string(a.body), `"email_verified_at":"`) || !strings.Contains(string(a.body), `"roles":["owner"]`) {
		t.Errorf("after the acceptance: %s", a.body)
	}
	if code := s.stop(); code != 0 {
		t.Errorf("exit code %d", code)
	}
	noSecretStored(t, at, secretOf(mailed))
	if smtp == nil {
		privateMails(t, at)
	}
}

// accept takes an invitation and signs in to its organization.
func (c *client) accept(token string) {
	c.t.Helper()
	var accepted struct{ Organization string }
	c.want(http.StatusOK, "POST", "/v1/invitations/accept", map[string]any{"token": token}, &accepted)
	var in tokens
	c.want(http.StatusOK, "POST", "/v1/auth/switch", map[string]any{"organization": accepted.Organization}, &in)
	c.token = in.AccessToken
}

// readAll is all that the lists answer, with each message by itself.
func readAll(t *testing.T, c *client) string {
	t.Helper()
	var out strings.Builder
	for _, path := range listings {
		a := c.do("GET", path, nil)
		out.Write(a.body)
		if path != "/v1/notify/messages" {
			continue
		}
		var page struct{ Data []struct{ ID string } }
		a.into(t, &page)
		for _, m := range page.Data {
			out.Write(c.want(http.StatusOK, "GET", "/v1/notify/messages/"+m.ID, nil, nil).body)
		}
	}
	return out.String()
}

// noSecretStored reads all tables that a mail or a record of it passes through.
func noSecretStored(t *testing.T, at place, secret string) {
	t.Helper()
	db, done := at.relational(t)
	defer done()
	rows := 0
	for _, table := range []string{
		"notify_messages", "notify_deliveries", "notify_attempts", "notify_inbox", "notify_secret_texts",
		"user_invitations", "user_mail_tokens", "user_audit", "outbox", "event_log", "jobs",
	} {
		err := db.AcrossTenants(t.Context(), testdb.Crossing(db), func(ctx context.Context, tx store.CrossTx) error {
			found, err := tx.Query(ctx, `SELECT * FROM `+table)
			if err != nil {
				return err
			}
			defer found.Close()
			columns, err := found.Columns()
			if err != nil {
				return err
			}
			for found.Next() {
				values, into := make([]sql.NullString, len(columns)), make([]any, len(columns))
				for i := range values {
					into[i] = &values[i]
				}
				if err := found.Scan(into...); err != nil {
					return err
				}
				rows++
				if strings.Contains(fmt.Sprint(values), secret) {
					t.Errorf("the token is in the table %s", table)
				}
			}
			return found.Err()
		}, store.ReadOnly)
		if err != nil {
			t.Fatalf("%s: %v", table, err)
		}
	}
	if rows < 10 {
		t.Errorf("only %d rows were read", rows)
	}
}

// privateMails sees that only the server's user can read the folder.
func privateMails(t *testing.T, at place) {
	t.Helper()
	dir := at.mailFolder()
	files, err := filepath.Glob(filepath.Join(dir, "*.eml"))
	if err != nil || len(files) != 2 {
		t.Errorf("mails %v, %v", files, err)
	}
	for _, path := range append(files, dir) {
		info, err := os.Stat(path)
		if err != nil || info.Mode().Perm()&0o077 != 0 {
			t.Errorf("%s: %v, %v", path, info, err)
		}
	}
}

// TestNoWayForMail: a server on PostgreSQL has no data folder. Without one for
// mails it says that nobody can be invited, rather than to lose the token.
func TestNoWayForMail(t *testing.T) {
	s := start(t, append(onPostgres(t)[:2:2], "--sealing-keys", testseal.Keyset))
	a := s.signUp("ann@example.com", "Ann's").do("POST", "/v1/invitations", map[string]any{"email": "bob@example.com", "roles": []string{"member"}})
	if a.status != http.StatusConflict || !strings.Contains(string(a.body), "email_not_configured") {
		t.Errorf("got %d %s", a.status, a.body)
	}
	if !strings.Contains(s.logged(), "--mail-dir") {
		t.Error("the log does not say what is missing")
	}
}
