// Package testclock is a clock that tests move by hand. It suits a Config.Now; where
// time also passes in timers, testing/synctest is the better clock.
package testclock

import (
	"sync"
	"time"
)

// Clock is a time that stands still until it is moved. It is made by [At]; its
// methods are safe for concurrent use.
type Clock struct {
	mu  sync.Mutex
	now time.Time
}

// At returns a clock that stands at t.
func At(t time.Time) *Clock { return &Clock{now: t} }

// Now is the clock's time.
func (c *Clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

// Advance moves the clock by d, backwards where d is negative.
func (c *Clock) Advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}
