package user_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/acme/platform"
	"github.com/acme/platform/user"
)

func TestCheckPassword(t *testing.T) {
	for password, code := range map[string]string{
		"short":                           "too_short",
		"1234567":                         "too_short",
		"пароль7":                         "too_short", // 7 characters in 13 bytes
		strings.Repeat("🦊🐻é", 86):         "too_long",  // 258 characters
		"\xff\xfe bad bytes":              "format",
		"Ann.Smith@example.com":           "is_email",
		"ANN.SMITH":                       "is_email",
		"password":                        "too_common",
		"PASSWORD":                        "too_common",
		"P@ssw0rd123!":                    "too_common",
		"Summer2026!":                     "too_common",
		"iloveyou2":                       "too_common",
		"12345678":                        "too_common",
		"87654321":                        "too_common",
		"qwertyuiop":                      "too_common",
		"asdfghjkl":                       "too_common",
		"aaaaaaaaaa":                      "too_common",
		"abcabcabcabc":                    "too_common",
		"correcthorsebatterystaple":       "too_common",
		"violet tractor umbrella":         "",
		"kx7#mQ2p":                        "",
		"8 сло́в на русском":              "",
		"football is played by the lake":  "",
		strings.Repeat("🦊", 255) + "🐻":    "", // 256 characters in 1,024 bytes
		strings.Repeat("a", 7) + "é":      "",
		"        eight spaces and a word": "",
	} {
		f := user.CheckPassword("/password", password, "ann.smith@example.com")
		got := ""
		if f != nil {
			got = f.Code
		}
		if got != code {
			t.Errorf("%q: got %q, want %q", password, got, code)
		}
	}
}

// Passwords that agree in 72 bytes, which is where bcrypt stops, are different.
func TestNothingIsCutAt72Bytes(t *testing.T) {
	b := open(t)
	same := strings.Repeat("kx7#mQ2p", 9)
	_, err := b.SignUp(t.Context(), user.SignUp{Email: "ann@example.com", Password: user.Secret(same + "1"), Name: "Ann", Organization: "Acme"})
	noError(t, err)
	for _, other := range []string{same, same + "2", same + "12"} {
		_, err = b.LogIn(t.Context(), user.LogIn{Email: "ann@example.com", Password: user.Secret(other)})
		want(t, err, platform.KindUnauthenticated, "invalid_credentials")
	}
	_, err = b.LogIn(t.Context(), user.LogIn{Email: "ann@example.com", Password: user.Secret(same + "1")})
	noError(t, err)
}

// What the document says about the length is what is checked, in characters and
// for each way to set a password.
func TestPasswordLengthOverHTTP(t *testing.T) {
	b := open(t)
	h := b.server()
	longest := strings.Repeat("🦊", 255) + "🐻"
	body := func(password string) string {
		return `{"email":"ann@example.com","name":"Ann","organization":"Acme","password":"` + password + `"}`
	}
	for _, bad := range []string{"kx7#mQ2", "сло́во", longest + "x"} {
		send[object](t, h, "", "POST", "/v1/auth/signup", body(bad), http.StatusUnprocessableEntity)
	}
	up := send[object](t, h, "", "POST", "/v1/auth/signup", body(longest), http.StatusCreated)
	token := user.Secret(up["tokens"].(object)["access_token"].(string)) //nolint:forcetypeassert // the answer has it
	for password, status := range map[string]int{"kx7#mQ2": http.StatusUnprocessableEntity, longest + "x": http.StatusUnprocessableEntity, "kx7#mQ2p": http.StatusOK} {
		send[object](t, h, token, "PATCH", "/v1/me", `{"password":"`+password+`","current_password":"`+longest+`"}`, status)
	}
}

// Nothing is cut off: the last byte of a long password counts.
func TestLongPasswords(t *testing.T) {
	b := open(t)
	long := strings.Repeat("é1", 40) + strings.Repeat("z8", 30)
	_, err := b.SignUp(t.Context(), user.SignUp{Email: "ann@example.com", Password: user.Secret(long), Name: "Ann", Organization: "Acme"})
	noError(t, err)
	_, err = b.LogIn(t.Context(), user.LogIn{Email: "ann@example.com", Password: user.Secret(long[:len(long)-1] + "9")})
	if err == nil {
		t.Error("a password that differs in the last byte is accepted")
	}
	// The same characters from another keyboard: decomposed.
	other := strings.ReplaceAll(long, "é", "e\u0301")
	_, err = b.LogIn(t.Context(), user.LogIn{Email: "ann@example.com", Password: user.Secret(other)})
	noError(t, err)
}
