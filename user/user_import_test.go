package user_test

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/acme/platform"
	"github.com/acme/platform/user"
)

var importer = platform.System(platform.NoTenant, "import")

// employ makes a person a member of an organization, for tests of what a sign-in
// does with the password.
func (b *bundle) employ(t *testing.T, tenant platform.TenantID, id string) {
	t.Helper()
	now := b.clock.Now().UnixMicro()
	b.exec(t, `INSERT INTO user_memberships (tenant, id, user_id, roles, status, created_at, updated_at) VALUES (?, ?, ?, '["member"]', 'active', ?, ?)`,
		string(tenant), "mem_of_"+id, id, now, now)
}

// A hash of each kind signs in once and is argon2id of the present cost from then
// on; the same password signs in again.
func TestImportedHashesAreUpgraded(t *testing.T) {
	b := open(t)
	ann := b.signUp(t, "ann@example.com")
	people := make([]user.ImportUser, len(foreignHashes))
	for i, f := range foreignHashes {
		people[i] = user.ImportUser{Email: fmt.Sprintf("p%d@example.com", i), Name: f.name, EmailVerified: i%2 == 0, PasswordHash: user.Secret(f.encoded)}
	}
	made, err := b.ImportUsers(t.Context(), importer, people)
	noError(t, err)
	for i, f := range foreignHashes {
		if verified, err := b.EmailVerified(t.Context(), made[i].ID); err != nil || verified != (i%2 == 0) {
			t.Errorf("%s: verified %v, %v", f.name, verified, err)
		}
		b.employ(t, ann.p.Tenant, made[i].ID)
		in := user.LogIn{Email: people[i].Email, Password: user.Secret("not " + f.password)}
		_, err := b.LogIn(t.Context(), in)
		want(t, err, platform.KindUnauthenticated, "invalid_credentials")
		if got := b.hashOf(t, made[i].ID); got != f.encoded {
			t.Errorf("%s: a wrong password made it %s", f.name, got)
		}
		in.Password = user.Secret(f.password)
		for range 2 {
			_, err = b.LogIn(t.Context(), in)
			noError(t, err)
			if got := b.hashOf(t, made[i].ID); !strings.HasPrefix(got, "$argon2id$v=19$m=64,t=1,p=1$") {
				t.Errorf("%s: the hash is %s", f.name, got)
			}
		}
	}
	// What bcrypt has never looked at counts from now on.
	_, err = b.LogIn(t.Context(), user.LogIn{Email: "p3@example.com", Password: user.Secret(strings.Repeat("0123456789", 7) + "01 another tail")})
	want(t, err, platform.KindUnauthenticated, "invalid_credentials")
}

// An import that is repeated changes nothing, be it by the address or by the other
// system's id, and none takes an account over.
func TestImportIsIdempotent(t *testing.T) {
	b := open(t)
	ann := b.signUp(t, "ann@example.com")
	hash := user.Secret(foreignHashes[1].encoded)
	people := []user.ImportUser{
		{Email: "Ann@Example.com", Name: "Thief", PasswordHash: hash, EmailVerified: true},
		{Email: "ben@example.com", Name: "Ben", ExternalID: "7", PasswordHash: hash},
		{Email: "BEN@example.com", Name: "Ben again", ExternalID: "8"},
		{Email: "cem@example.com", Name: "Cem"},
	}
	first, err := b.ImportUsers(t.Context(), importer, people)
	noError(t, err)
	if first[0] != (user.ImportedUser{ID: ann.User.ID}) || !first[1].Created || first[2] != (user.ImportedUser{ID: first[1].ID}) || !first[3].Created {
		t.Errorf("first %+v", first)
	}
	_, err = b.LogIn(t.Context(), annRight)
	noError(t, err)
	if verified, err := b.EmailVerified(t.Context(), ann.User.ID); err != nil || verified {
		t.Errorf("an import verifies the address of an account: %v %v", verified, err)
	}
	people[1].Email, people[1].PasswordHash = "ben@new.example.com", user.Secret(foreignHashes[0].encoded) // known by the id
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			again, err := b.ImportUsers(t.Context(), importer, people)
			if err != nil {
				t.Error(err)
				return
			}
			for i, u := range again {
				if u.Created || u.ID != first[i].ID {
					t.Errorf("number %d again: %+v", i, u)
				}
			}
		})
	}
	wg.Wait()
	if n := b.count(t, "user_accounts"); n != 3 {
		t.Errorf("%d accounts", n)
	}
	if got := b.hashOf(t, first[1].ID); got != string(hash) {
		t.Error("a repeated import gives another password")
	}
	// Without a hash nobody signs in by a password.
	_, err = b.LogIn(t.Context(), user.LogIn{Email: "cem@example.com"})
	want(t, err, platform.KindUnauthenticated, "invalid_credentials")
}

// What is wrong is named, nothing is made of its batch, and no hash is computed to
// find out: the hasher is taken all the time.
func TestImportRefuses(t *testing.T) {
	b := open(t, func(c *user.Config) { c.PasswordConcurrency, c.PasswordQueue = 1, 1 })
	release, err := b.HoldHasher(t.Context())
	noError(t, err)
	defer release()
	const absurd = "$2b$31$abcdefghijklmnopqrstuua/XaI5cwi3vg6M2d.LLrQei4wT6qsFC"
	_, err = b.ImportUsers(t.Context(), importer, []user.ImportUser{
		{Email: "ann@example.com", Name: "Ann"},
		{Email: "no address", Name: "\x00", ExternalID: strings.Repeat("x", 201), PasswordHash: absurd},
	})
	for path, code := range map[string]string{"/1/email": "format", "/1/name": "format", "/1/external_id": "format", "/1/password_hash": "cost"} {
		wantField(t, err, path, code)
	}
	if strings.Contains(fmt.Sprint(err), "abcdefghijkl") {
		t.Errorf("the error repeats the hash: %v", err)
	}
	_, err = b.ImportUsers(t.Context(), importer, make([]user.ImportUser, 1001))
	want(t, err, platform.KindTooLarge, "")
	for _, p := range []platform.Principal{{}, {Kind: platform.PrincipalUser, Tenant: "org_1", Subject: "usr_1"}} {
		if _, err := b.ImportUsers(t.Context(), p, nil); err == nil {
			t.Errorf("%s imports", p.Kind)
		}
		if _, err := b.ImportLines(t.Context(), p, strings.NewReader("")); err == nil {
			t.Errorf("%s imports lines", p.Kind)
		}
	}
	if n := b.count(t, "user_accounts"); n != 0 {
		t.Errorf("%d accounts", n)
	}
	// A hash that came into the store in another way is not computed either.
	made, err := b.ImportUsers(t.Context(), importer, []user.ImportUser{{Email: "ann@example.com", Name: "Ann", PasswordHash: user.Secret(foreignHashes[1].encoded)}})
	noError(t, err)
	b.exec(t, `UPDATE user_passwords SET hash = ? WHERE user_id = ?`, absurd, made[0].ID)
	_, err = b.LogIn(t.Context(), annRight)
	if err == nil || platform.KindOf(err) != platform.KindInternal {
		t.Errorf("got %v", err)
	}
}

func TestImportLines(t *testing.T) {
	b := open(t)
	line := func(i int) string {
		return fmt.Sprintf(`{"email":"p%d@example.com","name":"P","external_id":"%d","email_verified":true,"password_hash":%q}`+"\n", i, i, foreignHashes[1].encoded)
	}
	var file strings.Builder
	for i := range 1203 {
		file.WriteString(line(i) + "\n") // every second line is empty
	}
	count, err := b.ImportLines(t.Context(), importer, strings.NewReader(file.String()))
	if err != nil || count != (user.ImportCount{Created: 1203}) {
		t.Errorf("%+v, %v", count, err)
	}
	count, err = b.ImportLines(t.Context(), importer, strings.NewReader(line(7)+line(2000)))
	if err != nil || count != (user.ImportCount{Created: 1, Known: 1}) {
		t.Errorf("%+v, %v", count, err)
	}
	for path, text := range map[string]string{
		"line.3.password_hash": line(7) + "\n" + strings.ReplaceAll(line(3000), "$2b$05", "$2b$31"),
		"line.2.email":         line(7) + `{"name":"x"}`,
		"line.2":               line(7) + `{"email":"x@example.com","name":"x","admin":true}`,
		"line.1":               `{"email":"x@example.com","name":"x"}{"email":"y@example.com","name":"x"}`,
		"line.4":               line(1) + line(2) + line(3) + strings.Repeat("x", 9<<10),
	} {
		_, err := b.ImportLines(t.Context(), importer, strings.NewReader(text))
		var e *platform.Error
		if !errors.As(err, &e) || e.Kind != platform.KindInvalid || len(e.Fields) != 1 || e.Fields[0].Path != path {
			t.Errorf("%s: %v", path, err)
		}
	}
	if n := b.count(t, "user_accounts"); n != 1204 {
		t.Errorf("%d accounts", n)
	}
}

// An operator imports over HTTP; nobody else does.
func TestImportOverHTTP(t *testing.T) {
	b := open(t)
	ann := b.signUp(t, "ann@example.com")
	_, key, err := b.CreateOperatorKey(t.Context(), "ops")
	noError(t, err)
	h := b.server()
	body := func(hash string) string {
		return `{"users":[{"email":"ben@example.com","name":"Ben","external_id":"7","password_hash":"` + hash + `"}]}`
	}
	const path = "/v1/operator/users/import"
	for i, created := range []bool{true, false} {
		out := send[struct {
			Data []struct {
				ID      string
				Created bool
			}
		}](t, h, key, "POST", path, body(foreignHashes[1].encoded), http.StatusOK)
		if len(out.Data) != 1 || out.Data[0].Created != created || out.Data[0].ID == "" {
			t.Errorf("time %d: %+v", i+1, out)
		}
	}
	send[object](t, h, key, "POST", path, body("$2b$31$abcdefghijklmnopqrstuua/XaI5cwi3vg6M2d.LLrQei4wT6qsFC"), http.StatusUnprocessableEntity)
	send[object](t, h, key, "POST", path, `{"users":[]}`, http.StatusUnprocessableEntity)
	if status, _ := call(t, h, ann.Tokens.Access, "POST", path, body(foreignHashes[1].encoded)); status != http.StatusForbidden {
		t.Errorf("an owner: %d", status)
	}
}
