package outbox

import (
	"context"
	"fmt"

	"github.com/acme/platform"
)

// published is what became of a batch.
type published struct {
	dead []row
	err  error
}

// publishBeside publishes rows while the caller does something else.
func (r *Relay) publishBeside(ctx context.Context, rows []row, bad *refusal) <-chan published {
	done := make(chan published, 1)
	go func() {
		dead, err := publishRows(rows, bad, func(events []platform.Event) error { return r.publish(ctx, events) })
		done <- published{dead, err}
	}()
	return done
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
