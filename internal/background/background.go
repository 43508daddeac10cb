// Package background runs the goroutines of a module between its Start and its
// Stop, and holds what their loops share: waiting for work and for better times.
package background

import (
	"context"
	"sync"
)

// Group is a set of goroutines that end together. The zero value is ready.
type Group struct {
	mu     sync.Mutex
	ctx    context.Context //nolint:containedctx // it is the group's own lifetime
	cancel context.CancelFunc
	done   sync.WaitGroup
	ended  bool
}

// Go runs f until it returns; its context ends with Stop. It does nothing
// after Stop.
func (g *Group) Go(f func(ctx context.Context)) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.ended {
		return
	}
	if g.cancel == nil {
		g.ctx, g.cancel = context.WithCancel(context.Background())
	}
	ctx := g.ctx
	g.done.Go(func() { f(ctx) })
}

// Stop ends the context of the goroutines and waits for them, at most until
// ctx is done, in which case it returns ctx's error. It may be called again.
func (g *Group) Stop(ctx context.Context) error {
	g.mu.Lock()
	g.ended = true
	if g.cancel != nil {
		g.cancel()
	}
	g.mu.Unlock()
	return Wait(ctx, &g.done)
}

// Wait waits for wg, at most until ctx is done, in which case it returns ctx's
// error. The caller must have seen to it that nothing is added to wg any more.
func Wait(ctx context.Context, wg *sync.WaitGroup) error {
	finished := make(chan struct{})
	go func() {
		wg.Wait()
		close(finished)
	}()
	select {
	case <-finished:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
