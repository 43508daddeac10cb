package mongo

import (
	"fmt"
	"strings"

	"github.com/acme/platform/internal/explain"
	"github.com/acme/platform/internal/serverurl"
)

// Explain implements [platform.Explainer]. Of the URL it shows the servers.
func (d *Documents) Explain() string {
	where := "a client of the host"
	if d.cfg.URL != "" {
		where = "a server"
		if u, err := serverurl.Parse(d.cfg.URL); err == nil {
			where = strings.Join(u.Hosts, ", ")
		}
	}
	return fmt.Sprintf("MongoDB on %s, database %s, steps of up to %s, events go to %s",
		where, d.cfg.Database, explain.Duration(d.cfg.Timeout), explain.Part(d.cfg.Events))
}
