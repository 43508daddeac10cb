package user_test

import (
	"context"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"github.com/acme/platform"
	"github.com/acme/platform/user"
)

// answered is what a caller sees of an answer.
func answered(t *testing.T, h http.Handler, ctx context.Context, email, password string) string {
	t.Helper()
	req := httptest.NewRequestWithContext(ctx, "POST", "/v1/auth/login", strings.NewReader(fmt.Sprintf(`{"email":%q,"password":%q}`, email, password)))
	req.Header.Set("Content-Type", "application/json")
	w := httptest.NewRecorder()
	h.ServeHTTP(w, req)
	var all strings.Builder
	fmt.Fprintln(&all, w.Code)
	for _, name := range slices.Sorted(maps.Keys(w.Header())) {
		fmt.Fprintln(&all, name, w.Header()[name])
	}
	all.WriteString(w.Body.String())
	return all.String()
}

// A sign-in answers the same for an address that is known, one that is not, and one
// that is suspended: status, headers and body, from the first try to those that are
// delayed; and as many hashes are computed.
func TestSignInTellsNothingOverHTTP(t *testing.T) {
	b := open(t)
	ann, ben := b.signUp(t, "ann@example.com"), b.signUp(t, "ben@example.com")
	noError(t, b.SetUserStatus(t.Context(), ben.User.ID, user.Suspended))
	imported, err := b.ImportUsers(t.Context(), importer, []user.ImportUser{
		{Email: "cem@example.com", Name: "Cem", PasswordHash: user.Secret(foreignHashes[1].encoded)}, {Email: "dan@example.com", Name: "Dan"},
	})
	noError(t, err)
	b.employ(t, ann.p.Tenant, imported[0].ID)
	h := b.server()
	ask := func(email, client string) (all []string, hashed int64) {
		before := b.Hashed()
		for i := range user.FreeTries + 3 {
			all = append(all, answered(t, h, from(t.Context(), client), email, fmt.Sprint("wrong password ", i)))
		}
		return all, b.Hashed() - before
	}
	first, hashes := ask("nobody@example.com", "203.0.113.1")
	if !strings.HasPrefix(first[0], "401") || !strings.HasPrefix(first[len(first)-1], "429") || hashes != user.FreeTries+1 {
		t.Fatalf("%d hashes, %s", hashes, strings.Join(first, "\n"))
	}
	for i, email := range []string{"ann@example.com", "ben@example.com", "cem@example.com", "dan@example.com", "no address"} {
		got, n := ask(email, fmt.Sprint("203.0.113.", 2+i))
		if n != hashes {
			t.Errorf("%s: %d hashes, not %d", email, n, hashes)
		}
		for j := range got {
			if got[j] != first[j] {
				t.Errorf("%s, try %d:\n%s\nnot\n%s", email, j+1, got[j], first[j])
			}
		}
	}
}

// Sign-ins beyond what may wait are told so with 503 and when to come back.
func TestTooManySignInsOverHTTP(t *testing.T) {
	b := open(t, func(c *user.Config) { c.PasswordConcurrency, c.PasswordQueue = 1, 1 })
	b.signUp(t, "ann@example.com")
	release, err := b.HoldHasher(t.Context())
	noError(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		_, _ = b.LogIn(ctx, annRight)
	}()
	b.AwaitQueue(1)
	h := b.server()
	for _, email := range []string{"ann@example.com", "nobody@example.com"} {
		if got := answered(t, h, t.Context(), email, "x"); !strings.HasPrefix(got, "503") || !strings.Contains(got, "Retry-After [1]") || !strings.Contains(got, `"busy"`) {
			t.Errorf("%s: %s", email, got)
		}
	}
	cancel()
	<-done
	release()
	if got := answered(t, h, platform.WithRequestID(t.Context(), "req_1"), "ann@example.com", goodPassword); !strings.HasPrefix(got, "200") {
		t.Error(got)
	}
}
