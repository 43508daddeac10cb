package store

import (
	"slices"
	"strings"
	"sync"

	"github.com/acme/platform"
)

// Crossing is a token: it lets its holder begin transactions across tenants in
// one store, and says who does that and why. The zero value lets nobody in.
type Crossing struct{ grant *grant }

// grant is what a token stands for.
type grant struct {
	by           *Crossings
	name, reason string
}

// Name is the crossing's name, "part.what": "user.sign-in". It is "" for the
// zero value.
func (c Crossing) Name() string {
	if c.grant == nil {
		return ""
	}
	return c.grant.name
}

// Reason completes "crosses tenants because it …": "finds the organizations of
// a person who signs in".
func (c Crossing) Reason() string {
	if c.grant == nil {
		return ""
	}
	return c.grant.reason
}

// Crossings hands out the tokens of one store. Parts take theirs when they are
// made, so that the list is whole once the platform is assembled: nobody crosses
// tenants who is not in it. The zero value is ready; its methods are safe for
// concurrent use. A driver has one and asks it with [Crossings.Check].
//
//	cross := db.Crossings().Grant("billing.close-month", "closes the month of every tenant")
//	…
//	err := db.AcrossTenants(ctx, cross, func(ctx context.Context, tx store.CrossTx) error { … })
type Crossings struct {
	mu     sync.Mutex
	grants []*grant
}

// Grant hands out a token. The same name and reason give the same token again.
// Both are constants of the program: it panics where one is empty.
func (c *Crossings) Grant(name, reason string) Crossing {
	if name == "" || reason == "" {
		panic("store: a crossing needs a name and a reason")
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, g := range c.grants {
		if g.name == name && g.reason == reason {
			return Crossing{g}
		}
	}
	g := &grant{by: c, name: name, reason: reason}
	c.grants = append(c.grants, g)
	return Crossing{g}
}

// List returns the tokens that were handed out, by name.
func (c *Crossings) List() []Crossing {
	c.mu.Lock()
	defer c.mu.Unlock()
	all := make([]Crossing, len(c.grants))
	for i, g := range c.grants {
		all[i] = Crossing{g}
	}
	slices.SortStableFunc(all, func(a, b Crossing) int { return strings.Compare(a.Name(), b.Name()) })
	return all
}

// Check returns an error of [platform.KindInternal] unless c has handed out the
// token. It is for drivers.
func (c *Crossings) Check(by Crossing) error {
	switch {
	case by.grant == nil:
		return platform.Errorf(platform.KindInternal, "no_crossing",
			"a transaction across tenants needs a token of the store: take one with Crossings().Grant when the platform is assembled")
	case by.grant.by != c:
		return platform.Errorf(platform.KindInternal, "other_crossing",
			"the token for transactions across tenants is of another store")
	}
	return nil
}
