package standard_test

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/pquerna/otp/totp"

	"github.com/acme/platform/gateway"
	"github.com/acme/platform/standard"
)

// A half-done sign-in gets 401 on every operation of the OpenAPI document, however
// it is presented, but for the three that finish it, which take it in their bodies.
func TestHalfDoneSignInReachesNothing(t *testing.T) {
	// So many bad credentials are refused by their number, elsewhere.
	p := open(t, standard.Config{Data: t.TempDir(), Gateway: gateway.Config{CredentialRateLimit: gateway.NoLimit}})
	ann := signUp(t, p, "ann@example.com")
	pending := halfDone(t, p, ann, "ann@example.com")
	finishing := []string{"auth.factor.options", "auth.factor.enroll", "auth.factor.verify"}
	present := presentations(t, p, pending)
	refused, public := 0, []string{}
	for _, op := range operations(t, p) {
		if op.Public {
			public = append(public, op.ID)
			continue
		}
		for how, put := range present {
			req := httptest.NewRequest(op.Method, pathParameter.ReplaceAllString(op.Path, "x"), strings.NewReader("{}"))
			req.Header.Set("Content-Type", "application/json")
			put(req)
			w := httptest.NewRecorder()
			p.ServeHTTP(w, req)
			if w.Code != http.StatusUnauthorized {
				t.Errorf("%s with a half-done sign-in as %s: %d %s", op.ID, how, w.Code, w.Body)
			}
			refused++
		}
	}
	if refused < 150 {
		t.Errorf("only %d requests were made", refused)
	}
	for _, id := range finishing {
		if !slices.Contains(public, id) {
			t.Errorf("%s needs a credential", id)
		}
	}
	// Others that need no credential take none of their secrets for it.
	for path, member := range map[string]string{"/v1/auth/refresh": "refresh_token"} {
		if w := call(t, p, "", http.MethodPost, path, `{"`+member+`":"`+pending+`"}`); w.Code != http.StatusUnauthorized {
			t.Errorf("%s: %d %s", path, w.Code, w.Body)
		}
	}
	// It is a good one all the while.
	if w := call(t, p, "", http.MethodPost, "/v1/auth/factor/options", `{"sign_in":"`+pending+`"}`); w.Code != http.StatusOK {
		t.Errorf("%d %s", w.Code, w.Body)
	}
	if w := call(t, p, "", http.MethodPost, "/v1/auth/factor/enroll", `{"sign_in":"`+pending+`","method":"totp"}`); w.Code != http.StatusConflict {
		t.Errorf("%d %s", w.Code, w.Body)
	}
}

// halfDone gives a person an authenticator app, signs in with the password, and
// returns the half-done sign-in.
func halfDone(t *testing.T, h http.Handler, token, email string) string {
	t.Helper()
	var app struct{ Seed string }
	if w := call(t, h, token, http.MethodPost, "/v1/me/totp", ""); json.Unmarshal(w.Body.Bytes(), &app) != nil || app.Seed == "" {
		t.Fatalf("begin: %d %s", w.Code, w.Body)
	}
	code, err := totp.GenerateCode(app.Seed, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	if w := call(t, h, token, http.MethodPost, "/v1/me/totp/confirm", `{"code":"`+code+`"}`); w.Code != http.StatusOK {
		t.Fatalf("confirm: %d %s", w.Code, w.Body)
	}
	var in struct {
		AccessToken string `json:"access_token"`
		Factor      struct {
			SignIn  string `json:"sign_in"`
			Methods []string
		}
	}
	w := call(t, h, "", http.MethodPost, "/v1/auth/login", `{"email":"`+email+`","password":"correct horse battery"}`)
	if err := json.Unmarshal(w.Body.Bytes(), &in); err != nil || in.Factor.SignIn == "" || in.AccessToken != "" ||
		!slices.Equal(in.Factor.Methods, []string{"totp", "recovery_code"}) {
		t.Fatalf("sign-in: %d %s", w.Code, w.Body)
	}
	return in.Factor.SignIn
}
