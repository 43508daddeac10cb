package outbox

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/acme/platform/store"
)

// A turn ends after so many batches, or so much time, although there is more:
// what it has published is published again if it crashes before its commit.
const (
	turnBatches = 16
	turnTime    = time.Second
)

// moveInTurn moves events to a stream that is not in the store, of a relay that
// is not the only one: one whose process ends in the middle loses its turn with
// the connection. A turn is several batches in one transaction: the stream works
// on one while the store finds the next, and one commit serves them all. The rows
// stay locked meanwhile, which turnTime and PublishTimeout bound.
func (r *Relay) moveInTurn(ctx context.Context, limit int, bad *refusal) (n int, dead []row, err error) {
	// What is published should be deleted although the relay is stopping:
	// otherwise it is published again.
	held, cancel := context.WithTimeout(context.WithoutCancel(ctx), turnTime+r.cfg.PublishTimeout+deleteTime)
	defer cancel()
	err = r.cfg.DB.AcrossTenants(held, func(held context.Context, tx store.Tx) error {
		n, dead = 0, nil
		if err := r.dialect.takeTurn(held, tx); err != nil {
			return err
		}
		rows, err := r.dialect.claim(held, tx, limit)
		if err != nil {
			return err
		}
		began := time.Now()
		for batch := 1; len(rows) > 0; batch++ {
			published := r.publishBeside(held, rows, bad)
			var next []row
			if limit > 1 && len(rows) == limit && batch < turnBatches && time.Since(began) < turnTime && ctx.Err() == nil {
				next, err = r.claimNext(held, tx, batch+1, limit)
			}
			p := <-published
			switch {
			case err != nil:
				return err
			case p.err != nil && batch == 1:
				return p.err
			case p.err != nil:
				// It is the first of another turn, which fails alone.
				if err := putBack(held, tx, batch); err != nil {
					return errors.Join(p.err, err)
				}
				return r.bury(held, tx, dead)
			}
			n, dead, rows = n+len(rows), append(dead, p.dead...), next
		}
		return r.bury(held, tx, dead)
	})
	return n, dead, err
}

// claimNext claims the rows of a batch so that putBack can undo it.
func (r *Relay) claimNext(ctx context.Context, tx store.Tx, batch, limit int) ([]row, error) {
	if _, err := tx.Exec(ctx, fmt.Sprintf("SAVEPOINT batch_%d", batch)); err != nil {
		return nil, fmt.Errorf("outbox: claim: %w", err)
	}
	return r.dialect.claim(ctx, tx, limit)
}

// putBack undoes the claim of the batch, and of those after it.
func putBack(ctx context.Context, tx store.Tx, batch int) error {
	if _, err := tx.Exec(ctx, fmt.Sprintf("ROLLBACK TO SAVEPOINT batch_%d", batch)); err != nil {
		return fmt.Errorf("outbox: put back: %w", err)
	}
	return nil
}
