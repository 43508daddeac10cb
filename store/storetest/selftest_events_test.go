package storetest

import (
	"context"
	"slices"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/acme/platform"
	"github.com/acme/platform/internal/test/testdb"
	"github.com/acme/platform/store"
	"github.com/acme/platform/store/sqlevents"
)

func openEvents(tb testing.TB) store.Events {
	tb.Helper()
	events, err := sqlevents.New(sqlevents.Config{DB: testdb.New(tb)})
	if err != nil {
		tb.Fatal(err)
	}
	if err := events.Start(context.Background()); err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		if err := events.Stop(context.Background()); err != nil {
			tb.Error(err)
		}
	})
	return events
}

func TestEventsFindsFaults(t *testing.T) {
	with := func(f func(store.Events) store.Events) func(testing.TB) store.Events {
		return func(tb testing.TB) store.Events { return f(openEvents(tb)) }
	}
	publishing := func(f func([]platform.Event) []platform.Event) func(testing.TB) store.Events {
		return with(func(e store.Events) store.Events { return publishingEvents{e, f} })
	}
	finds(t, eventsCases, []broken[store.Events]{
		{"a batch is turned round", "KeepsTheOrderOfABatch", publishing(func(e []platform.Event) []platform.Event {
			e = slices.Clone(e)
			slices.Reverse(e)
			return e
		})},
		{"the tenant gets lost", "CarriesEveryTenant", publishing(func(e []platform.Event) []platform.Event {
			e = slices.Clone(e)
			for i := range e {
				e[i].Tenant = tenantA
			}
			return e
		})},
		{"the actor gets lost", "DeliversWhatWasPublished", publishing(func(e []platform.Event) []platform.Event {
			e = slices.Clone(e)
			e[0].Actor = ""
			return e
		})},
		{"what is no event gets in", "RefusesWhatIsNotAnEvent", with(func(e store.Events) store.Events { return halfEvents{e} })},
		{"each consumer gets all", "OneConsumerOfAGroupGetsEach", with(func(e store.Events) store.Events { return &loneEvents{Events: e} })},
		{"a group forgets where it was", "AGroupGoesOnWhereItWas", with(func(e store.Events) store.Events { return &loneEvents{Events: e} })},
		{"a handler is called many times at once", "CallsAHandlerOnceAtATime", with(func(e store.Events) store.Events { return hastyEvents{e} })},
		{"a failed batch is finished", "AFailedBatchComesAgain", with(func(e store.Events) store.Events { return indifferentEvents{e} })},
		{"a new group begins now", "ANewGroupBeginsWithTheOldest", with(func(e store.Events) store.Events { return oneGroupEvents{e} })},
		{"a cancelled call goes on", "Cancelled", with(func(e store.Events) store.Events { return deafEvents{e} })},
	})
}

// publishingEvents changes what is published.
type publishingEvents struct {
	store.Events
	f func([]platform.Event) []platform.Event
}

func (s publishingEvents) Publish(ctx context.Context, e ...platform.Event) error {
	return s.Events.Publish(ctx, s.f(e)...)
}

// halfEvents publishes what is good of a batch.
type halfEvents struct{ store.Events }

func (s halfEvents) Publish(ctx context.Context, e ...platform.Event) error {
	for i := range e {
		if err := s.Events.Publish(ctx, e[i]); err != nil {
			return err
		}
	}
	return nil
}

// loneEvents gives each consumer a group of its own.
type loneEvents struct {
	store.Events
	n atomic.Int32
}

func (s *loneEvents) Consume(ctx context.Context, group string, h store.EventHandler) error {
	return s.Events.Consume(ctx, group+string('a'+s.n.Add(1)), h)
}

// hastyEvents hands over each event of a batch by itself, all at once.
type hastyEvents struct{ store.Events }

func (s hastyEvents) Consume(ctx context.Context, group string, h store.EventHandler) error {
	return s.Events.Consume(ctx, group, func(ctx context.Context, e []platform.Event) error {
		var all sync.WaitGroup
		for i := range e {
			all.Go(func() { _ = h(ctx, e[i:i+1]) })
		}
		all.Wait()
		return nil
	})
}

type indifferentEvents struct{ store.Events }

func (s indifferentEvents) Consume(ctx context.Context, group string, h store.EventHandler) error {
	return s.Events.Consume(ctx, group, func(ctx context.Context, e []platform.Event) error {
		_ = h(ctx, e)
		return nil
	})
}

type oneGroupEvents struct{ store.Events }

func (s oneGroupEvents) Consume(ctx context.Context, _ string, h store.EventHandler) error {
	return s.Events.Consume(ctx, "all", h)
}

type deafEvents struct{ store.Events }

func (s deafEvents) Publish(ctx context.Context, e ...platform.Event) error {
	return s.Events.Publish(context.WithoutCancel(ctx), e...)
}
