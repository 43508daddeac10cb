package redis

import (
	"fmt"
	"strings"

	"github.com/acme/platform/internal/explain"
)

// Explain implements [platform.Explainer]. Of the URL it shows the servers.
func (c *Client) Explain() string {
	where := "a client of the host"
	switch s := c.settings.(type) {
	case *singleSettings:
		where = fmt.Sprintf("%s, database %d", s.Addr, s.DB)
	case *clusterSettings:
		where = "the cluster of " + strings.Join(s.Addrs, ", ")
	}
	return fmt.Sprintf("cache and live messages on %s, keys begin with %q, calls of up to %s",
		where, c.cfg.Prefix+":", explain.Duration(c.cfg.Timeout))
}
