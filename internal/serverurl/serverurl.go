// Package serverurl reads URLs that may name several hosts, which net/url does
// not read. They hold passwords, so no error shows a part of one.
package serverurl

import (
	"errors"
	"net/url"
	"strings"
)

// URL is one that may name several hosts.
type URL struct {
	Scheme         string
	User, Password string
	Hosts          []string // with their ports, if they have any
	Path           string   // without the slash in front
	Query          url.Values
}

// ErrUnreadable is the error of [Parse].
var ErrUnreadable = errors.New("the URL cannot be read; what is special in a password must be escaped")

// Parse reads a URL. Its error is [ErrUnreadable].
func Parse(raw string) (u URL, err error) {
	var rest, query, user string
	u.Scheme, rest, _ = strings.Cut(raw, "://")
	rest, query, _ = strings.Cut(rest, "?")
	if u.Query, err = url.ParseQuery(query); err != nil {
		return URL{}, ErrUnreadable
	}
	rest, path, _ := strings.Cut(rest, "/")
	if u.Path, err = url.PathUnescape(path); err != nil {
		return URL{}, ErrUnreadable
	}
	if before, after, found := strings.Cut(rest, "@"); found {
		user, rest = before, after
	}
	user, password, _ := strings.Cut(user, ":")
	if u.User, err = url.PathUnescape(user); err != nil {
		return URL{}, ErrUnreadable
	}
	if u.Password, err = url.PathUnescape(password); err != nil {
		return URL{}, ErrUnreadable
	}
	u.Hosts = strings.Split(rest, ",")
	if rest == "" || strings.ContainsAny(rest, "@ ") {
		return URL{}, ErrUnreadable
	}
	return u, nil
}
