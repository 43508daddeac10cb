package notify

import (
	"context"
	"encoding/json"
	"slices"
	"sync"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"

	"github.com/acme/platform"
)

// Directory knows a tenant's people. The host implements it over its users.
type Directory interface {
	// Recipients returns the members of the tenant that the audience names:
	// the union of its users, of the holders of its roles, and of everyone,
	// each once. Users who are not members of the tenant are left out. It is
	// never called inside a transaction.
	Recipients(ctx context.Context, tenant platform.TenantID, to Audience) ([]Recipient, error)
}

// Audience names people of a tenant.
type Audience struct {
	// Users are user ids, at most 1,000.
	Users []string `json:"users,omitempty"`
	// Roles are names of roles, at most 100.
	Roles []string `json:"roles,omitempty"`
	// Everyone is all members.
	Everyone bool `json:"everyone,omitempty"`
}

// IsZero reports whether a names nobody.
func (a Audience) IsZero() bool { return len(a.Users) == 0 && len(a.Roles) == 0 && !a.Everyone }

// Recipient is a person who can get a message.
type Recipient struct {
	ID    string // the user's id
	Email string // may be empty: then there is no e-mail to that person
	Name  string
	// Locale is a BCP 47 tag such as "de-AT", or empty.
	Locale string
}

// directoryTTL is how long an answer of the directory serves the events that
// follow. An event of the user service (type "user.…") ends it at once.
const directoryTTL = 5 * time.Second

// directoryCache keeps the directory's answers for rules, of which a busy
// tenant asks the same thousands of times a second.
type directoryCache struct {
	directory Directory
	now       func() time.Time

	mu      sync.Mutex
	entries *lru.Cache[platform.TenantID, map[string]directoryEntry]
}

type directoryEntry struct {
	until      time.Time
	recipients []Recipient
}

// directoryTenants and directoryAudiences bound the cache.
const (
	directoryTenants   = 4096
	directoryAudiences = 64
)

func newDirectoryCache(d Directory, now func() time.Time) *directoryCache {
	entries, err := lru.New[platform.TenantID, map[string]directoryEntry](directoryTenants)
	if err != nil { // only for a size below 1
		panic(err)
	}
	return &directoryCache{directory: d, now: now, entries: entries}
}

// recipients is [Directory.Recipients], from the cache where it can. The
// result must not be changed.
func (c *directoryCache) recipients(ctx context.Context, tenant platform.TenantID, to Audience) ([]Recipient, error) {
	raw, err := json.Marshal(to)
	if err != nil { // strings always marshal
		return nil, err
	}
	key, now := string(raw), c.now()
	c.mu.Lock()
	byAudience, _ := c.entries.Get(tenant)
	entry, ok := byAudience[key]
	c.mu.Unlock()
	if ok && now.Before(entry.until) {
		return entry.recipients, nil
	}
	found, err := c.directory.Recipients(ctx, tenant, to)
	if err != nil {
		return nil, err
	}
	found = slices.Clone(found)
	c.mu.Lock()
	defer c.mu.Unlock()
	byAudience, ok = c.entries.Get(tenant)
	if !ok || len(byAudience) >= directoryAudiences {
		byAudience = make(map[string]directoryEntry)
		c.entries.Add(tenant, byAudience)
	}
	byAudience[key] = directoryEntry{until: now.Add(directoryTTL), recipients: found}
	return found, nil
}

// forget drops what is kept of a tenant.
func (c *directoryCache) forget(tenant platform.TenantID) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.entries.Remove(tenant)
}
