// Package storetest holds one suite per port of package store. A driver proves
// itself in a line of its own test:
//
//	func TestDocuments(t *testing.T) {
//		storetest.Documents(t, func(tb testing.TB) storetest.DocumentsStore { … })
//	}
//
// Each case gets a store of its own from open, empty and started; open
// registers its end with tb.Cleanup. The suites are themselves tested against
// stores that are broken on purpose.
package storetest

import (
	"context"
	"fmt"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/acme/platform"
)

// patience is how long a case waits for what must come. Only a broken store
// makes a case wait so long.
const patience = 20 * time.Second

// The tenants of the suites.
const (
	tenantA platform.TenantID = "org_a"
	tenantB platform.TenantID = "org_b"
)

// testCase is one thing that a store must do.
type testCase[S any] struct {
	name string
	run  func(p *probe, s S)
}

// run runs the cases, each on a store of its own.
func run[S any](t *testing.T, open func(testing.TB) S, cases []testCase[S]) {
	t.Helper()
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			s := open(t)
			for _, failure := range c.failures(t.Context(), s, patience) {
				t.Error(failure)
			}
		})
	}
}

// failures runs the case and returns what it found wrong.
func (c testCase[S]) failures(ctx context.Context, s S, patience time.Duration) []string {
	ctx, cancel := context.WithTimeout(ctx, 10*patience)
	defer cancel()
	p := &probe{ctx: ctx, patience: patience}
	func() {
		defer func() {
			if r := recover(); r != nil && r != any(errGiveUp) {
				panic(r)
			}
		}()
		c.run(p, s)
	}()
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.found
}

// errGiveUp ends a case that cannot go on.
var errGiveUp = fmt.Errorf("storetest: give up")

// probe is what a case reports to. It is not a testing.TB so that the suites
// can be run where failures are what is wanted.
type probe struct {
	ctx      context.Context //nolint:containedctx // it is the case's, as testing.T has one
	patience time.Duration

	mu    sync.Mutex
	found []string
}

func (p *probe) errorf(format string, args ...any) {
	at := ""
	for skip := 1; skip < 6; skip++ {
		if _, file, line, ok := runtime.Caller(skip); ok && !strings.HasSuffix(file, "storetest.go") {
			at = fmt.Sprintf("%s:%d: ", file[strings.LastIndexByte(file, '/')+1:], line)
			break
		}
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.found = append(p.found, at+fmt.Sprintf(format, args...))
}

func (p *probe) fatalf(format string, args ...any) {
	p.errorf(format, args...)
	panic(errGiveUp)
}

// must gives the case up on an error.
func (p *probe) must(err error) {
	if err != nil {
		p.fatalf("unexpected error: %v", err)
	}
}

// kind checks that err is of the kind that the contract names.
func (p *probe) kind(err error, want platform.Kind, what string) {
	switch {
	case err == nil:
		p.errorf("%s: no error, want one of kind %v", what, want)
	case platform.KindOf(err) != want:
		p.errorf("%s: got kind %v (%v), want %v", what, platform.KindOf(err), err, want)
	}
}

// parallel runs f n times at once and waits. A case's fatalf must not be
// called in f.
func parallel(n int, f func(i int)) {
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() { f(i) })
	}
	wg.Wait()
}

// cancelled returns a context that is done.
func (p *probe) cancelled() context.Context {
	ctx, cancel := context.WithCancel(p.ctx)
	cancel()
	return ctx
}

// badTenants are refused by every method of every port.
var badTenants = []platform.TenantID{"", "a b", "../x", "a'b"}

// event returns a valid event.
func event(tenant platform.TenantID, subject string, n int) platform.Event {
	return platform.Event{
		ID: fmt.Sprintf("evt_%s_%s_%d", tenant, subject, n), Source: "/storetest", Type: "storetest.thing.changed",
		Tenant: tenant, Subject: subject, Actor: "agt_1", OnBehalfOf: "usr_1", TraceParent: "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
		Time: time.Date(2026, 1, 2, 3, 4, 5, 6000, time.UTC).Add(time.Duration(n) * time.Second),
		Data: fmt.Appendf(nil, `{"n":%d}`, n),
	}
}
