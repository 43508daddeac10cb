package platform

// System returns the principal of work that no caller asked for: what the host
// does in a tenant in the background, such as a nightly report. The subject
// names the part of the host that works, "billing"; it becomes the actor of
// events and audit records. The services let a system principal do everything
// in its tenant, so no authenticator may return one, and no part of a request
// may choose its tenant unchecked.
func System(tenant TenantID, subject string) Principal {
	return Principal{Tenant: tenant, Subject: subject, Kind: PrincipalSystem}
}

// RequireTenant returns an error where p names no tenant: the zero value, a
// tenant that is not valid, and the scope [NoTenant], which owns no tenant's
// data. Every Go method that touches a tenant's data asks it first. The
// error is of [KindUnauthenticated], code "no_tenant".
func (p Principal) RequireTenant() error {
	if p.Tenant.Validate() != nil {
		return &Error{Kind: KindUnauthenticated, Code: "no_tenant", Message: "the call must be made for a tenant; its principal names none"}
	}
	return nil
}
