package user_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/acme/platform/internal/test/testdb"
	"github.com/acme/platform/user"
)

// wellKnown are passwords of at least 8 characters that stand near the top of
// the lists that are published each year.
const wellKnown = `
password password1 password12 password123 passw0rd p@ssw0rd p@ssword Password! iloveyou iloveyou1
12345678 123456789 1234567890 123123123 11111111 00000000 88888888 87654321 12341234 147258369
987654321 0987654321 123654789 789456123 11223344 1122334455 12344321 123456abc abc12345 abcd1234
abcdefgh a1234567 a12345678 aa123456 asdf1234 asdfghjk asdfghjkl 1234qwer qwer1234 qwerty12
qwerty123 qwerty1234 qwertyui qwertyuiop 1q2w3e4r 1q2w3e4r5t 1qaz2wsx q1w2e3r4 zaq12wsx zxcvbnm1
sunshine sunshine1 princess princess1 football football1 baseball baseball1 basketball superman
superman1 spiderman batman123 pokemon123 starwars startrek trustno1 welcome1 welcome123 letmein1
letmein123 whatever michelle jennifer jessica1 samantha danielle victoria elizabeth alexander charlotte
computer internet corvette mercedes chocolate butterfly liverpool barcelona manchester midnight
snowball marlboro maverick redskins bigdaddy dragon123 monkey123 master123 shadow123 admin123
changeme secret123 michael1 jordan23`

func TestWellKnownPasswordsAreRefused(t *testing.T) {
	testdb.SQLiteOnly(t)
	all := strings.Fields(wellKnown)
	var passed []string
	for _, p := range all {
		for _, form := range []string{p, strings.ToUpper(p), p + "!", strings.Title(p) + "2026"} { //nolint:staticcheck // of ASCII words
			if f := user.CheckPassword("/password", form, "ann@example.com"); f == nil || f.Code != "too_common" {
				passed = append(passed, form)
			}
		}
	}
	if len(passed) > 0 {
		t.Errorf("%d of %d pass: %s", len(passed), 4*len(all), strings.Join(passed, " "))
	}
}

// The list is what it is said to be, and can be searched.
func TestCommonPasswordList(t *testing.T) {
	testdb.SQLiteOnly(t)
	words, common := user.PasswordLists()
	for _, list := range [][]string{words, common} {
		if !slices.IsSorted(list) {
			t.Error("a list is not sorted")
		}
	}
	long := 0
	for _, p := range common {
		if p != strings.ToLower(p) || len(p) < 4 {
			t.Errorf("%q", p)
		}
		if len([]rune(p)) >= 8 {
			long++
			if f := user.CheckPassword("/password", p, "ann@example.com"); f == nil {
				t.Errorf("%q passes", p)
			}
		}
	}
	if long < 3000 {
		t.Errorf("%d of at least 8 characters", long)
	}
}

// Passwords that only begin with a common one, or contain it, are fine.
func TestUncommonPasswords(t *testing.T) {
	testdb.SQLiteOnly(t)
	for _, p := range []string{
		"violet tractor umbrella", "gregorian 84620157", "monkeys eat my homework", "kx7#mQ2p", "dragonfly-on-a-leaf",
		"tr0ub4dor&3", "football is played by the lake",
	} {
		if f := user.CheckPassword("/password", p, "ann@example.com"); f != nil {
			t.Errorf("%q: %s", p, f.Code)
		}
	}
}
