package redis

import "github.com/acme/platform"

// maxPrefix is the most bytes of a prefix.
const maxPrefix = 64

// validPrefix reports whether p can begin keys: a colon would let it meet
// another prefix with a tenant, and a brace would put all keys in one slot of a
// cluster.
func validPrefix(p string) bool {
	if p == "" || len(p) > maxPrefix {
		return false
	}
	for i := range len(p) {
		c := p[i]
		if ('a' > c || c > 'z') && ('A' > c || c > 'Z') && ('0' > c || c > '9') && c != '_' && c != '-' && c != '.' {
			return false
		}
	}
	return true
}

// key spells the name of a key or channel. The tenant must be valid: the first
// colon then ends the prefix and the second the tenant, whatever the name is.
func (c *Client) key(tenant platform.TenantID, name string) string {
	return c.cfg.Prefix + ":" + string(tenant) + ":" + name
}
