package gateway

import (
	"cmp"
	"fmt"

	"github.com/acme/platform/internal/explain"
)

// Explain implements [platform.Explainer].
func (g *Gateway) Explain() string {
	where := "in this process"
	if n := len(g.proxies); n > 0 {
		where = fmt.Sprintf("in this process and %d upstreams", n)
	}
	return fmt.Sprintf("%d operations %s, under %s, each credential %s, bodies of up to %s",
		g.operations, where, cmp.Or(g.cfg.BasePath, "/"), g.cfg.RateLimit, explain.Bytes(g.cfg.MaxBody))
}

// String says the rate in words.
func (r Rate) String() string {
	if r == NoLimit {
		return "without a rate limit"
	}
	return fmt.Sprintf("%d requests in %s", r.Requests, explain.Duration(r.Period))
}
