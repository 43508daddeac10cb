package gateway

import (
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"time"

	"github.com/acme/platform"
	"github.com/acme/platform/internal/setting"
)

// Upstream is a service in another process. Its routes are operations like all
// others: with authentication, permission and limits, and described. What it
// sees of the caller is a short-lived signed assertion ([VerifyAssertion]),
// never the credential.
type Upstream struct {
	// Name is lower case letters, digits and '-'. It is the audience of the
	// assertions and the operations' tag.
	Name string
	// URLs are where it runs, each with a scheme and a host, and a path that
	// goes before the request's own. Requests go to them in turn. One that
	// could not be connected to, so that nothing was sent, goes on to the
	// next, and so does a GET or HEAD whose connection broke before the
	// answer; all others that fail, and those that took too long, are answered
	// with 502 or 504.
	URLs []string
	// Routes are its operations; their Handler must be nil. The pattern
	// "/v1/things/{rest...}" takes everything below.
	Routes []platform.Route
	// OpenAPI describes Routes, as in [platform.Describer]; empty is a
	// minimal description.
	OpenAPI []byte

	// Usage is set where it serves [UsageRoute] for this gateway to ask.
	Usage bool

	// Timeout bounds an exchange that is no stream; zero is Config.Timeout.
	Timeout time.Duration
	// DialTimeout bounds connecting, TLS included; zero is 5 s.
	DialTimeout time.Duration
	// HeaderTimeout bounds the wait for the answer's header, streams
	// included; zero is 30 s.
	HeaderTimeout time.Duration
	// BreakAfter failures in a row take a URL out: no connection, one that
	// breaks before the answer or within it, or no answer in time. An answer
	// is none, whatever its status: a service that sheds load with 503 is
	// there, and where another proxy answers 502 for one that is not, the URL
	// stays in. Callers who leave do not count, nor do those whose body breaks
	// off, is too large or does not come. Zero is 5.
	BreakAfter int
	// BreakFor is how long it is out before one request tries it again; zero
	// is 10 s.
	BreakFor time.Duration

	// Request and Response change headers on their way.
	Request, Response HeaderRules
	// Transport makes the connections; nil is one for this upstream alone,
	// with many idle connections kept and no proxy of the environment.
	Transport http.RoundTripper
}

// UpstreamOf declares the routes of r, without their handlers, and its
// description as an upstream at urls under the name of r. So a service that
// moves to another process keeps its operations: there it is served, here it
// only says what it has. r need not be started and is not called.
func UpstreamOf(r platform.Router, urls ...string) (Upstream, error) {
	u := Upstream{Name: r.Name(), URLs: urls, Routes: slices.Clone(r.Routes())}
	for i := range u.Routes {
		u.Routes[i].Handler = nil
	}
	_, u.Usage = r.(platform.UsageReporter)
	if d, ok := r.(platform.Describer); ok {
		var err error
		if u.OpenAPI, err = d.OpenAPI(); err != nil {
			return Upstream{}, fmt.Errorf("gateway: the description of %s: %w", u.Name, err)
		}
	}
	return u, nil
}

// HeaderRules change a header: first Remove, then Set.
type HeaderRules struct {
	Remove []string
	Set    map[string]string
}

func (h HeaderRules) apply(header http.Header) {
	for _, name := range h.Remove {
		header.Del(name)
	}
	for name, value := range h.Set {
		header.Set(name, value)
	}
}

var upstreamName = regexp.MustCompile(`^[a-z0-9][a-z0-9-]{0,63}$`)

func (u Upstream) check(c *setting.Check, haveKey bool) {
	field := "Upstreams[" + u.Name + "]."
	c.Need(upstreamName.MatchString(u.Name), field+"Name", "must be lower case letters, digits and '-'")
	c.Need(len(u.URLs) > 0, field+"URLs", "must not be empty")
	for _, s := range u.URLs {
		target, err := url.Parse(s)
		c.Need(err == nil && (target.Scheme == "http" || target.Scheme == "https") && target.Host != "" &&
			target.RawQuery == "" && target.Fragment == "" && target.User == nil,
			field+"URLs", "must be http or https, with a host, without user, query and fragment")
	}
	c.Need(len(u.Routes) > 0, field+"Routes", "must not be empty")
	for _, d := range []struct {
		name string
		d    time.Duration
	}{
		{"Timeout", u.Timeout}, {"DialTimeout", u.DialTimeout}, {"HeaderTimeout", u.HeaderTimeout}, {"BreakFor", u.BreakFor},
	} {
		c.Need(d.d >= 0, field+d.name, "must not be negative")
	}
	c.Need(u.BreakAfter >= 0, field+"BreakAfter", "must not be negative")
	c.Need(haveKey || !u.Usage, "AssertionKey", "must be set, since the upstream must know for whom it is asked for usage")
	for _, r := range u.Routes {
		c.Need(r.Handler == nil, field+"Routes", "must have no Handler: "+r.Operation)
		c.Need(haveKey || !r.Access.Declared() || r.Access.Public(), "AssertionKey",
			"must be set, since the upstream must know who calls "+r.Operation)
	}
}

// withDefaults returns a filled copy.
func (u Upstream) withDefaults(timeout time.Duration) Upstream {
	if u.Timeout == 0 {
		u.Timeout = timeout
	}
	if u.DialTimeout == 0 {
		u.DialTimeout = 5 * time.Second
	}
	if u.HeaderTimeout == 0 {
		u.HeaderTimeout = 30 * time.Second
	}
	if u.BreakAfter == 0 {
		u.BreakAfter = 5
	}
	if u.BreakFor == 0 {
		u.BreakFor = 10 * time.Second
	}
	return u
}
