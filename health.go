package platform

import (
	"context"
	"errors"
	"sync"
)

// Health is what [Platform.Health] found.
type Health struct {
	// Ready reports whether the platform is started and every check passed
	// that is not of an [Optional] module.
	Ready bool
	// Modules holds the outcome of each module that can be checked, by name;
	// a nil error is good.
	Modules map[string]error
}

// ErrNotStarted is a module's error in [Health] before Start has ended and
// after Stop was called.
var ErrNotStarted = errors.New("platform: not started")

// Health checks all modules at once, each within Config.CheckTimeout.
func (p *Platform) Health(ctx context.Context) Health {
	started := p.inState(stateStarted)
	h := Health{Ready: started, Modules: make(map[string]error)}
	if !started {
		h.Modules["platform"] = ErrNotStarted
		return h
	}
	ctx, cancel := context.WithTimeout(ctx, p.checkTimeout)
	defer cancel()
	var (
		mu sync.Mutex
		wg sync.WaitGroup
	)
	for _, m := range p.modules {
		c, ok := m.(Checker)
		if !ok {
			continue
		}
		wg.Go(func() {
			err := c.Check(ctx)
			mu.Lock()
			defer mu.Unlock()
			h.Modules[m.Name()] = err
			if o, ok := c.(Optional); ok && o.Optional() {
				return
			}
			h.Ready = h.Ready && err == nil
		})
	}
	wg.Wait()
	return h
}
