package platform

import (
	"slices"
	"strings"
)

// Grants reports whether a permission pattern grants a permission. A
// permission is dotted words, "data.records.read"; a pattern is a permission,
// or a prefix that ends in ".*" and stands for all below it, or "*" for all.
func Grants(pattern, permission string) bool {
	if pattern == permission || pattern == "*" {
		return true
	}
	prefix, ok := strings.CutSuffix(pattern, "*")
	return ok && strings.HasSuffix(prefix, ".") && len(permission) > len(prefix) && strings.HasPrefix(permission, prefix)
}

// InScope reports whether the principal's scopes let it use a permission, or
// call an operation of that id. What the roles grant is another question.
func (p Principal) InScope(permission string) bool {
	return p.Scopes == nil || slices.ContainsFunc(p.Scopes, func(s string) bool { return Grants(s, permission) })
}
