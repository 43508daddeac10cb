package platform

import "context"

// Suspensions say which tenants are suspended. A service that does work for
// tenants takes one in its configuration: nil means that no tenant ever is. The
// user service is one.
//
// A suspended tenant's requests are refused with its credentials. What goes on
// without a request stops too: its jobs wait, its events wait, and its live
// streams end.
type Suspensions interface {
	// Suspended reports whether the tenant is suspended; a tenant that does
	// not exist is. It is called for each job, so it answers from memory as a
	// rule. Its error stops the work that asked: nothing goes on by accident.
	Suspended(ctx context.Context, tenant TenantID) (bool, error)

	// OnSuspension has changed called when a tenant may have been suspended or
	// resumed, by whatever process; an empty id stands for any tenant.
	// Many goroutines call changed, which returns at once. There is no way to
	// end that: who calls OnSuspension lives as long as the Suspensions.
	OnSuspension(changed func(tenant TenantID))
}
