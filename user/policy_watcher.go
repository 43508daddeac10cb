package user

import (
	"context"
	"slices"
	"sync"

	"github.com/acme/platform"
)

// policyWatchers are the watchers of the enforcers that are in memory. Its zero
// value is empty.
type policyWatchers struct {
	mu sync.Mutex
	of map[platform.TenantID][]*policyWatcher
}

// policyWatcher is casbin's watcher of the rules of one organization, over the
// messages by which processes tell each other of changes.
type policyWatcher struct {
	service  *Service
	tenant   platform.TenantID
	callback func(string)
}

// SetUpdateCallback sets what is called when the organization changes, in this
// process or another.
func (w *policyWatcher) SetUpdateCallback(f func(string)) error {
	all := &w.service.watchers
	all.mu.Lock()
	defer all.mu.Unlock()
	w.callback = f
	if !slices.Contains(all.of[w.tenant], w) {
		if all.of == nil {
			all.of = map[platform.TenantID][]*policyWatcher{}
		}
		all.of[w.tenant] = append(all.of[w.tenant], w)
	}
	return nil
}

// Update tells this process and all others that the organization has changed.
func (w *policyWatcher) Update() error {
	w.service.changed(context.Background(), tenantKey(w.tenant))
	return nil
}

// Close ends the calls.
func (w *policyWatcher) Close() {
	all := &w.service.watchers
	all.mu.Lock()
	defer all.mu.Unlock()
	left := slices.DeleteFunc(all.of[w.tenant], func(o *policyWatcher) bool { return o == w })
	if all.of[w.tenant] = left; len(left) == 0 {
		delete(all.of, w.tenant)
	}
}

// tell calls the watchers of an organization, or all for "". They may close
// themselves meanwhile.
func (all *policyWatchers) tell(tenant platform.TenantID) {
	all.mu.Lock()
	var calls []func(string)
	for of, watchers := range all.of {
		if tenant != "" && of != tenant {
			continue
		}
		for _, w := range watchers {
			calls = append(calls, w.callback)
		}
	}
	all.mu.Unlock()
	for _, call := range calls {
		call("")
	}
}
