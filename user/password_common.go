package user

import (
	"bytes"
	"compress/gzip"
	_ "embed" // the lists
	"io"
	"slices"
	"strings"
	"sync"
)

// leet undoes the best known replacements of letters.
var leet = strings.NewReplacer("0", "o", "1", "i", "3", "e", "4", "a", "5", "s", "7", "t", "@", "a", "$", "s", "!", "i")

// tooCommon reports whether a password is on a list, as it is, with leet undone,
// or before a tail of digits and signs ("Password2024!"), or is a run
// ("12345678", "abcdefgh") or one thing repeated. The case of letters is no
// difference.
func tooCommon(password string) bool {
	lower := strings.ToLower(strings.TrimSpace(password))
	stem := strings.TrimRight(lower, "0123456789!?.,#*+-_$@ ")
	return isCommon(lower, len(lower)-len(stem)) || isRun(lower) || isRepeated(lower)
}

// maxTail is the longest tail that makes no other password of a common one.
// After a word of this package's own it may have any length.
const maxTail = 6

// isCommon reports whether a password, or what it is without a part of its tail,
// is on a list; tail is how many digits and signs it ends with.
func isCommon(lower string, tail int) bool {
	words, common := passwordLists()
	on := func(list []string, word string) bool {
		_, found := slices.BinarySearch(list, word)
		return found
	}
	for cut := range tail + 1 {
		word := lower[:len(lower)-cut]
		for _, w := range [...]string{word, leet.Replace(word)} {
			if on(words, w) || cut <= maxTail && on(common, w) {
				return true
			}
		}
	}
	return false
}

// The lists of passwords that are tried first: words is this package's own, of
// which any form is refused, and common is one of 19,000 that were found in
// breaches most often (see passwords/NOTICE). Neither has all that were ever
// breached.
var (
	//go:embed passwords/words.txt
	wordList string
	//go:embed passwords/common.txt.gz
	commonList []byte
)

// passwordLists returns both lists, sorted, in lower case. They are unpacked when
// they are first asked for: some 600 KiB.
var passwordLists = sync.OnceValues(func() (words, common []string) {
	words = strings.Fields(wordList)
	slices.Sort(words)
	unpacked, err := gzip.NewReader(bytes.NewReader(commonList))
	var text []byte
	if err == nil {
		text, err = io.ReadAll(unpacked)
	}
	if err != nil { // it is embedded
		panic(err)
	}
	return words, strings.Split(strings.TrimSuffix(string(text), "\n"), "\n")
})

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
