package sqldocs

import "github.com/acme/platform/internal/explain"

// Explain implements [platform.Explainer].
func (d *Documents) Explain() string { return "tables of " + explain.Part(d.db) }
