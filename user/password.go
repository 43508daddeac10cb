package user

import (
	_ "embed" // the list of common passwords
	"strings"
	"sync"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"

	"github.com/acme/platform"
)

// The rules for passwords are those of NIST SP 800-63B and OWASP ASVS 5.0 6.2:
// long enough, any character, nothing cut off, no rules of composition, and
// not one of those that are tried first.
const (
	minPassword      = 8   // characters
	maxPasswordBytes = 256 // so that 64 characters of any script fit
)

//go:embed passwords.txt
var commonPasswordList string

// commonPasswords holds the shipped list in lower case. The list is a few
// hundred of the best known passwords and words, written down for this
// package; it is no list of breached passwords.
var commonPasswords = sync.OnceValue(func() map[string]bool {
	words := strings.Fields(commonPasswordList)
	set := make(map[string]bool, len(words))
	for _, w := range words {
		set[w] = true
	}
	return set
})

// normalizePassword gives the same password from different keyboards the same
// bytes.
func normalizePassword(password Secret) string { return norm.NFC.String(string(password)) }

// checkPassword returns what is wrong with a new password; it never repeats it.
func checkPassword(path, password, email string) *platform.Field {
	switch {
	case utf8.RuneCountInString(password) < minPassword:
		return &platform.Field{Path: path, Code: "too_short", Detail: "at least 8 characters"}
	case len(password) > maxPasswordBytes:
		return &platform.Field{Path: path, Code: "too_long", Detail: "at most 256 bytes"}
	case !utf8.ValidString(password):
		return &platform.Field{Path: path, Code: "format", Detail: "must be UTF-8"}
	case strings.EqualFold(password, email) || strings.EqualFold(password, localPart(email)):
		return &platform.Field{Path: path, Code: "is_email", Detail: "must not be the e-mail address"}
	case tooCommon(password):
		return &platform.Field{Path: path, Code: "too_common", Detail: "this is one of the passwords that are tried first; take another"}
	}
	return nil
}

func localPart(email string) string {
	local, _, _ := strings.Cut(email, "@")
	return local
}

// leet undoes the best known replacements of letters.
var leet = strings.NewReplacer("0", "o", "1", "i", "3", "e", "4", "a", "5", "s", "7", "t", "@", "a", "$", "s", "!", "i")

// tooCommon reports whether a password is on the list, as it is, with leet
// undone, or before a tail of digits and signs ("Password2024!"), or is a run
// ("12345678", "abcdefgh") or one thing repeated.
func tooCommon(password string) bool {
	lower := strings.ToLower(password)
	words := commonPasswords()
	stem := strings.TrimRight(lower, "0123456789!?.,#*+-_$@ ")
	return words[lower] || words[leet.Replace(lower)] ||
		stem != "" && (words[stem] || words[leet.Replace(stem)]) ||
		isRun(lower) || isRepeated(lower)
}

// rows are the runs of a keyboard, for isRun.
var rows = []string{
	"abcdefghijklmnopqrstuvwxyz", "01234567890123456789", "qwertyuiop[]", "qwertzuiopü", "azertyuiop",
	"asdfghjkl;'", "zxcvbnm,./", "1qaz2wsx3edc4rfv5tgb6yhn7ujm8ik,9ol.0p;/", "qazwsxedcrfvtgbyhnujmikolp", "!@#$%^&*()_+",
}

func isRun(s string) bool {
	for _, row := range rows {
		if strings.Contains(row, s) || strings.Contains(row, reverse(s)) {
			return true
		}
	}
	return false
}

func reverse(s string) string {
	r := []rune(s)
	for i, j := 0, len(r)-1; i < j; i, j = i+1, j-1 {
		r[i], r[j] = r[j], r[i]
	}
	return string(r)
}

// isRepeated reports whether s is one unit of up to four characters over and
// over.
func isRepeated(s string) bool {
	r := []rune(s)
	for unit := 1; unit <= 4 && unit*2 <= len(r); unit++ {
		same := true
		for i := unit; i < len(r) && same; i++ {
			same = r[i] == r[i-unit]
		}
		if same {
			return true
		}
	}
	return false
}
