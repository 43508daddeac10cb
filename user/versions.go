package user

import (
	"context"
	"encoding/json"
	"errors"
	"hash/maphash"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/acme/platform"
	"github.com/acme/platform/store"
)

// versions tell whether what was read from the store is older than a change. A
// change of a session, key, user or tenant raises a counter; what is kept in
// memory holds the counters as they were before it was read, and is good only
// while they are the same. Counters are shared by hash: two things on one
// counter cost a needless read, never a stale answer. That keeps them few,
// without locks, whatever the number of tenants.
type versions struct {
	seed  maphash.Seed
	total atomic.Uint64 // raises of any counter
	slots [1 << 12]atomic.Uint64
}

// snapshot is the state of up to three counters and of the one for everything.
type snapshot struct {
	slots  [4]uint16 // a slot that is not used is that of everything
	values [4]uint64
}

func newVersions() *versions { return &versions{seed: maphash.MakeSeed()} }

// everything is the slot that all stamps hold besides their own.
const everything = 0

func (e *versions) slot(key string) uint16 {
	return uint16(maphash.String(e.seed, key)%uint64(len(e.slots)-1)) + 1
}

// snapshot returns the state of the counters of at most three keys.
func (e *versions) snapshot(keys ...string) snapshot {
	var st snapshot
	for i := range st.slots {
		if i < len(keys) && i < len(st.slots)-1 {
			st.slots[i] = e.slot(keys[i])
		}
		st.values[i] = e.slots[st.slots[i]].Load()
	}
	return st
}

// current reports whether nothing was raised since the snapshot was taken.
func (e *versions) current(st snapshot) bool {
	for i, slot := range st.slots {
		if e.slots[slot].Load() != st.values[i] {
			return false
		}
	}
	return true
}

// oneSnapshot is a snapshot of one counter and of the one for everything.
type oneSnapshot struct {
	slot       uint16
	value, all uint64
}

// snapshotOne returns the state of the counter of a key.
func (e *versions) snapshotOne(key string) oneSnapshot {
	slot := e.slot(key)
	return oneSnapshot{slot: slot, value: e.slots[slot].Load(), all: e.slots[everything].Load()}
}

// currentOne is current for one counter.
func (e *versions) currentOne(s oneSnapshot) bool {
	return e.slots[s.slot].Load() == s.value && e.slots[everything].Load() == s.all
}

// raise raises the counters of keys, and the total before them: who takes a
// snapshot after reading sees either the old counter, and is stale, or that the
// total has moved since before the read.
func (e *versions) raise(keys ...string) {
	e.total.Add(1)
	for _, k := range keys {
		e.slots[e.slot(k)].Add(1)
	}
}

// raiseAll makes all stamps stale.
func (e *versions) raiseAll() {
	e.total.Add(1)
	e.slots[everything].Add(1)
}

// The keys of versions.
func tenantKey(t platform.TenantID) string { return "t:" + string(t) }
func userKey(id string) string             { return "u:" + id }
func credentialKey(id string) string       { return "c:" + id }

const (
	// changesTopic carries raises between processes.
	changesTopic = "user.changes"
	// publishTimeout bounds what a PubSub that is away costs a request.
	publishTimeout = 2 * time.Second
)

// changed makes a committed change act: in this process before it returns, in
// others when the message arrives. A message that is lost costs VerifyTTL.
func (s *Service) changed(ctx context.Context, keys ...string) {
	s.raise(keys...)
	if s.cfg.PubSub == nil {
		return
	}
	payload, err := json.Marshal(keys)
	if err != nil { // strings always marshal
		return
	}
	// The change is committed: a caller who has left must not keep it from others.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), publishTimeout)
	defer cancel()
	if err := s.cfg.PubSub.Publish(ctx, platform.NoTenant, changesTopic, payload); err != nil {
		s.log.WarnContext(ctx, "user: change not published", slog.Any("error", err))
	}
}

var errNoSubscription = errors.New("user: the subscription to changes ended at once")

// startListening returns when the first subscription is in place.
func (s *Service) startListening(ctx context.Context) error {
	ready := make(chan error, 1)
	s.tasks.Go(func(ctx context.Context) { s.listen(ctx, ready) }) //nolint:contextcheck // it outlives the start
	select {
	case err := <-ready:
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// listen raises what other processes changed. After a gap of any kind it takes
// everything for changed.
func (s *Service) listen(ctx context.Context, ready chan<- error) {
	for first := true; ctx.Err() == nil; first = false {
		sub, err := s.cfg.PubSub.Subscribe(ctx, platform.NoTenant, changesTopic)
		if first {
			ready <- err
			if err != nil {
				return
			}
		}
		if err == nil {
			s.raiseAll()
			for m := range sub.C() {
				s.take(m)
			}
			err = errors.Join(errNoSubscription, sub.Close())
		}
		if ctx.Err() != nil {
			return
		}
		s.log.WarnContext(ctx, "user: no news of changes from other processes", slog.Any("error", err))
		select {
		case <-ctx.Done():
		case <-time.After(time.Second):
		}
	}
}

func (s *Service) take(m store.Message) {
	var keys []string
	if m.Dropped > 0 || json.Unmarshal(m.Payload, &keys) != nil {
		s.raiseAll()
		return
	}
	s.raise(keys...)
}
