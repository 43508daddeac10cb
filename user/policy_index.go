package user

import (
	"math/bits"
	"slices"

	"github.com/acme/platform"
)

// subjects is a set of the subjects of one organization: the roles that all
// organizations share in the first word, its own roles in the second, its teams
// in the other two.
type subjects [4]uint64

const (
	maxSharedRoles = 64
	firstOwnRole   = 64
	firstTeam      = 128
)

func (s *subjects) add(n int) { s[n>>6] |= 1 << (n & 63) }

func (s *subjects) join(o *subjects) {
	s[0] |= o[0]
	s[1] |= o[1]
	s[2] |= o[2]
	s[3] |= o[3]
}

func (s *subjects) meets(o *subjects) bool {
	return s[0]&o[0]|s[1]&o[1]|s[2]&o[2]|s[3]&o[3] != 0
}

// patterns finds the subjects that have a pattern which grants a permission. It
// is not changed once it is complete.
type patterns struct {
	all    subjects            // who has "*"
	exact  map[string]subjects // by permission; those of prefix and all are among them
	prefix map[string]subjects // by "data." of "data.*"
	// prefixSizes has a bit for each length that occurs in prefix, the last one for
	// all from 63 up: few of them end at a dot of the permission.
	prefixSizes uint64
}

func newPatterns() *patterns {
	return &patterns{exact: map[string]subjects{}, prefix: map[string]subjects{}}
}

func sizeBit(n int) uint64 { return 1 << min(n, 63) }

func (p *patterns) add(pattern string, who int) {
	if pattern == "*" {
		p.all.add(who)
		return
	}
	at, key := p.exact, pattern
	if n := len(pattern) - 1; pattern[n] == '*' {
		at, key = p.prefix, pattern[:n]
		p.prefixSizes |= sizeBit(n)
	}
	set := at[key]
	set.add(who)
	at[key] = set
}

// complete ends the adding.
func (p *patterns) complete() {
	for permission, set := range p.exact {
		p.byPrefix(permission, &set)
		p.exact[permission] = set
	}
}

// of adds to found the subjects that have a pattern which grants the permission,
// as [platform.Grants] says.
func (p *patterns) of(permission string, found *subjects) {
	if set, ok := p.exact[permission]; ok {
		found.join(&set)
		return
	}
	p.byPrefix(permission, found)
}

func (p *patterns) byPrefix(permission string, found *subjects) {
	found.join(&p.all)
	for left := p.prefixSizes; left != 0; left &= left - 1 {
		n := bits.TrailingZeros64(left)
		if n == 63 {
			p.long(permission, found)
			return
		}
		if n < len(permission) && permission[n-1] == '.' {
			if set, ok := p.prefix[permission[:n]]; ok {
				found.join(&set)
			}
		}
	}
}

// long is byPrefix for prefixes of 63 bytes and more.
func (p *patterns) long(permission string, found *subjects) {
	for n := 63; n < len(permission); n++ {
		if permission[n-1] == '.' {
			if set, ok := p.prefix[permission[:n]]; ok {
				found.join(&set)
			}
		}
	}
}

// sharedIndex is the roles that every organization has, compiled once.
type sharedIndex struct {
	names    []string       // by the role's bit
	roles    map[string]int // the bit by name
	patterns *patterns
	owner    uint64
}

func compileShared(roles map[string][]string) *sharedIndex {
	x := &sharedIndex{roles: make(map[string]int, len(roles)), patterns: newPatterns()}
	x.names = sortedKeys(roles)
	for bit, name := range x.names {
		x.roles[name] = bit
		for _, p := range roles[name] {
			x.patterns.add(p, bit)
		}
	}
	x.patterns.complete()
	x.owner = 1 << x.roles[RoleOwner]
	return x
}

// role returns the bit of a role. Few names are compared faster than hashed.
func (x *sharedIndex) role(name string) (bit int, ok bool) {
	if len(x.names) > 8 {
		bit, ok = x.roles[name]
		return bit, ok
	}
	for bit, n := range x.names {
		if n == name {
			return bit, true
		}
	}
	return 0, false
}

// index answers questions about one organization without looking at one rule
// after the other. It is not changed once it is made. An organization that has
// nothing of its own shares the index of all such.
type index struct {
	shared  *sharedIndex
	roles   map[string]subjects  // of an own role: itself and what it inherits
	members map[string]*subjects // of a user: the teams and what they inherit
	allow   *patterns            // nil without own rules that allow
	deny    *patterns            // the same
	limited []limitedRule        // rules that are limited to resources
}

type limitedRule struct {
	policyRule
	who subjects
}

// compile makes the index of an organization's own rules.
func (x *sharedIndex) compile(r *ruleset) *index {
	out := &index{shared: x}
	bit := make(map[subject]int, len(r.links))
	for name, n := range x.roles {
		bit[roleSubject(name)] = n
	}
	ownRole, team := firstOwnRole, firstTeam
	for _, s := range sortedKeys(r.links) {
		if _, isRole := s.role(); isRole {
			bit[s], ownRole = ownRole, ownRole+1
		} else {
			bit[s], team = team, team+1
		}
	}
	reach := func(from ...subject) (set subjects) {
		for _, h := range r.reach(from...) {
			if n, ok := bit[h.subject]; ok {
				set.add(n)
			}
		}
		return set
	}
	for s := range r.links {
		if name, isRole := s.role(); isRole {
			if out.roles == nil {
				out.roles = make(map[string]subjects, ownRole-firstOwnRole)
			}
			out.roles[name] = reach(s)
		}
	}
	out.addRules(r, bit)
	out.addMembers(r, reach)
	return out
}

func (x *index) addRules(r *ruleset, bit map[subject]int) {
	for s, rules := range r.rules {
		n, ok := bit[s]
		if !ok { // about a role or team that is no more
			continue
		}
		for _, rule := range rules {
			if rule.scope != (scope{}) {
				l := limitedRule{policyRule: rule}
				l.who.add(n)
				x.limited = append(x.limited, l)
				continue
			}
			at := &x.allow
			if rule.effect == Deny {
				at = &x.deny
			}
			if *at == nil {
				*at = newPatterns()
			}
			(*at).add(rule.pattern, n)
		}
	}
	for _, p := range []*patterns{x.allow, x.deny} {
		if p != nil {
			p.complete()
		}
	}
}

// addMembers keeps each combination of teams once: many members share few.
func (x *index) addMembers(r *ruleset, reach func(...subject) subjects) {
	if len(r.teams) == 0 {
		return
	}
	known := map[subjects]*subjects{}
	x.members = make(map[string]*subjects, len(r.teams))
	for user, teams := range r.teams {
		set := reach(teams...)
		if known[set] == nil {
			known[set] = &set
		}
		x.members[user] = known[set]
	}
}

// held returns what somebody with the roles is.
func (x *index) held(roles []string, user string) (set subjects) {
	for _, name := range roles {
		if n, ok := x.shared.role(name); ok {
			set[0] |= 1 << n
		} else if own, ok := x.roles[name]; ok {
			set.join(&own)
		}
	}
	if x.members != nil {
		if teams := x.members[user]; teams != nil {
			set.join(teams)
		}
	}
	return set
}

// allows decides: some rule about a subject that is held allows, and none denies.
func (x *index) allows(roles []string, user, permission string, r *Resource) bool {
	held := x.held(roles, user)
	var by subjects
	x.shared.patterns.of(permission, &by)
	if x.allow != nil {
		x.allow.of(permission, &by)
	}
	allowed := held.meets(&by)
	if x.limited == nil && x.deny == nil || held[0]&x.shared.owner != 0 { // an owner has "*"
		return allowed
	}
	return x.withRules(allowed, &held, permission, r)
}

// withRules goes on where the organization has rules that deny, or that are
// limited to resources.
func (x *index) withRules(allowed bool, held *subjects, permission string, r *Resource) bool {
	if x.deny != nil {
		var by subjects
		x.deny.of(permission, &by)
		if held.meets(&by) {
			return false
		}
	}
	for i := range x.limited {
		l := &x.limited[i]
		if !l.who.meets(held) || !platform.Grants(l.pattern, permission) || !l.scope.concerns(r.Type, r.ID) {
			continue
		}
		if l.effect == Deny {
			return false
		}
		allowed = true
	}
	return allowed
}

// size is about how many bytes of memory the index takes beyond what is shared.
func (x *index) size() int {
	const word, set, entry = 16, 32, 24
	n := 0
	for name := range x.roles {
		n += len(name) + word + set + entry
	}
	for user := range x.members {
		n += len(user) + word + entry
	}
	for _, p := range []*patterns{x.allow, x.deny} {
		if p == nil {
			continue
		}
		for _, at := range []map[string]subjects{p.exact, p.prefix} {
			for key := range at {
				n += len(key) + word + set + entry
			}
		}
	}
	for _, l := range x.limited {
		n += len(l.pattern) + len(l.id) + len(l.subject) + 2*len(l.scope.id) + 160
	}
	return n
}

func sortedKeys[K ~string, V any](m map[K]V) []K {
	keys := make([]K, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}
