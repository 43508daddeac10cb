// Package query checks the query of a URL against the parameters that an
// operation declares. A parameter that is misspelt must not be ignored: the
// answer would be that of another question.
package query

import (
	"net/url"
	"strings"

	"github.com/acme/platform"
)

// Param is a declared parameter.
type Param struct {
	Name    string
	Repeats bool // may be given more than once
	Filled  bool // must have a value where it is given: a number, true or false
}

// Check returns an error where raw, the query of a URL, cannot be read, has a
// parameter that is not declared, or has one twice that does not repeat. It is
// for every request, so a query without escapes costs no allocation.
// The errors are of the kinds [platform.KindMalformed] and
// [platform.KindInvalid]; the latter names the parameter.
func Check(raw string, declared []Param) error {
	var seen uint64 // the first 64; no operation has more
	for raw != "" {
		var pair string
		pair, raw, _ = strings.Cut(raw, "&")
		if pair == "" {
			continue
		}
		name, value, _ := strings.Cut(pair, "=")
		if strings.Contains(pair, ";") || !escaped(name) || !escaped(value) {
			return platform.Errorf(platform.KindMalformed, "malformed_query", "the query of the URL cannot be read: "+
				"escape what is not a letter, a digit or one of -._~, with a percent sign and two hexadecimal digits")
		}
		if strings.ContainsAny(name, "%+") {
			name, _ = url.QueryUnescape(name) // escaped has checked it
		}
		i := index(declared, name)
		switch {
		case i < 0:
			return refuse(name, "unknown", known(declared))
		case declared[i].Filled && value == "":
			return refuse(name, "empty", "needs a value; leave the parameter out for the default")
		case !declared[i].Repeats && i < 64 && seen&(1<<i) != 0:
			return refuse(name, "duplicate", "may be given once")
		}
		seen |= 1 << i
	}
	return nil
}

func index(declared []Param, name string) int {
	for i := range declared {
		if declared[i].Name == name {
			return i
		}
	}
	return -1
}

// escaped reports whether each percent sign begins an escape.
func escaped(s string) bool {
	for {
		i := strings.IndexByte(s, '%')
		if i < 0 {
			return true
		}
		if len(s) < i+3 || !hex(s[i+1]) || !hex(s[i+2]) {
			return false
		}
		s = s[i+3:]
	}
}

func hex(c byte) bool {
	return '0' <= c && c <= '9' || 'a' <= c && c <= 'f' || 'A' <= c && c <= 'F'
}

func known(declared []Param) string {
	if len(declared) == 0 {
		return "this operation takes no parameters in the query"
	}
	names := make([]string, len(declared))
	for i, p := range declared {
		names[i] = p.Name
	}
	return "the parameters are " + strings.Join(names, ", ")
}

// maxName bounds what is named of a caller's own text.
const maxName = 64

func refuse(name, code, detail string) error {
	path := "query"
	if len(name) <= maxName && !strings.ContainsFunc(name, func(c rune) bool { return c <= ' ' || c > '~' }) {
		path += "." + name
	}
	return platform.Invalid(platform.Field{Path: path, Code: code, Detail: detail})
}
