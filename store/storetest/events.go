package storetest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/acme/platform"
	"github.com/acme/platform/store"
)

// Events tests a [store.Events].
func Events(t *testing.T, open func(testing.TB) store.Events) {
	t.Helper()
	run(t, open, eventsCases)
}

var eventsCases = []testCase[store.Events]{
	{"DeliversWhatWasPublished", func(p *probe, s store.Events) {
		want := event(tenantA, "s", 1)
		p.must(s.Publish(p.ctx, want))
		got := p.consume(s, "g", 1)[0]
		if got.ID != want.ID || got.Source != want.Source || got.Type != want.Type || got.Tenant != want.Tenant ||
			got.Subject != want.Subject || got.Actor != want.Actor || got.OnBehalfOf != want.OnBehalfOf || got.TraceParent != want.TraceParent || !got.Time.Equal(want.Time) || string(got.Data) != string(want.Data) {
			p.errorf("published %+v, got %+v", want, got)
		}
	}},
	{"KeepsTheOrderOfASubject", func(p *probe, s store.Events) {
		const subjects, each = 5, 40
		parallel(subjects, func(i int) {
			for n := range each {
				if err := s.Publish(p.ctx, event(tenantA, fmt.Sprint(i), n)); err != nil {
					p.errorf("Publish: %v", err)
				}
			}
		})
		p.inOrder(p.consume(s, "g", subjects*each), subjects, each)
	}},
	{"KeepsTheOrderOfABatch", func(p *probe, s store.Events) {
		var batch []platform.Event
		for n := range 1200 {
			batch = append(batch, event(tenantA, fmt.Sprint(n%3), n/3))
		}
		p.must(s.Publish(p.ctx, batch...))
		p.inOrder(p.consume(s, "g", len(batch)), 3, 400)
	}},
	{"EachGroupGetsAll", func(p *probe, s store.Events) {
		for n := range 10 {
			p.must(s.Publish(p.ctx, event(tenantA, "s", n)))
		}
		for _, group := range []string{"one", "two"} {
			if got := p.consume(s, group, 10); len(got) != 10 {
				p.errorf("group %s got %d", group, len(got))
			}
		}
	}},
	{"AGroupGoesOnWhereItWas", func(p *probe, s store.Events) {
		p.must(s.Publish(p.ctx, event(tenantA, "s", 0), event(tenantA, "s", 1)))
		p.consume(s, "g", 2)
		p.must(s.Publish(p.ctx, event(tenantA, "s", 2)))
		if got := p.consume(s, "g", 1); got[0].ID != event(tenantA, "s", 2).ID {
			p.errorf("got %s again", got[0].ID)
		}
	}},
	{"OneConsumerOfAGroupGetsEach", func(p *probe, s store.Events) {
		const total = 300
		ctx, cancel := context.WithCancel(p.ctx)
		defer cancel()
		var (
			mu   sync.Mutex
			seen = map[string]int{}
			full = make(chan struct{})
		)
		done := make(chan error, 3)
		for range 3 {
			go func() {
				done <- s.Consume(ctx, "g", func(_ context.Context, batch []platform.Event) error {
					mu.Lock()
					defer mu.Unlock()
					for _, e := range batch {
						seen[e.ID]++
					}
					if len(seen) == total {
						select {
						case <-full:
						default:
							close(full)
						}
					}
					return nil
				})
			}()
		}
		for n := range total {
			p.must(s.Publish(p.ctx, event(tenantA, fmt.Sprint(n%7), n)))
		}
		p.within(full, "all events")
		cancel()
		for range 3 {
			if err := <-done; err != nil {
				p.errorf("Consume: %v", err)
			}
		}
		for id, times := range seen {
			if times != 1 {
				p.errorf("%s was delivered %d times without a failure", id, times)
			}
		}
	}},
	{"CallsAHandlerOnceAtATime", func(p *probe, s store.Events) {
		const subjects, each = 8, 5
		var batch []platform.Event
		for n := range subjects * each {
			batch = append(batch, event(tenantA, fmt.Sprint(n%subjects), n/subjects))
		}
		p.must(s.Publish(p.ctx, batch...))
		ctx, cancel := context.WithCancel(p.ctx)
		defer cancel()
		var (
			first   sync.Once
			atWork  atomic.Int32
			got     atomic.Int32
			another = make(chan struct{}, subjects*each)
		)
		p.must(s.Consume(ctx, "g", func(_ context.Context, batch []platform.Event) error {
			if atWork.Add(1) > 1 {
				another <- struct{}{}
			}
			defer atWork.Add(-1)
			first.Do(func() {
				// Only a store that is wrong ends this wait early.
				select {
				case <-another:
					p.errorf("a handler was called while it was at work")
				case <-time.After(50 * time.Millisecond):
				}
			})
			if got.Add(int32(len(batch))) >= subjects*each {
				cancel()
			}
			return nil
		}))
	}},
	{"AFailedBatchComesAgain", func(p *probe, s store.Events) {
		for n := range 5 {
			p.must(s.Publish(p.ctx, event(tenantA, "s", n)))
		}
		ctx, cancel := context.WithCancel(p.ctx)
		defer cancel()
		var finished []string
		fails := 2
		err := s.Consume(ctx, "g", func(_ context.Context, batch []platform.Event) error {
			if fails > 0 {
				fails--
				return errors.New("not now")
			}
			for _, e := range batch {
				finished = append(finished, e.ID)
			}
			if len(finished) >= 5 {
				cancel()
			}
			return nil
		})
		p.must(err)
		// In order, and nothing left out; a prefix may have come twice.
		last := -1
		for n := range 5 {
			i := slices.Index(finished, event(tenantA, "s", n).ID)
			if i <= last {
				p.errorf("event %d is at %d of %v", n, i, finished)
			}
			last = i
		}
	}},
	{"APanicIsAFailure", func(p *probe, s store.Events) {
		p.must(s.Publish(p.ctx, event(tenantA, "s", 0)))
		ctx, cancel := context.WithCancel(p.ctx)
		defer cancel()
		calls := 0
		p.must(s.Consume(ctx, "g", func(context.Context, []platform.Event) error {
			if calls++; calls == 1 {
				panic("a bug of the handler")
			}
			cancel()
			return nil
		}))
		if calls != 2 {
			p.errorf("the handler was called %d times", calls)
		}
	}},
	{"ANewGroupBeginsWithTheOldest", func(p *probe, s store.Events) {
		p.must(s.Publish(p.ctx, event(tenantA, "s", 0)))
		p.consume(s, "early", 1)
		p.must(s.Publish(p.ctx, event(tenantA, "s", 1)))
		if got := p.consume(s, "late", 2); got[0].ID != event(tenantA, "s", 0).ID {
			p.errorf("the first is %s", got[0].ID)
		}
	}},
	{"CarriesEveryTenant", func(p *probe, s store.Events) {
		p.must(s.Publish(p.ctx, event(tenantA, "s", 0), event(tenantB, "s", 0)))
		got := p.consume(s, "g", 2)
		tenants := []platform.TenantID{got[0].Tenant, got[1].Tenant}
		slices.Sort(tenants)
		if !slices.Equal(tenants, []platform.TenantID{tenantA, tenantB}) {
			p.errorf("got %v", tenants)
		}
	}},
	{"RefusesWhatIsNotAnEvent", func(p *probe, s store.Events) {
		bad := event(tenantA, "s", 0)
		bad.Type = ""
		p.kind(s.Publish(p.ctx, event(tenantA, "s", 1), bad), platform.KindInvalid, "an event without a type")
		for _, t := range badTenants {
			p.kind(s.Publish(p.ctx, event(t, "s", 0)), platform.KindNoTenant, "a bad tenant")
		}
		p.must(s.Publish(p.ctx, event(tenantA, "s", 2)))
		if got := p.consume(s, "g", 1); got[0].ID != event(tenantA, "s", 2).ID {
			p.errorf("part of a refused batch was published: %s", got[0].ID)
		}
	}},
	{"Cancelled", func(p *probe, s store.Events) {
		if err := s.Publish(p.cancelled(), event(tenantA, "s", 0)); !errors.Is(err, context.Canceled) {
			p.errorf("Publish: got %v", err)
		}
		if err := s.Consume(p.cancelled(), "g", func(context.Context, []platform.Event) error { return nil }); err != nil {
			p.errorf("Consume: got %v", err)
		}
	}},
}

// consume takes n events for a group and ends.
func (p *probe) consume(s store.Events, group string, n int) []platform.Event {
	ctx, cancel := context.WithTimeout(p.ctx, p.patience)
	defer cancel()
	var got []platform.Event
	err := s.Consume(ctx, group, func(_ context.Context, batch []platform.Event) error {
		got = append(got, slices.Clone(batch)...)
		if len(got) >= n {
			cancel()
		}
		return nil
	})
	p.must(err)
	if len(got) < n {
		p.fatalf("group %s got %d of %d events", group, len(got), n)
	}
	return got
}

// inOrder checks that each subject's events came in the order 0, 1, 2.
func (p *probe) inOrder(got []platform.Event, subjects, each int) {
	next := map[string]int{}
	for _, e := range got {
		if want := event(tenantA, e.Subject, next[e.Subject]).ID; e.ID != want {
			p.fatalf("subject %s: got %s, want %s", e.Subject, e.ID, want)
		}
		next[e.Subject]++
	}
	if len(next) != subjects {
		p.errorf("%d subjects of %d", len(next), subjects)
	}
	for subject, n := range next {
		if n != each {
			p.errorf("subject %s has %d events of %d", subject, n, each)
		}
	}
}

func (p *probe) within(done <-chan struct{}, what string) {
	select {
	case <-done:
	case <-time.After(p.patience):
		p.fatalf("%s did not come", what)
	}
}
