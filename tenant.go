package platform

// TenantID names a tenant: one organization of the product. It is opaque, at
// most 64 bytes of letters, digits, '_' and '-', and never reused.
type TenantID string

// NoTenant is the scope of what belongs to no tenant: the installation itself,
// and a person who has chosen no organization. It names no tenant, and
// [TenantID.Validate] refuses it. A [Principal] carries it where it acts in no
// organization; cache keys and topics carry it where no tenant owns them.
const NoTenant TenantID = "-"

// maxTenantID is the most bytes of a TenantID.
const maxTenantID = 64

// Validate reports whether t may name a tenant; [NoTenant] may not. The error is
// an [*Error] of kind [KindNoTenant].
func (t TenantID) Validate() error {
	if t == NoTenant {
		return errNoTenant()
	}
	return t.ValidateScope()
}

// ValidateScope is Validate for what may also belong to no tenant, such as a
// cache key: it accepts [NoTenant] too.
func (t TenantID) ValidateScope() error {
	valid := len(t) > 0 && len(t) <= maxTenantID
	for i := 0; valid && i < len(t); i++ {
		c := t[i]
		valid = 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || c == '_' || c == '-'
	}
	if !valid {
		return errNoTenant()
	}
	return nil
}

func errNoTenant() error {
	return &Error{Kind: KindNoTenant, Code: "no_tenant", Message: "the call names no valid tenant"}
}
