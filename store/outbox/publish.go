package outbox

import (
	"context"
	"fmt"

	"github.com/acme/platform"
)

// publication is a publish under way.
type publication struct {
	done chan struct{} // closed when it is over, and dead and err are there
	dead []row
	err  error
}

// publishBeside publishes rows while the caller does something else.
func (r *Relay) publishBeside(ctx context.Context, rows []row, bad *refusal) *publication {
	p := &publication{done: make(chan struct{})}
	go func() {
		defer close(p.done)
		p.dead, p.err = publishRows(rows, bad, func(events []platform.Event) error { return r.publish(ctx, events) })
	}()
	return p
}

// publish hands events to a stream outside of the store.
func (r *Relay) publish(ctx context.Context, events []platform.Event) error {
	ctx, cancel := context.WithTimeout(ctx, r.cfg.PublishTimeout)
	defer cancel()
	return r.cfg.Events.Publish(ctx, events...)
}

// publishRows publishes what can be published and returns the rest.
func publishRows(rows []row, bad *refusal, publish func([]platform.Event) error) (dead []row, err error) {
	events, dead := split(rows, bad)
	if len(events) == 0 {
		return dead, nil
	}
	if err := publish(events); err != nil {
		err = fmt.Errorf("outbox: publish: %w", err)
		if len(rows) == 1 && refused(err) {
			err = &refusal{seq: rows[0].seq, cause: err}
		}
		return nil, err
	}
	return dead, nil
}

// split parts what can be published from what never can.
func split(rows []row, bad *refusal) (events []platform.Event, dead []row) {
	events = make([]platform.Event, 0, len(rows))
	for _, w := range rows {
		if bad != nil && bad.seq == w.seq {
			w.cause = bad.cause
		} else {
			w.cause = w.event.Validate()
		}
		if w.cause != nil {
			dead = append(dead, w)
			continue
		}
		events = append(events, w.event)
	}
	return events, dead
}
