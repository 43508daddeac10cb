package platform

import (
	"fmt"
	"strings"
)

// Explainer is a [Module] that says what it was made of.
type Explainer interface {
	Module
	// Explain returns a line of plain text: over which store the module works,
	// and its main limits. It holds no secret, so never a URL with a password,
	// and is the same for the same settings.
	Explain() string
}

// Explain says what the platform was assembled of: a line for each module, in the
// order of their start, with what the module says of itself ([Explainer]). It asks
// no store and may be called before the start.
func (p *Platform) Explain() string {
	width := 0
	for _, m := range p.modules {
		width = max(width, len(m.Name()))
	}
	var b strings.Builder
	for _, m := range p.modules {
		words := fmt.Sprintf("%T", m)
		if e, ok := m.(Explainer); ok {
			words = strings.Join(strings.Fields(e.Explain()), " ")
		}
		fmt.Fprintf(&b, "%-*s  %s\n", width, m.Name(), words)
	}
	return b.String()
}
