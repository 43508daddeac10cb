package gateway

import (
	"maps"
	"net/textproto"
	"slices"
	"strings"

	"github.com/acme/platform"
)

// securitySchemes describes the authenticators in the OpenAPI document. Those
// whose credential is nowhere in the request, as the host's own, are left out.
func securitySchemes(all []Authenticator) object {
	schemes := object{}
	for _, a := range all {
		s := a.Scheme()
		switch header := textproto.CanonicalMIMEHeaderKey(s.Header); {
		case s.Cookie != "":
			schemes[s.Name] = object{"type": "apiKey", "in": "cookie", "name": s.Cookie}
		case header == headerAuthorization && s.Name == "bearer":
			schemes[s.Name] = object{"type": "http", "scheme": "bearer", "description": "An access token or an API key"}
		case header == headerAPIKey:
			schemes[s.Name] = object{"type": "apiKey", "in": "header", "name": "X-API-Key"}
		case header != "" && !strings.EqualFold(header, assertionHeader):
			schemes[s.Name] = object{"type": "apiKey", "in": "header", "name": s.Header}
		}
	}
	return schemes
}

// schemes are those of the document.
func (d *openAPI) schemes() object {
	schemes, _ := d.Components["securitySchemes"].(object)
	return schemes
}

// security lists the schemes of which a request needs one.
func security(r platform.Route, schemes object) []any {
	names := slices.Collect(maps.Keys(schemes))
	slices.SortFunc(names, func(a, b string) int { // tokens first, as they are the usual way
		return strings.Compare(strings.TrimPrefix(a, "bearer"), strings.TrimPrefix(b, "bearer"))
	})
	all := []any{}
	for _, name := range names {
		if r.Accept == nil || slices.Contains(r.Accept, name) {
			all = append(all, object{name: []any{}})
		}
	}
	return all
}
