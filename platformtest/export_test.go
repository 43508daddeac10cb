package platformtest

import "testing"

// For returns the platform as another test sees it.
func (p *Platform) For(tb testing.TB) *Platform {
	other := *p
	other.tb = tb
	return &other
}
