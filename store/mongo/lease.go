package mongo

import (
	"context"
	"time"
)

// lease makes one of all processes the one that relays and sweeps. It compares
// no clocks: who stands by takes over once it has seen no sign of life for the
// time of a lease, by its own clock. Only one goroutine uses it.
type lease struct {
	d     *Documents
	owner string

	row  leaseRow
	held bool
	// since is when row was first seen, or made where it is held.
	since time.Time
}

// hold takes or keeps the lease, and reports whether it has it.
func (l *lease) hold(ctx context.Context) (bool, error) {
	if l.held {
		return l.renew(ctx)
	}
	row, err := l.d.everyTenant.lease(ctx)
	if err != nil {
		return false, err
	}
	if row != l.row || l.since.IsZero() {
		l.row, l.since = row, time.Now()
	}
	// A lease in its own name is one whose answer was lost, or that it lost
	// sight of while the server was away: nobody else has it.
	if row.Owner != "" && row.Owner != l.owner && time.Since(l.since) < l.d.cfg.Lease {
		return false, nil
	}
	return l.swap(ctx, l.owner)
}

// beat is how often the owner of the lease gives a sign of life.
func (d *Documents) beat() time.Duration { return d.cfg.Lease / 4 }

func (l *lease) renew(ctx context.Context) (bool, error) {
	if time.Since(l.since) < l.d.beat() {
		return true, nil
	}
	return l.swap(ctx, l.owner)
}

func (l *lease) swap(ctx context.Context, owner string) (bool, error) {
	next := leaseRow{Owner: owner, Beat: l.row.Beat + 1}
	now := time.Now() // before others can see it
	ok, err := l.d.everyTenant.swapLease(ctx, l.row, next)
	if err != nil || !ok {
		l.held, l.row, l.since = false, leaseRow{}, time.Time{}
		return false, err
	}
	l.held, l.row, l.since = true, next, now
	return true, nil
}

// until bounds ctx to the time in which nobody takes over.
func (l *lease) until(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithDeadline(ctx, l.since.Add(l.d.cfg.Lease*3/4))
}

// release lets another process have the lease at once.
func (l *lease) release(ctx context.Context) {
	if l.held {
		_, _ = l.swap(ctx, "") // otherwise it runs out
	}
	l.held = false
}
