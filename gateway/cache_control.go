package gateway

import (
	"net/http"
	"strconv"
	"strings"
	"time"
)

// directives are the parts of a Cache-Control header that the cache acts on
// (RFC 9111, section 5.2).
type directives struct {
	noStore, noCache, private, onlyIfCached bool
	maxAge                                  time.Duration // negative where absent
	sharedMaxAge                            time.Duration // s-maxage, the same
}

// maxCacheAge bounds what a header can ask for, well within time.Duration.
const maxCacheAge = 365 * 24 * time.Hour

func parseCacheControl(h http.Header) directives {
	d := directives{maxAge: -1, sharedMaxAge: -1}
	for _, line := range h["Cache-Control"] {
		for part := range strings.SplitSeq(line, ",") {
			name, value, _ := strings.Cut(strings.TrimSpace(part), "=")
			switch strings.ToLower(name) {
			case "no-store":
				d.noStore = true
			case "no-cache": // also with a list of fields: more careful is allowed
				d.noCache = true
			case "private":
				d.private = true
			case "only-if-cached":
				d.onlyIfCached = true
			case "max-age":
				d.maxAge = seconds(value)
			case "s-maxage":
				d.sharedMaxAge = seconds(value)
			}
		}
	}
	return d
}

// seconds reads a delta-seconds; what cannot be read is stale at once.
func seconds(s string) time.Duration {
	n, err := strconv.ParseUint(strings.Trim(s, `"`), 10, 31)
	if err != nil {
		return 0
	}
	return min(time.Duration(n)*time.Second, maxCacheAge)
}

// etagMatches compares an If-None-Match with an entity tag, weakly as RFC
// 9110, section 13.1.2 asks.
func etagMatches(lines []string, etag string) bool {
	if etag == "" {
		return false
	}
	etag = strings.TrimPrefix(etag, "W/")
	for _, line := range lines {
		rest := line
		for rest = strings.TrimLeft(rest, " \t,"); rest != ""; rest = strings.TrimLeft(rest, " \t,") {
			if rest[0] == '*' {
				return true
			}
			rest = strings.TrimPrefix(rest, "W/")
			if rest[0] != '"' {
				break // not a list of entity tags
			}
			end := strings.IndexByte(rest[1:], '"')
			if end < 0 {
				break
			}
			if rest[:end+2] == etag {
				return true
			}
			rest = rest[end+2:]
		}
	}
	return false
}
