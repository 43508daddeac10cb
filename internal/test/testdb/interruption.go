package testdb

import (
	"sync"
	"testing"
	"time"

	"github.com/acme/platform"
)

// Interruption makes ids, and lets a second transaction come in between where
// the first makes one: after it has looked at what it decides on. Its NewID is
// a service's Config.NewID.
type Interruption struct {
	mu     sync.Mutex
	prefix string
	f      func()
}

// NewID makes an id.
func (i *Interruption) NewID(prefix string) string {
	i.mu.Lock()
	f := i.f
	if prefix == i.prefix {
		i.f = nil
	} else {
		f = nil
	}
	i.mu.Unlock()
	if f != nil {
		f()
	}
	return platform.NewID(prefix)
}

// During calls first, and second while first makes an id with the prefix, which
// it must do in a transaction. First goes on when second has ended, or waits for
// it.
func (i *Interruption) During(tb testing.TB, place *Place, prefix string, first, second func() error) (errFirst, errSecond error) {
	tb.Helper()
	done := make(chan struct{})
	i.set(prefix, func() {
		go func() {
			defer close(done)
			errSecond = second()
		}()
		for {
			select {
			case <-done:
				return
			default:
			}
			if place.Waiting(tb) {
				return
			}
			time.Sleep(time.Millisecond)
		}
	})
	errFirst = first()
	if i.set("", nil) {
		tb.Fatalf("nothing came between: %v", errFirst)
	}
	<-done
	return errFirst, errSecond
}

// set replaces what happens, and reports whether something had not happened yet.
func (i *Interruption) set(prefix string, f func()) bool {
	i.mu.Lock()
	defer i.mu.Unlock()
	pending := i.f != nil
	i.prefix, i.f = prefix, f
	return pending
}
