package gateway

import (
	"net/http"
	"strings"

	"github.com/acme/platform"
)

// readsTwoWays reports whether another server could take the decoded path for
// one of other segments: with '\' as '/', or with a parameter after ';' left
// out of a segment, "..;/x" and "..\x" lead out of the path that was checked.
func readsTwoWays(path string) bool {
	if !strings.ContainsAny(path, `\;`) {
		return false
	}
	for segment := range strings.FieldsFuncSeq(path, func(r rune) bool { return r == '/' || r == '\\' }) {
		if segment, _, _ = strings.Cut(segment, ";"); segment == "." || segment == ".." {
			return true
		}
	}
	return false
}

// validQuery reports whether every parser of forms reads the same from the
// query: none leaves out a part for a ';' or for an escape that is not one.
func validQuery(query string) bool {
	for i := 0; i < len(query); i++ {
		switch query[i] {
		case ';':
			return false
		case '%':
			if i+2 >= len(query) || !isHex(query[i+1]) || !isHex(query[i+2]) {
				return false
			}
			i += 2
		}
	}
	return true
}

func isHex(c byte) bool {
	return '0' <= c && c <= '9' || 'a' <= c && c <= 'f' || 'A' <= c && c <= 'F'
}

// refuseTarget answers a request whose path or query the gateway and whoever is
// behind it could read differently, and reports whether it did.
func refuseTarget(w http.ResponseWriter, r *http.Request) bool {
	switch {
	case readsTwoWays(r.URL.Path):
		platform.WriteProblem(w, r, nil, platform.Errorf(platform.KindMalformed, "ambiguous_path",
			`the path must not have "." or ".." before a semicolon or beside a backslash`))
	case !validQuery(r.URL.RawQuery):
		platform.WriteProblem(w, r, nil, platform.Errorf(platform.KindMalformed, "malformed_query",
			`in the query a semicolon is written as "%%3B", and a percent sign as "%%25"`))
	default:
		return false
	}
	return true
}
