package sqltx

import "sync"

// Notifier calls functions that others have added. The zero value is ready.
type Notifier struct {
	mu    sync.Mutex
	next  int
	funcs map[int]func()
}

// Add has f called by each Notify until remove is called.
func (n *Notifier) Add(f func()) (remove func()) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.funcs == nil {
		n.funcs = make(map[int]func())
	}
	id := n.next
	n.next++
	n.funcs[id] = f
	return func() {
		n.mu.Lock()
		defer n.mu.Unlock()
		delete(n.funcs, id)
	}
}

// Notify calls the functions, in no particular order.
func (n *Notifier) Notify() {
	n.mu.Lock()
	funcs := make([]func(), 0, len(n.funcs))
	for _, f := range n.funcs {
		funcs = append(funcs, f)
	}
	n.mu.Unlock()
	for _, f := range funcs {
		f()
	}
}
