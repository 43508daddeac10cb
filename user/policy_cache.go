package user

import (
	"hash/maphash"
	"sync"
	"sync/atomic"

	"github.com/acme/platform"
)

// policy is the rules of one organization at one version, ready for questions.
// It is not changed after it was made, but for when it was last found current.
// What each decision reads comes first, in 64 bytes.
type policy struct {
	hash    uint64
	tenant  platform.TenantID
	seen    oneSnapshot
	checked atomic.Int64 // when version was last found current, in µs
	index   *index       // nil where Config.AccessModel decides
	used    atomic.Bool  // since room was last made
	model   *modelPolicy
	version int64
	size    int
}

// policySize is what a policy takes besides its index: the struct, the name of
// the organization, and its places in the table.
const policySize = 256

// policyMemory bounds the compiled rules of all organizations together, in bytes
// by estimate: some 250,000 organizations that have no rules of their own.
const policyMemory = 64 << 20

// policies keeps the compiled rules of the organizations that ask. Those that
// have not asked since it was last full go first.
//
// It is a table of its own for one figure: a request of one of 10,000 organizations
// finds its policy in a third of the time of sync.Map, whose tree costs a cache
// miss at each of its levels. A place is read without a lock, and is written
// under one.
type policies struct {
	seed  maphash.Seed
	table atomic.Pointer[[]atomic.Pointer[policy]] // a power of two of them, at most half of them taken
	gone  policy                                   // is in the place of one that was removed

	mu    sync.Mutex // of changes
	taken int        // places, those of removed ones too
	bytes int64
}

const firstPolicies = 64

func newPolicies() *policies {
	c := &policies{seed: maphash.MakeSeed()}
	table := make([]atomic.Pointer[policy], firstPolicies)
	c.table.Store(&table)
	return c
}

func (c *policies) get(tenant platform.TenantID) (*policy, bool) {
	if c == nil {
		return nil, false
	}
	hash := maphash.String(c.seed, string(tenant))
	p := place(*c.table.Load(), hash, tenant).Load()
	if p == nil {
		return nil, false
	}
	if !p.used.Load() {
		p.used.Store(true)
	}
	return p, true
}

// place is where the policy of an organization is, or can be put.
func place(table []atomic.Pointer[policy], hash uint64, tenant platform.TenantID) *atomic.Pointer[policy] {
	for i := hash; ; i++ {
		at := &table[i&uint64(len(table)-1)]
		if p := at.Load(); p == nil || p.hash == hash && p.tenant == tenant {
			return at
		}
	}
}

// put keeps a policy in place of the one before.
func (c *policies) put(tenant platform.TenantID, p *policy) {
	c.mu.Lock()
	defer c.mu.Unlock()
	p.tenant, p.hash = tenant, maphash.String(c.seed, string(tenant))
	at := place(*c.table.Load(), p.hash, tenant)
	old := at.Swap(p)
	if c.bytes += int64(p.size); old != nil {
		c.bytes -= int64(old.size)
		old.close()
	} else {
		c.taken++
	}
	if c.bytes > policyMemory {
		c.makeRoom(p)
	} else if 2*c.taken > len(*c.table.Load()) {
		c.rebuild(func(*policy) bool { return true })
	}
}

// drop forgets a policy, and nothing that has taken its place.
func (c *policies) drop(tenant platform.TenantID, p *policy) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if place(*c.table.Load(), p.hash, tenant).CompareAndSwap(p, &c.gone) {
		c.bytes -= int64(p.size)
		p.close()
	}
}

// makeRoom removes a quarter, and first what was not used since the last time.
func (c *policies) makeRoom(latest *policy) {
	idle := func(p *policy) bool { return !p.used.Swap(false) }
	for _, may := range []func(*policy) bool{idle, func(*policy) bool { return true }} {
		c.rebuild(func(p *policy) bool {
			return p == latest || c.bytes <= policyMemory/4*3 || !may(p)
		})
	}
}

// rebuild makes a table of those to keep, with room for as many again.
func (c *policies) rebuild(keep func(*policy) bool) {
	old := *c.table.Load()
	var kept []*policy
	for i := range old {
		p := old[i].Load()
		switch {
		case p == nil || p == &c.gone:
		case keep(p):
			kept = append(kept, p)
		default:
			c.bytes -= int64(p.size)
			p.close()
		}
	}
	size := firstPolicies
	for size < 4*len(kept) {
		size *= 2
	}
	table := make([]atomic.Pointer[policy], size)
	for _, p := range kept {
		place(table, p.hash, p.tenant).Store(p)
	}
	c.taken = len(kept)
	c.table.Store(&table)
}

func (p *policy) close() {
	if p.model != nil {
		p.model.close()
	}
}
