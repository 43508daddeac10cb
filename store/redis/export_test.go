package redis

// Prefix returns the prefix of the keys of c.
func Prefix(c *Client) string { return c.cfg.Prefix }
