package user

import "strings"

// freeOrganization is how often a stranger's network fails at an organization in
// strangerWindow before its tries there are delayed.
const freeOrganization = 50

// organizationsOf are the keys of the organizations that a stranger tries to get
// into: the one that is asked for, and that of the domain of the address. Whose
// member an account is stays out of it: a throttle that depends on that tells
// strangers who belongs where, and whether an address is known.
func organizationsOf(w try) []string {
	_, domain, _ := strings.Cut(w.email, "@")
	keys := []string{"user.login.domain:" + digest(domain)}
	if w.organization != "" {
		keys = append(keys, "user.login.organization:"+digest(w.organization))
	}
	return keys
}

// organizationBudget is how many strangers' networks make their n-th try at an
// organization for sure: as many as their first one at an account, and half of
// that for each eight further ones. It ends at firstTries/64: an office whose
// people have mistyped a lot competes with others that have.
func organizationBudget(n int64) int64 {
	return max(int64(firstTries)>>min((n-1)/8, 62), firstTries/64)
}
