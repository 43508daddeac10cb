package user_test

import (
	"strings"
	"testing"

	"github.com/acme/platform/user"
)

func TestCheckPassword(t *testing.T) {
	for password, code := range map[string]string{
		"short":                           "too_short",
		"1234567":                         "too_short",
		"пароль7":                         "too_short", // 7 characters in 13 bytes
		strings.Repeat("x9 ", 86):         "too_long",
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
		strings.Repeat("🦊", 63) + "🐻":     "", // 64 characters in 256 bytes
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

func TestParsePHC(t *testing.T) {
	good := user.PasswordHash("x", 64, 1)
	noError(t, user.ParsePHC(good))
	for _, bad := range []string{
		"", "x", strings.Replace(good, "argon2id", "argon2i", 1), strings.Replace(good, "v=19", "v=16", 1),
		strings.Replace(good, "m=64", "m=65537", 1), strings.Replace(good, "t=1", "t=9", 1), strings.Replace(good, "p=1", "p=5", 1),
		strings.Replace(good, "t=1", "t=0", 1), strings.Replace(good, "p=1", "p=0", 1), strings.Replace(good, "m=64", "m=064", 1),
		good + "$", good[:len(good)-30], strings.Replace(good, "p=1", "p=1,x=2", 1),
	} {
		if user.ParsePHC(bad) == nil {
			t.Errorf("%q is accepted", bad)
		}
	}
}
